"""Which event wakes which loop, and the loops: one Kopf daemon per OneSeekModel and per TrainingRun.

Events only set a flag, so many of them are one reconcile, which reads everything again. Kopf stores no state on the objects:
daemons and plain event handlers write nothing but the finalizer.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import kopf
from pydantic import ValidationError

from oneseek_core import names
from oneseek_operator.clients.followers import Key
from oneseek_operator.deps import Deps
from oneseek_operator.errors import ClusterError, ConflictError, SidecarError
from oneseek_operator.handlers.deletion import DELETION_SECONDS, End, end_model, end_run, is_deleted, model_of
from oneseek_operator.reconcile import model as models
from oneseek_operator.reconcile import run as runs

__all__ = ["keep_model", "keep_run", "model_changed", "register", "run_changed"]

log = logging.getLogger(__name__)

_CHILDREN = (
    ("batch", "v1", "jobs"),
    ("apps", "v1", "deployments"),
    ("apps", "v1", "statefulsets"),
    ("", "v1", "pods"),
    ("", "v1", "services"),
)
_HOURLY = 3600.0  # seconds; a reconcile without events, which only reads, in case an event was lost
_BACKOFF_FIRST, _BACKOFF_LAST = 0.5, 30.0
_ORDER_BACKOFF_FIRST, _ORDER_BACKOFF_LAST = 0.05, 1.0


def register(registry: kopf.OperatorRegistry) -> None:
    """Add daemons and event handlers to a registry."""
    stop = {"cancellation_backoff": 1.0, "cancellation_timeout": DELETION_SECONDS + 5, "registry": registry}
    kopf.daemon(names.GROUP, names.VERSION, names.MODELS, **stop)(keep_model)  # type: ignore[arg-type]
    kopf.daemon(names.GROUP, names.VERSION, names.TRAINING_RUNS, **stop)(keep_run)  # type: ignore[arg-type]
    kopf.on.event(names.GROUP, names.VERSION, names.MODELS, registry=registry)(model_changed)
    kopf.on.event(names.GROUP, names.VERSION, names.TRAINING_RUNS, registry=registry)(run_changed)
    for group, version, plural in _CHILDREN:
        watch = kopf.on.event(group, version, plural, labels={names.LABEL_MODEL: kopf.PRESENT}, registry=registry)
        watch(child_changed)


async def model_changed(*, namespace: str | None, name: str, body: kopf.Body, type: str, memo: Any, **_: Any) -> None:  # noqa: A002 - Kopf's name
    """Wake the model and its runs, which may wait for it."""
    deps, key = memo.deps, ("OneSeekModel", namespace or "", name)
    if type == "DELETED":
        _note_gone(key, body, deps)
    else:
        await _end_without_loop(key, body, deps, end_model)
    deps.wake(key)
    for run in deps.runs_of_model.get(key[1:], ()):
        deps.wake(("TrainingRun", key[1], run))


async def run_changed(*, namespace: str | None, name: str, body: kopf.Body, type: str, memo: Any, **_: Any) -> None:  # noqa: A002 - Kopf's name
    """Wake the run, its model (the run may be certified) and the model's other runs (one may be next)."""
    deps, key, model = memo.deps, ("TrainingRun", namespace or "", name), model_of(body)
    known = deps.runs_of_model[(key[1], model)]
    known.add(name)
    if type == "DELETED":
        _note_gone(key, body, deps)
        known.discard(name)
        if not known:
            del deps.runs_of_model[(key[1], model)]
    deps.wake(("OneSeekModel", key[1], model))
    for run in {name, *known}:
        deps.wake(("TrainingRun", key[1], run))
    if type != "DELETED":
        await _end_without_loop(key, body, deps, end_run)


async def child_changed(*, namespace: str | None, labels: Mapping[str, str], memo: Any, **_: Any) -> None:
    """Wake the run or model that a Job, Deployment, StatefulSet, pod or Service is labelled with."""
    if run := labels.get(names.LABEL_RUN):
        memo.deps.wake(("TrainingRun", namespace or "", run))
    else:
        memo.deps.wake(("OneSeekModel", namespace or "", labels[names.LABEL_MODEL]))


def _note_gone(key: Key, body: Mapping[str, Any], deps: Deps) -> None:
    """End the loop of an object that no longer exists. Kopf stops none whose object was never marked as deleted."""
    if key in deps.flags:
        deps.gone.add(body["metadata"]["uid"])


