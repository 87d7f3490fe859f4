"""One daemon per OneSeekModel and per TrainingRun: the object's loop, from its first sight to its deletion.

Kopf keeps no state on the objects: daemons and plain event handlers write nothing but the finalizer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

import kopf
from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.deps import Deps
from oneseek_operator.errors import ClusterError
from oneseek_operator.handlers.workqueue import hold
from oneseek_operator.reconcile import model as models
from oneseek_operator.reconcile import run as runs
from oneseek_operator.wakeups import Key

__all__ = ["end_unkept", "end_unkept_run", "keep_model", "note_gone", "register"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.5  # between looks whether a model has taken in what a run made that is deleted
_DELETION_SECONDS = 20.0  # a deletion ends whatever is away; what could not be done is said in the log


def register(registry: kopf.OperatorRegistry) -> None:
    """Add the daemons to a registry."""
    stop = {"cancellation_backoff": 1.0, "cancellation_timeout": _DELETION_SECONDS + 5, "registry": registry}
    kopf.daemon(names.GROUP, names.VERSION, names.MODELS, **stop)(keep_model)  # type: ignore[arg-type]
    kopf.daemon(names.GROUP, names.VERSION, names.TRAINING_RUNS, **stop)(keep_run)  # type: ignore[arg-type]


async def keep_model(
    namespace: str, name: str, body: kopf.Body, stopped: kopf.DaemonStopped, memo: Any, **_: object
) -> None:
    """Hold a model at its spec; at its deletion see to its claim."""
    deps: Deps = memo.deps
    key = ("OneSeekModel", namespace, name)
    deps.kept.add(key)
    try:
        await _keep_model(key, body, stopped, deps)
    finally:
        deps.kept.discard(key)
        deps.gone.discard(_uid(body))


async def end_unkept(namespace: str, name: str, body: Mapping[str, Any], deps: Deps) -> None:
    """What a deletion leaves to do, where no loop holds the model: it was deleted while no operator ran.

    Kopf starts no loop for it and releases it once the event's handlers are done, of which this is one.
    """
    if _is_deleted(body) and ("OneSeekModel", namespace, name) not in deps.kept:
        await _end(namespace, name, body, deps)


async def _keep_model(key: Key, body: Mapping[str, Any], stopped: kopf.DaemonStopped, deps: Deps) -> None:
    _, namespace, name = key

    async def once() -> float | None:
        return await models.reconcile(
            namespace,
            name,
            cluster=deps.cluster,
            sidecars=deps.sidecars,
            records=deps.records,
            authority=deps.authority,
            settings=deps.settings,
            clock=deps.now,
            contacts=deps.contacts[key],
            follow=lambda pods, port: deps.followers.follow(key, pods, port),
        )

    try:
        await hold(key, _Ended(stopped, body, deps), deps, once)
    except asyncio.CancelledError:
        # Kopf does not wait long for a reconcile (one that asks a pod which does not answer): what a deletion leaves to
        # do is done all the same, and Kopf waits for that.
        if not _is_deleted(body):
            raise
    finally:
        deps.followers.forget(key)
        deps.contacts.pop(key, None)
    deps.wakeups.forget(key)
    if _is_deleted(body) or _uid(body) in deps.gone:
        await _end(namespace, name, body, deps)


async def _end(namespace: str, name: str, body: Mapping[str, Any], deps: Deps) -> None:
    try:
        async with asyncio.timeout(_DELETION_SECONDS):
            model = OneSeekModel.model_validate(dict(body))
            await models.finish_deletion(model, cluster=deps.cluster, settings=deps.settings)
    except (TimeoutError, ClusterError, ValidationError) as error:
        log.warning("OneSeekModel %s/%s is deleted, but its claim may stay: %s", namespace, name, error)


def _is_deleted(body: Mapping[str, Any]) -> bool:
    return bool(body.get("metadata", {}).get("deletionTimestamp"))


def _uid(body: Mapping[str, Any]) -> str:
    return str(body.get("metadata", {}).get("uid", ""))


class _Ended:
    """Whether a loop is to end. Kopf stops none whose object went without a deletion."""

    def __init__(self, stopped: kopf.DaemonStopped, body: Mapping[str, Any], deps: Deps) -> None:
        self._stopped, self._body, self._deps = stopped, body, deps

    def __bool__(self) -> bool:
        return bool(self._stopped) or _uid(self._body) in self._deps.gone


def note_gone(kind: str, namespace: str, name: str, body: Mapping[str, Any], deps: Deps) -> None:
    """End the loop of an object that is there no more."""
    if (kind, namespace, name) in deps.kept:
        deps.gone.add(_uid(body))


async def keep_run(
    namespace: str, name: str, body: kopf.Body, stopped: kopf.DaemonStopped, memo: Any, **_: object
) -> None:
    """Hold a run at its spec. Its Jobs are owned by it and go with it; the version that it made does not."""
    deps: Deps = memo.deps
    key = ("TrainingRun", namespace, name)
    deps.kept.add(key)
    try:
        await _keep_run(key, body, stopped, deps)
    finally:
        deps.kept.discard(key)
        deps.gone.discard(_uid(body))


async def end_unkept_run(namespace: str, name: str, body: Mapping[str, Any], deps: Deps) -> None:
    """The same as `end_unkept`, for a run."""
    if _is_deleted(body) and ("TrainingRun", namespace, name) not in deps.kept:
        await _end_run(namespace, name, _model_of(body), deps)


def _model_of(body: Mapping[str, Any]) -> str:
    return str(body.get("spec", {}).get("modelRef", {}).get("name", ""))


async def _keep_run(key: Key, body: Mapping[str, Any], stopped: kopf.DaemonStopped, deps: Deps) -> None:
    _, namespace, name = key
    model = _model_of(body)

    async def once() -> float | None:
        async with deps.turns[(namespace, model)]:
            return await runs.reconcile(namespace, name, cluster=deps.cluster, settings=deps.settings, clock=deps.now)

    try:
        await hold(key, _Ended(stopped, body, deps), deps, once)
    except asyncio.CancelledError:  # as with a model
        if not _is_deleted(body):
            raise
    deps.wakeups.forget(key)
    if _is_deleted(body) or _uid(body) in deps.gone:
        await _end_run(namespace, name, model, deps)


async def _end_run(namespace: str, name: str, model: str, deps: Deps) -> None:
    """Let a run go once its model has taken in what it made: the model learns of a version by the run alone."""
    try:
        async with asyncio.timeout(_DELETION_SECONDS):
            while not await runs.is_counted(namespace, name, cluster=deps.cluster):
                deps.wakeups.wake("OneSeekModel", namespace, model)
                await asyncio.sleep(_LOOK_SECONDS)
    except (TimeoutError, ClusterError, ValidationError) as error:
        log.warning(
            "TrainingRun %s/%s is deleted, but its version may be unknown to the model: %s", namespace, name, error
        )
