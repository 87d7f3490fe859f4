"""The endpoints of micro-training, and the steps they share with `major`.

They record the post durably, wake the window notifier, and answer at once or, with `Prefer: wait=N`, once the run has ended.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oneseek_core import names
from oneseek_runtime.sidecar.api.auth import Caller, Denied, admitted, needs, to_train
from oneseek_runtime.sidecar.api.oqt.metrics import metrics_answer
from oneseek_runtime.sidecar.api.training import schemas
from oneseek_runtime.sidecar.cluster.informer import Informer
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import failure, json_response, read_object, timestamp
from oneseek_runtime.sidecar.language import Language, language_of
from oneseek_runtime.sidecar.records.client import EntryRefusedError, RecordsAwayError
from oneseek_runtime.sidecar.records.recorder import ENTRIES, Recorder
from oneseek_runtime.sidecar.training import accepted as accepting
from oneseek_runtime.sidecar.training import examples
from oneseek_runtime.sidecar.training.accepted import Accepted, ServedVersion
from oneseek_runtime.sidecar.training.examples import ExampleError, TrainingExample
from oneseek_runtime.sidecar.training.runs import Run
from oneseek_runtime.sidecar.training.window_notifier import highest_window, is_suspended, micro_of

__all__ = [
    "accepted_in",
    "answered",
    "companion",
    "failed",
    "highest_known",
    "micro_stats",
    "micro_status",
    "micro_train",
    "recorder_of",
    "served_version",
    "train_from_query",
]

MICRO_FAILED = "Failed to perform micro-training"

_DISABLED = "spec.training.micro.enabled of the OneSeekModel is false: nothing is trained on what clients send"
_UNKNOWN = "the OneSeekModel has not been read yet, so it is not known whether it is to learn from clients"
_SUSPENDED = (
    "spec.training.suspend of the OneSeekModel is true: what clients send is kept, and trained once it is false"
)
_LOOK_SECONDS = 1.0  # interval of checking whether the pod drains


@needs(to_train)
async def micro_train(request: Request, _caller: Caller) -> Response:
    """POST /api/oqt/micro-train: record a question with answers in the open window."""
    deps = deps_of(request)
    try:
        example = examples.parse_example(await read_object(request, deps.bodies), examples.OQT)
    except ExampleError as error:
        return failure(str(error), status=400)
    if (refused := _not_learning(deps)) is not None:
        return refused
    try:
        training_id, accepted, _ = await _record_example(deps, example)
    except (RecordsAwayError, EntryRefusedError) as error:
        return failed(MICRO_FAILED, error)
    return await answered(request, accepted, partial(schemas.micro_answer, training_id, example))


@needs(to_train)
async def companion(request: Request, _caller: Caller) -> Response:
    """POST /api/training/micro: the same in the format of older pages."""
    deps = deps_of(request)
    try:
        example = examples.parse_example(await read_object(request, deps.bodies), examples.COMPANION)
    except ExampleError as error:
        return failure(str(error), status=400)
    if (model := deps.cluster.informer.model) is not None and micro_of(model) is None:
        skipped: schemas.Skipped = {
            "success": False,
            "skipped": True,
            "reason": _DISABLED,
            "warning": "Set spec.training.micro.enabled to true to have the model learn from clients",
        }
        return json_response(skipped)
    if (refused := _not_learning(deps)) is not None:
        return refused
    try:
        _, accepted, language = await _record_example(deps, example)
        totals = await recorder_of(deps).records.totals()
    except (RecordsAwayError, EntryRefusedError) as error:
        return failed(MICRO_FAILED, error)
    return await answered(
        request, accepted, partial(schemas.companion_answer, example, language=language, totals=totals)
    )


async def train_from_query(
    request: Request, example: TrainingExample
) -> schemas.TrainedBeside | schemas.NotTrained | None:
    """Records a multi-model query's answers; returns the `training` of its answer. Never fails the query.

    Returns None if micro-training is disabled, as ENABLE_MICROTRAINING=false did.
    """
    deps = deps_of(request)
    if (model := deps.cluster.informer.model) is not None and micro_of(model) is None:
        return None
    caller = await admitted(request, to_train)
    if isinstance(caller, Denied):
        return _not_trained(caller.sentence)
    if model is None:
        return _not_trained(_UNKNOWN)
    try:
        _, accepted, language = await _record_example(deps, example, accepting.query_entry_for_training)
        totals = await recorder_of(deps).records.totals()
    except (RecordsAwayError, EntryRefusedError) as error:
        return _not_trained(str(error))
    return schemas.query_training_answer(
        example, accepted, await served_version(deps), language=language, totals=totals
    )


def _not_trained(why: str) -> schemas.NotTrained:
    return {"success": False, "error": f"No training was started: {why}"}


def _not_learning(deps: Deps) -> Response | None:
    """409 if micro-training is disabled, 503 while that is unknown, else None."""
    model = deps.cluster.informer.model
    if model is not None and micro_of(model) is not None:
        return None
    if model is not None:
        return failure(MICRO_FAILED, _DISABLED, status=409)
    return failure(MICRO_FAILED, _UNKNOWN, status=503, retry=5)


async def _record_example(
    deps: Deps, example: TrainingExample, entry: Callable[..., dict[str, Any]] = accepting.micro_entry
) -> tuple[str, Accepted | None, Language]:
    """Records a post and the event that `entry` makes of it: (training id, its window and run, language).

    Returns None for the window if the post has nothing to train on. Raises RecordsAwayError or EntryRefusedError.
    """
    recorder, training_id = recorder_of(deps), str(uuid.uuid4())
    language = language_of(example.question)
    if not any(example.stages):
        return training_id, None, language
    document = example.document(training_id=training_id, now=timestamp(deps.now()), language=language)
    place = await recorder.records.add_example(document, after=highest_known(deps))
    deps.wake()
    accepted = accepted_in(deps, training_id, "micro", place["window"])
    recorder.record(ENTRIES, entry(example, accepted, await served_version(deps), language=language))
    return training_id, accepted, language


def recorder_of(deps: Deps) -> Recorder:
    """The recorder. Raises RecordsAwayError where the pod has no records service."""
    if deps.recorder is None:
        raise RecordsAwayError("this sidecar has no records service")
    return deps.recorder


def highest_known(deps: Deps) -> int:
    """The highest window that a run has: a records service that lost its volume must not assign its number again."""
    return highest_window(deps.cluster.informer.model, deps.cluster.informer.runs)


def accepted_in(deps: Deps, training_id: str, kind: str, window: int) -> Accepted:
    """A post that was recorded in `window`."""
    name = names.window_run(deps.settings.serving.model, kind, window)
    return _with_run(deps, Accepted(training_id, window, name))


def _with_run(deps: Deps, accepted: Accepted) -> Accepted:
    """The same with its run as last seen."""
    informer = deps.cluster.informer
    held = _SUSPENDED if informer.model and is_suspended(informer.model) else ""
    return replace(accepted, run=_run(accepted.name, informer), held=held)


def _run(name: str, informer: Informer) -> Run | None:
    return next((Run.of(item) for item in informer.runs if item.metadata.name == name), None)


def _ended(name: str, informer: Informer) -> Run | None:
    run = _run(name, informer)
    return run if run is not None and run.state not in ("queued", "running") else None


async def served_version(deps: Deps) -> ServedVersion:
    """The version that answers now, and its metrics."""
    loaded = await deps.loaded()
    try:
        folders = await deps.folders()
    except OSError:
        folders = []
    model = deps.cluster.informer.model
    now = timestamp(deps.now())
    found = metrics_answer(version=loaded.version, folders=folders, model=model, now=now)
    return ServedVersion(found["version"], found["metrics"], found["training"], now)


async def answered(
    request: Request, accepted: Accepted | None, build: Callable[[Any, ServedVersion], Mapping[str, Any]]
) -> Response:
    """The answer that `build` makes, at once or after the wait that the client prefers."""
    deps = deps_of(request)
    seconds = examples.wait_of(request.headers.get("prefer"))
    headers = {"Preference-Applied": f"wait={seconds}"} if seconds else {}
    if accepted is not None and seconds:
        await while_connected(request, _until_ended(deps, accepted.name, seconds))
        accepted = _with_run(deps, accepted)
    return json_response(build(accepted, await served_version(deps)), headers=headers)


async def _until_ended(deps: Deps, name: str, seconds: float) -> None:
    """Wait until the run has ended, `seconds` are over or the pod drains."""
    informer, deadline = deps.cluster.informer, deps.monotonic() + seconds
    while not deps.lifecycle.closing and (left := deadline - deps.monotonic()) > 0:
        if await informer.until(partial(_ended, name), seconds=min(left, _LOOK_SECONDS)):
            return


def failed(sentence: str, error: RecordsAwayError | EntryRefusedError) -> Response:
    """503 if the records service is away, 409 if there is nothing to train on, else 400."""
    if isinstance(error, RecordsAwayError):
        return failure(sentence, str(error), status=503, retry=5)
    return failure(sentence, str(error), status=409 if error.reason == "NothingRecorded" else 400)


async def micro_status(request: Request) -> Response:
    """GET /api/training/micro/status: how many questions were recorded for training."""
    deps = deps_of(request)
    try:
        totals = await recorder_of(deps).records.totals()
    except RecordsAwayError as error:
        return failed("Failed to get status", error)
    model = deps.cluster.informer.model
    body: schemas.MicroStatus = {
        "success": True,
        "status": "unknown" if model is None else "operational" if micro_of(model) else "disabled",
        "state": schemas.micro_state(totals),
        "timestamp": timestamp(deps.now()),
    }
    return json_response(body)


async def micro_stats(request: Request) -> Response:
    """GET /api/training/micro/stats: the same by language and stage, with the newest version trained on it."""
    deps = deps_of(request)
    try:
        totals = await recorder_of(deps).records.totals()
    except RecordsAwayError as error:
        return failed("Failed to get stats", error)
    loaded = await deps.loaded()
    runs = [Run.of(item) for item in deps.cluster.informer.runs]
    stats = schemas.micro_statistics(totals, runs, loaded.version or "unavailable")
    body: schemas.MicroStats = {"success": True, "stats": stats, "timestamp": timestamp(deps.now())}
    return json_response(body)