async def _end_without_loop(key: Key, body: Mapping[str, Any], deps: Deps, end: End) -> None:
    """End the deletion of an object that was deleted while no operator ran: Kopf starts no daemon for it."""
    if is_deleted(body) and key not in deps.flags:
        await end(key, body, deps)


async def keep_model(
    namespace: str, name: str, body: kopf.Body, stopped: kopf.DaemonStopped, memo: Any, **_: object
) -> None:
    """Reconcile a model until it is deleted."""
    deps: Deps = memo.deps
    key = ("OneSeekModel", namespace, name)

    async def reconcile() -> float | None:
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

    await _keep(key, body, stopped, deps, reconcile, end_model)


async def keep_run(
    namespace: str, name: str, body: kopf.Body, stopped: kopf.DaemonStopped, memo: Any, **_: object
) -> None:
    """Reconcile a run until it is deleted; the runs of a model take turns."""
    deps: Deps = memo.deps
    turn = deps.turns[(namespace, model_of(body))]

    async def reconcile() -> float | None:
        async with turn:
            return await runs.reconcile(namespace, name, cluster=deps.cluster, settings=deps.settings, clock=deps.now)

    await _keep(("TrainingRun", namespace, name), body, stopped, deps, reconcile, end_run)


Reconcile = Callable[[], Awaitable[float | None]]


async def _keep(  # noqa: PLR0917 - private, called twice
    key: Key, body: Mapping[str, Any], stopped: kopf.DaemonStopped, deps: Deps, reconcile: Reconcile, end: End
) -> None:
    uid = body["metadata"]["uid"]
    flag = deps.flags[key] = asyncio.Event()
    try:
        try:
            await _loop(key, lambda: bool(stopped) or uid in deps.gone, flag, reconcile)
        except asyncio.CancelledError:
            # Kopf does not wait long for a reconcile, such as one that asks a pod which does not answer. It does wait
            # for what a deletion leaves to do.
            if not is_deleted(body):
                raise
        finally:
            if deps.flags.get(key) is flag:
                deps.followers.forget(key)
                deps.contacts.pop(key, None)
        if is_deleted(body) or uid in deps.gone:
            await end(key, body, deps)
    finally:
        if deps.flags.get(key) is flag:  # else the loop of a new object of this name has begun
            del deps.flags[key]
        deps.gone.discard(uid)


async def _loop(key: Key, stopped: Callable[[], bool], flag: asyncio.Event, reconcile: Reconcile) -> None:
    """Reconcile, then wait for an event or as long as the reconcile says."""
    failures = 0
    while not stopped():
        try:
            wait = await reconcile()
            failures = 0
        except ConflictError:
            wait = 0.0  # the object changed meanwhile: read it again
        except SidecarError as error:
            failures += 1  # an order did not reach a pod, and the status waits for it
            wait = min(_ORDER_BACKOFF_FIRST * 2 ** min(failures, 10), _ORDER_BACKOFF_LAST)
            log.warning("%s %s/%s: %s; again in %.1f s", *key, error, wait)
        except (ClusterError, OSError) as error:
            failures += 1
            wait = _backoff(failures, error)
            log.warning("%s %s/%s: %s; again in %.1f s", *key, error, wait)
        except ValidationError as error:
            failures += 1
            wait = _BACKOFF_LAST
            log.error(  # noqa: TRY400 - the sentence says all; a traceback of pydantic says less
                "%s %s/%s: cannot be read as this operator knows it: %s", *key, error
            )
        except Exception:
            failures += 1
            wait = _backoff(failures, None)
            log.exception("%s %s/%s: a defect; again in %.1f s", *key, wait)
        if wait != 0.0 and not stopped():
            await _woken(flag, _HOURLY if wait is None else wait)


async def _woken(flag: asyncio.Event, timeout: float) -> None:
    try:
        async with asyncio.timeout(timeout):
            await flag.wait()
    except TimeoutError:
        pass
    flag.clear()


def _backoff(failures: int, error: Exception | None) -> float:
    retry_after = error.retry_after if isinstance(error, ClusterError) else None
    grown: float = min(_BACKOFF_FIRST * 2 ** min(failures, 10), _BACKOFF_LAST)
    jitter: float = random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries, guards nothing
    return max(retry_after or 0.0, grown * jitter)
