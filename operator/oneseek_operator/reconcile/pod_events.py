"""Pods that a controller cannot create: what its Events report, and when to look for them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from oneseek_core import names
from oneseek_operator.errors import ClusterError
from oneseek_operator.observe.pods import JobView, PodView, failed_creates, lacks_pod
from oneseek_operator.observe.refusals import FailedCreate
from oneseek_operator.reconcile.ports import ClusterPort

__all__ = ["failed_creates_of", "sooner", "with_failed_creates"]

log = logging.getLogger(__name__)

_FIRST_MINUTE, _SOON, _LATER = 60.0, 5.0, 30.0  # no watch reports a pod that is not created


async def failed_creates_of(namespace: str, cluster: ClusterPort) -> dict[str, FailedCreate]:
    """What controllers of the namespace report, by the uid of the pods' owner."""
    try:
        return failed_creates(await cluster.list("Event", namespace, fields=f"reason={names.FAILED_CREATE}"))
    except ClusterError as error:  # nothing waits for an explanation
        log.warning("namespace %s: Events cannot be read: %s", namespace, error)
        return {}


def with_failed_creates(jobs: Iterable[JobView], found: Mapping[str, FailedCreate]) -> tuple[JobView, ...]:
    """The Jobs, with what their controller reports."""
    return tuple(replace(job, failed_create=found.get(job.uid)) for job in jobs)


def sooner(wait: float | None, jobs: Sequence[JobView], pods: Sequence[PodView], now: datetime) -> float | None:
    """`wait`, or less while a Job has no pod yet."""
    lacking = [job for job in jobs if lacks_pod(job, pods)]
    if not lacking:
        return wait
    young = any((now - datetime.fromisoformat(job.created)).total_seconds() < _FIRST_MINUTE for job in lacking)
    look = _SOON if young else _LATER
    return look if wait is None else min(wait, look)
