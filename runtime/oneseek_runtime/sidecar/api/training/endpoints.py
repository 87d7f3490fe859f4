"""The public routes by which clients have the model learn.

They record durably, wake the loop that tells the operator, and answer at once; or, with `Prefer: wait=N`, once the run
has ended.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oneseek_core import names
from oneseek_runtime.sidecar.api.auth import Caller, Refusal, admitted, needs, to_train
from oneseek_runtime.sidecar.api.oqt.bodies import STATUS_FAILED
from oneseek_runtime.sidecar.api.oqt.metrics import metrics_answer
from oneseek_runtime.sidecar.certified_folders import certified_folders
from oneseek_runtime.sidecar.cluster.informer import Mirror
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.request_body import while_connected
from oneseek_runtime.sidecar.http.responses import json_response, read_object, timestamp
from oneseek_runtime.sidecar.language import language_of
from oneseek_runtime.sidecar.records.client import EntryRefusedError, RecordsAwayError
from oneseek_runtime.sidecar.records.recorder import ENTRIES, Recorder
from oneseek_runtime.sidecar.training import bodies, examples
from oneseek_runtime.sidecar.training.bodies import Accepted, Standing
from oneseek_runtime.sidecar.training.examples import Lesson, LessonError
from oneseek_runtime.sidecar.training.runs import Run
from oneseek_runtime.sidecar.training.window_notifier import highest_window, is_suspended, micro_of

__all__ = ["companion", "micro_stats", "micro_status", "micro_train", "train", "trained_beside"]

MICRO_FAILED = "Failed to perform micro-training"
BATCH_FAILED = "Failed to perform batch training"
STATS_FAILED = "Failed to get stats"

_DISABLED = "spec.training.micro.enabled of the OneSeekModel is false: nothing is trained on what clients send"
_UNKNOWN = "the OneSeekModel has not been read yet, so it is not known whether it is to learn from clients"
_SUSPENDED = (
    "spec.training.suspend of the OneSeekModel is true: what clients send is kept, and trained once it is false"
)
_LOOK_SECONDS = 1.0  # a waiting client is answered so soon after the pod begins to drain


@needs(to_train)
async def micro_train(request: Request, _caller: Caller) -> Response:
    """POST /api/oqt/micro-train: something to learn, into the open window."""
    deps = deps_of(request)
    try:
        lesson = examples.parse_lesson(await read_object(request, deps.bodies), examples.OQT)
    except LessonError as error:
        return json_response({"success": False, "error": str(error)}, status=400)
    if (refused := _not_learning(deps, MICRO_FAILED)) is not None:
        return refused
    try:
        training_id, accepted, _ = await _teach(deps, lesson)
    except (RecordsAwayError, EntryRefusedError) as error:
        return _failed(MICRO_FAILED, error)
    return await _answered(
        request, accepted, lambda now, standing: bodies.micro_answer(training_id, lesson, now, standing)
    )


@needs(to_train)
async def companion(request: Request, _caller: Caller) -> Response:
    """POST /api/training/micro: the same, as the older pages ask for it."""
    deps = deps_of(request)
    try:
        lesson = examples.parse_lesson(await read_object(request, deps.bodies), examples.COMPANION)
    except LessonError as error:
        return json_response({"success": False, "error": str(error)}, status=400)
    if (model := deps.cluster.mirror.model) is not None and micro_of(model) is None:
        warning = "Set spec.training.micro.enabled to true to have the model learn from clients"
        return json_response({"success": False, "skipped": True, "reason": _DISABLED, "warning": warning})
    if (refused := _not_learning(deps, MICRO_FAILED)) is not None:
        return refused
    try:
        _, accepted, language = await _teach(deps, lesson)
        totals = await _recorder(deps).records.totals()
    except (RecordsAwayError, EntryRefusedError) as error:
        return _failed(MICRO_FAILED, error)

    def answer(now: Accepted | None, standing: Standing) -> Mapping[str, Any]:
        return bodies.companion_answer(lesson, now, standing, language=language, totals=totals)

    return await _answered(request, accepted, answer)


async def trained_beside(request: Request, lesson: Lesson) -> dict[str, Any] | None:
    """What becomes of what a multi-model query found out: the `training` of its answer, which never fails the query.

    None where micro-training is disabled: what `ENABLE_MICROTRAINING=false` was said to mean.
    """
    deps = deps_of(request)
    if (model := deps.cluster.mirror.model) is not None and micro_of(model) is None:
        return None
    caller = await admitted(request, to_train)
    if isinstance(caller, Refusal):
        return {"success": False, "error": f"No training was started: {caller.sentence}"}
    if model is None:
        return {"success": False, "error": f"No training was started: {_UNKNOWN}"}
    try:
        _, accepted, language = await _teach(deps, lesson, bodies.beside_entry)
        totals = await _recorder(deps).records.totals()
    except (RecordsAwayError, EntryRefusedError) as error:
        return {"success": False, "error": f"No training was started: {error}"}
    now = await _standing(deps)
    return bodies.beside_answer(lesson, accepted, now, language=language, totals=totals)


def _not_learning(deps: Deps, failure: str) -> Response | None:
    """409 where micro-training is disabled, 503 while that is not known; None: go on."""
    model = deps.cluster.mirror.model
    if model is None:
        body = {"success": False, "error": failure, "message": _UNKNOWN}
        return json_response(body, status=503, headers={"Retry-After": "5"})
    if micro_of(model) is None:
        return json_response({"success": False, "error": failure, "message": _DISABLED}, status=409)
    return None


def _recorder(deps: Deps) -> Recorder:
    if deps.recorder is None:
        raise RecordsAwayError("this sidecar has no records service")
    return deps.recorder


async def _teach(
    deps: Deps, lesson: Lesson, entry: Callable[..., dict[str, Any]] = bodies.micro_entry
) -> tuple[str, Accepted | None, str]:
    """Have it recorded, with the event that `entry` makes of it: (training id, where it stands, language). What holds nothing to learn stands nowhere.

    Raises:
        RecordsAwayError, EntryRefusedError: it is not recorded.
    """
    recorder, training_id = _recorder(deps), str(uuid.uuid4())
    language = language_of(lesson.question)
    if not any(lesson.stages):
        return training_id, None, language
    now = timestamp(deps.now())
    document = lesson.document(training_id=training_id, now=now, language=language)
    place = await recorder.records.teach(document, after=_highest(deps))
    deps.wake()
    accepted = _accepted(deps, training_id, "micro", place["window"])
    standing = await _standing(deps)
    recorder.keep(ENTRIES, entry(lesson, accepted, standing, language=language))
    return training_id, accepted, language


def _highest(deps: Deps) -> int:
    """The highest window that a run bears: records that were lost must not give its number again."""
    mirror = deps.cluster.mirror
    return highest_window(mirror.model or {}, mirror.runs)


def _accepted(deps: Deps, training_id: str, kind: str, window: int) -> Accepted:
    name = names.window_run(deps.settings.serving.model, kind, window)
    return _as_it_is(deps, Accepted(training_id, window, name))


def _as_it_is(deps: Deps, accepted: Accepted) -> Accepted:
    """The same with its run as the mirror has it now."""
    mirror = deps.cluster.mirror
    held = _SUSPENDED if mirror.model and is_suspended(mirror.model) else ""
    return replace(accepted, run=_run(mirror, accepted.name), held=held)


def _run(mirror: Mirror, name: str) -> Run | None:
    return next((Run.of(item) for item in mirror.runs if item["metadata"]["name"] == name), None)


def _ended(name: str, mirror: Mirror) -> Run | None:
    run = _run(mirror, name)
    return run if run is not None and run.state not in ("queued", "running") else None


async def _standing(deps: Deps) -> Standing:
    """What answers now, and what is known of it."""
    serving = deps.settings.serving
    loaded = await deps.loaded()
    try:
        folders = await asyncio.to_thread(certified_folders, Path(serving.certified_path), serving.family)
    except OSError:
        folders = []
    model = deps.cluster.mirror.model
    counters = model.get("status", {}).get("counters") if model else None
    now = timestamp(deps.now())
    found = metrics_answer(version=loaded.version, folders=folders, counters=counters, now=now)
    return Standing(found["version"], found["metrics"], found["training"], now)


async def _answered(request: Request, accepted: Accepted | None, answer: Any) -> Response:
    """The answer, at once or after the wait that the client prefers."""
    deps = deps_of(request)
    seconds = examples.wait_of(request.headers.get("prefer"))
    headers = {"Preference-Applied": f"wait={seconds}"} if seconds else {}
    if accepted is not None and seconds:
        await while_connected(request, _until_ended(deps, accepted.name, seconds))
        accepted = _as_it_is(deps, accepted)
    return json_response(answer(accepted, await _standing(deps)), headers=headers)


async def _until_ended(deps: Deps, name: str, seconds: float) -> None:
    """Wait until the run has ended, the time is over or the pod drains."""
    mirror, deadline = deps.cluster.mirror, deps.monotonic() + seconds
    while not deps.lifecycle.closing and (left := deadline - deps.monotonic()) > 0:
        if await mirror.until(partial(_ended, name), seconds=min(left, _LOOK_SECONDS)):
            return


@needs(to_train)
async def train(request: Request, _caller: Caller) -> Response:
    """POST /api/oqt/train: a major run on all that clients sent so far, or between two times."""
    deps = deps_of(request)
    try:
        batch = examples.parse_batch(await read_object(request, deps.bodies, only_objects=True))
    except LessonError as error:
        return json_response({"success": False, "error": BATCH_FAILED, "message": str(error)}, status=400)
    try:
        recorder = _recorder(deps)
        place = await recorder.records.gather(batch.bounds(), after=_highest(deps))
    except (RecordsAwayError, EntryRefusedError) as error:
        return _failed(BATCH_FAILED, error)
    deps.wake()
    accepted = _accepted(deps, str(uuid.uuid4()), "major", place["window"])
    before = await _standing(deps)
    build = partial(bodies.batch_answer, previous=before.version, expected=_expected(deps, before, accepted))
    recorder.keep(ENTRIES, bodies.batch_entry(batch, accepted, build(accepted, before), before))
    return await _answered(request, accepted, build)


def _expected(deps: Deps, before: Standing, accepted: Accepted) -> str:
    """The version that the run makes if those before it make theirs: family and numbers, for hashes are not known."""
    runs = (Run.of(item) for item in deps.cluster.mirror.runs)
    ahead = [run for run in runs if run.type == "Major" and run.state in ("queued", "running")]
    number = before.training["weeklyBatches"] + sum(run.name != accepted.name for run in ahead) + 1
    return f"{deps.settings.serving.family}.v{number}.0"


def _failed(failure: str, error: RecordsAwayError | EntryRefusedError) -> Response:
    """503 where trying again may help; 409 where there is nothing to train on; 400 for what makes no sense."""
    body = {"success": False, "error": failure, "message": str(error)}
    if isinstance(error, RecordsAwayError):
        return json_response(body, status=503, headers={"Retry-After": "5"})
    return json_response(body, status=409 if error.reason == "NothingRecorded" else 400)


async def micro_status(request: Request) -> Response:
    """GET /api/training/micro/status: how often something was given to learn."""
    deps = deps_of(request)
    try:
        totals = await _recorder(deps).records.totals()
    except RecordsAwayError as error:
        return _failed(STATUS_FAILED, error)
    model = deps.cluster.mirror.model
    word = "unknown" if model is None else "operational" if micro_of(model) else "disabled"
    state = bodies.micro_state(totals)
    return json_response({"success": True, "status": word, "state": state, "timestamp": timestamp(deps.now())})


async def micro_stats(request: Request) -> Response:
    """GET /api/training/micro/stats: the same by language and stage, with the newest version that learned from it."""
    deps = deps_of(request)
    try:
        totals = await _recorder(deps).records.totals()
    except RecordsAwayError as error:
        return _failed(STATS_FAILED, error)
    loaded = await deps.loaded()
    runs = [Run.of(item) for item in deps.cluster.mirror.runs]
    stats = bodies.micro_stats(totals, runs, loaded.version or "unavailable")
    return json_response({"success": True, "stats": stats, "timestamp": timestamp(deps.now())})
