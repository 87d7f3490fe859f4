"""The routes by which clients give the model something to learn in Micro runs, and the steps they share with `major`.

They record durably, wake the loop that tells the operator, and answer at once; or, with `Prefer: wait=N`, once the run
has ended.
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
from oneseek_runtime.sidecar.api.auth import Caller, Refusal, admitted, needs, to_train
from oneseek_runtime.sidecar.api.oqt.metrics import metrics_answer
from oneseek_runtime.sidecar.api.schemas import Failure
from oneseek_runtime.sidecar.api.training import schemas
from oneseek_runtime.sidecar.cluster.informer import Mirror
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import json_response, read_object, timestamp
from oneseek_runtime.sidecar.language import language_of
from oneseek_runtime.sidecar.records.client import EntryRefusedError, RecordsAwayError
from oneseek_runtime.sidecar.records.recorder import ENTRIES, Recorder
from oneseek_runtime.sidecar.training import accepted as accepting
from oneseek_runtime.sidecar.training import examples
from oneseek_runtime.sidecar.training.accepted import Accepted, Standing
from oneseek_runtime.sidecar.training.examples import Lesson, LessonError
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
    "standing_of",
    "trained_beside",
]

MICRO_FAILED = "Failed to perform micro-training"

_DISABLED = "spec.training.micro.enabled of the OneSeekModel is false: nothing is trained on what clients send"
_UNKNOWN = "the OneSeekModel has not been read yet, so it is not known whether it is to learn from clients"
_SUSPENDED = (
    "spec.training.suspend of the OneSeekModel is true: what clients send is kept, and trained once it is false"
)
_LOOK_SECONDS = 1.0  # a waiting client is answered so soon after the pod begins to drain


@needs(to_train)
async def micro_train(request: Request, _caller: Caller) -> Response:
    """POST /api/oqt/micro-train: puts a question with answers into the open window."""
    deps = deps_of(request)
    try:
        lesson = examples.parse_lesson(await read_object(request, deps.bodies), examples.OQT)
    except LessonError as error:
        return json_response({"success": False, "error": str(error)}, status=400)
    if (refused := _not_learning(deps)) is not None:
        return refused
    try:
        training_id, accepted, _ = await _teach(deps, lesson)
    except (RecordsAwayError, EntryRefusedError) as error:
        return failed(MICRO_FAILED, error)
    return await answered(request, accepted, partial(schemas.micro_answer, training_id, lesson))


@needs(to_train)
async def companion(request: Request, _caller: Caller) -> Response:
    """POST /api/training/micro: the same for older pages."""
    deps = deps_of(request)
    try:
        lesson = examples.parse_lesson(await read_object(request, deps.bodies), examples.COMPANION)
    except LessonError as error:
        return json_response({"success": False, "error": str(error)}, status=400)
    if (model := deps.cluster.mirror.model) is not None and micro_of(model) is None:
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
        _, accepted, language = await _teach(deps, lesson)
        totals = await recorder_of(deps).records.totals()
    except (RecordsAwayError, EntryRefusedError) as error:
        return failed(MICRO_FAILED, error)
    return await answered(
        request, accepted, partial(schemas.companion_answer, lesson, language=language, totals=totals)
    )


async def trained_beside(request: Request, lesson: Lesson) -> schemas.TrainedBeside | schemas.NotTrained | None:
    """Records the answers of a multi-model query for training; the `training` of its answer. Never fails the query.

    None where micro-training is disabled: what `ENABLE_MICROTRAINING=false` was said to mean.
    """
    deps = deps_of(request)
    if (model := deps.cluster.mirror.model) is not None and micro_of(model) is None:
        return None
    caller = await admitted(request, to_train)
    if isinstance(caller, Refusal):
        return _not_trained(caller.sentence)
    if model is None:
        return _not_trained(_UNKNOWN)
    try:
        _, accepted, language = await _teach(deps, lesson, accepting.beside_entry)
        totals = await recorder_of(deps).records.totals()
    except (RecordsAwayError, EntryRefusedError) as error:
        return _not_trained(str(error))
    return schemas.beside_answer(lesson, accepted, await standing_of(deps), language=language, totals=totals)


def _not_trained(why: str) -> schemas.NotTrained:
    return {"success": False, "error": f"No training was started: {why}"}


def _not_learning(deps: Deps) -> Response | None:
    """409 where micro-training is disabled, 503 while that is not known; None: go on."""
    model = deps.cluster.mirror.model
    if model is not None and micro_of(model) is not None:
        return None
    body: Failure = {"success": False, "error": MICRO_FAILED, "message": _DISABLED if model else _UNKNOWN}
    return json_response(body, status=409) if model else json_response(body, status=503, headers={"Retry-After": "5"})


async def _teach(
    deps: Deps, lesson: Lesson, entry: Callable[..., dict[str, Any]] = accepting.micro_entry
) -> tuple[str, Accepted | None, str]:
    """Records a post and the event that `entry` makes of it: (training id, its place, language).

    Returns no place if the post has nothing to train on. Raises RecordsAwayError or EntryRefusedError.
    """
    recorder, training_id = recorder_of(deps), str(uuid.uuid4())
    language = language_of(lesson.question)
    if not any(lesson.stages):
        return training_id, None, language
    document = lesson.document(training_id=training_id, now=timestamp(deps.now()), language=language)
    place = await recorder.records.teach(document, after=highest_known(deps))
    deps.wake()
    accepted = accepted_in(deps, training_id, "micro", place["window"])
    recorder.keep(ENTRIES, entry(lesson, accepted, await standing_of(deps), language=language))
    return training_id, accepted, language


def recorder_of(deps: Deps) -> Recorder:
    """The recorder. Raises RecordsAwayError where the pod has no records service."""
    if deps.recorder is None:
        raise RecordsAwayError("this sidecar has no records service")
    return deps.recorder


def highest_known(deps: Deps) -> int:
    """The highest window that a run has; a records service that lost its volume must not assign its number again."""
    return highest_window(deps.cluster.mirror.model or {}, deps.cluster.mirror.runs)


def accepted_in(deps: Deps, training_id: str, kind: str, window: int) -> Accepted:
    """A post that was recorded in `window`."""
    name = names.window_run(deps.settings.serving.model, kind, window)
    return _with_run(deps, Accepted(training_id, window, name))


def _with_run(deps: Deps, accepted: Accepted) -> Accepted:
    """The same with its run as last seen."""
    mirror = deps.cluster.mirror
    held = _SUSPENDED if mirror.model and is_suspended(mirror.model) else ""
    return replace(accepted, run=_run(accepted.name, mirror), held=held)


def _run(name: str, mirror: Mirror) -> Run | None:
    return next((Run.of(item) for item in mirror.runs if item["metadata"]["name"] == name), None)


def _ended(name: str, mirror: Mirror) -> Run | None:
    run = _run(name, mirror)
    return run if run is not None and run.state not in ("queued", "running") else None


async def standing_of(deps: Deps) -> Standing:
    """The version that answers now, and its metrics."""
    loaded = await deps.loaded()
    try:
        folders = await deps.folders()
    except OSError:
        folders = []
    model = deps.cluster.mirror.model
    counters = model.get("status", {}).get("counters") if model else None
    now = timestamp(deps.now())
    found = metrics_answer(version=loaded.version, folders=folders, counters=counters, now=now)
    return Standing(found["version"], found["metrics"], found["training"], now)


async def answered(
    request: Request, accepted: Accepted | None, build: Callable[[Any, Standing], Mapping[str, Any]]
) -> Response:
    """The answer that `build` makes, at once or after the wait that the client prefers."""
    deps = deps_of(request)
    seconds = examples.wait_of(request.headers.get("prefer"))
    headers = {"Preference-Applied": f"wait={seconds}"} if seconds else {}
    if accepted is not None and seconds:
        await while_connected(request, _until_ended(deps, accepted.name, seconds))
        accepted = _with_run(deps, accepted)
    return json_response(build(accepted, await standing_of(deps)), headers=headers)


async def _until_ended(deps: Deps, name: str, seconds: float) -> None:
    """Wait until the run has ended, the time is over or the pod drains."""
    mirror, deadline = deps.cluster.mirror, deps.monotonic() + seconds
    while not deps.lifecycle.closing and (left := deadline - deps.monotonic()) > 0:
        if await mirror.until(partial(_ended, name), seconds=min(left, _LOOK_SECONDS)):
            return


def failed(failure: str, error: RecordsAwayError | EntryRefusedError) -> Response:
    """503 where trying again may help; 409 where there is nothing to train on; 400 for what makes no sense."""
    body: Failure = {"success": False, "error": failure, "message": str(error)}
    if isinstance(error, RecordsAwayError):
        return json_response(body, status=503, headers={"Retry-After": "5"})
    return json_response(body, status=409 if error.reason == "NothingRecorded" else 400)


async def micro_status(request: Request) -> Response:
    """GET /api/training/micro/status: how many questions were recorded for training."""
    deps = deps_of(request)
    try:
        totals = await recorder_of(deps).records.totals()
    except RecordsAwayError as error:
        return failed("Failed to get status", error)
    model = deps.cluster.mirror.model
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
    runs = [Run.of(item) for item in deps.cluster.mirror.runs]
    stats = schemas.micro_statistics(totals, runs, loaded.version or "unavailable")
    body: schemas.MicroStats = {"success": True, "stats": stats, "timestamp": timestamp(deps.now())}
    return json_response(body)
