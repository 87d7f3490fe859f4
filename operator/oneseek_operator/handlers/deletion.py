"""What the deletion of an object leaves to do before Kopf releases its finalizer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.clients.followers import Key
from oneseek_operator.deps import Deps
from oneseek_operator.errors import ClusterError
from oneseek_operator.reconcile import model as models
from oneseek_operator.reconcile import run as runs

__all__ = ["DELETION_SECONDS", "End", "end_model", "end_run", "is_deleted", "model_of"]

log = logging.getLogger(__name__)

DELETION_SECONDS = 20.0  # a deletion ends after that; what was not done is logged
_COUNTED_SECONDS = 0.5  # between looks whether the model counts the version of a deleted run

End = Callable[[Key, Mapping[str, Any], Deps], Awaitable[None]]


def is_deleted(body: Mapping[str, Any]) -> bool:
    """Whether the object is being deleted."""
    return bool(body.get("metadata", {}).get("deletionTimestamp"))


def model_of(run: Mapping[str, Any]) -> str:
    """The name of a run's model."""
    return str(run.get("spec", {}).get("modelRef", {}).get("name", ""))


async def end_model(key: Key, body: Mapping[str, Any], deps: Deps) -> None:
    """Delete the claim of a deleted model if its spec says so, and its rights."""
    try:
        async with asyncio.timeout(DELETION_SECONDS):
            model = OneSeekModel.model_validate(dict(body))
            await models.finish_deletion(model, cluster=deps.cluster, settings=deps.settings)
    except (TimeoutError, ClusterError, ValidationError) as error:
        log.warning("OneSeekModel %s/%s is deleted, but its claim may stay: %s", *key[1:], error)


async def end_run(key: Key, body: Mapping[str, Any], deps: Deps) -> None:
    """Wait until the model counts the version that a deleted run made: the run alone tells the model of it."""
    _, namespace, name = key
    try:
        async with asyncio.timeout(DELETION_SECONDS):
            while not await runs.is_counted(namespace, name, cluster=deps.cluster):
                deps.flags[("OneSeekModel", namespace, model_of(body))].set()
                await asyncio.sleep(_COUNTED_SECONDS)
    except (TimeoutError, ClusterError, ValidationError) as error:
        log.warning(
            "TrainingRun %s/%s is deleted, but its version may be unknown to the model: %s", namespace, name, error
        )
