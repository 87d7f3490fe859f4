"""`POST /api/oqt/train`: a Major run on the recorded posts; endpoint, shapes and body."""

# ruff: noqa: N815

from __future__ import annotations

import uuid
from datetime import datetime
from functools import partial
from typing import Annotated, Literal, NotRequired

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.auth import Caller, needs, to_train
from oneseek_runtime.sidecar.api.schemas import Answer, RequestBody, T, left_out
from oneseek_runtime.sidecar.api.training import endpoints
from oneseek_runtime.sidecar.api.training.schemas import WindowRun, window_run
from oneseek_runtime.sidecar.deps import Deps, deps_of
from oneseek_runtime.sidecar.http.responses import failure, read_object
from oneseek_runtime.sidecar.records.client import EntryRefusedError, RecordsAwayError
from oneseek_runtime.sidecar.records.recorder import ENTRIES
from oneseek_runtime.sidecar.training import examples
from oneseek_runtime.sidecar.training.accepted import Accepted, ServedVersion, batch_entry
from oneseek_runtime.sidecar.training.examples import ExampleError
from oneseek_runtime.sidecar.training.runs import Run

__all__ = ["BatchAnswer", "BatchAsked", "train"]

_FAILED = "Failed to perform batch training"


class DateRange(RequestBody):
    """Between two times; either may be left out."""

    start: datetime | None = None
    end: datetime | None = None


class BatchAsked(RequestBody):
    """What to train on; everything may be left out."""

    dataSource: Literal["firestore"] | None = Field(default=None, description="The records, wherever they are kept.")
    dateRange: DateRange | None = None


class BatchMetrics(Answer):
    """Of the version that was made; null: not measured."""

    accuracy: float | None
    fairness: float | None
    bias: float | None


class BatchResult(Answer):
    """Zeros until the run is certified; `reason` says why they are."""

    samplesProcessed: int
    epochs: int
    duration_ms: int
    metrics: BatchMetrics
    completed: bool
    reason: NotRequired[Annotated[str, left_out("")]]


class BatchStanding(Answer):
    """The version that the run made, else the one that answers."""

    version: str
    totalWeeklyBatches: int
    totalSamples: int
    lastTraining: str | None


class BatchAnswer(Answer):
    """A run is on its way. `newVersion` is the DNA once there is one, else family and number, if earlier runs succeed."""

    success: Literal[True]
    trainingId: str
    timestamp: T
    previousVersion: str
    newVersion: str
    result: BatchResult
    modelStatus: BatchStanding
    run: WindowRun


def batch_answer(accepted: Accepted, served: ServedVersion, *, previous: str, expected: str) -> BatchAnswer:
    """The 200 body. `previous`: the version that answered then; `expected`: the version that the run will make."""
    run = accepted.run if accepted.done else None
    result: BatchResult = {
        "samplesProcessed": run.samples if run else 0,
        "epochs": run.epochs if run else 0,
        "duration_ms": _milliseconds(run) if run else 0,
        "metrics": {"accuracy": run.exact if run else None, "fairness": None, "bias": None},
        "completed": run is not None,
    }
    if run is None:
        result["reason"] = accepted.reason
    return {
        "success": True,
        "trainingId": accepted.training_id,
        "timestamp": served.now,
        "previousVersion": previous,
        "newVersion": accepted.version or expected,
        "result": result,
        "modelStatus": {
            "version": accepted.version or served.version,
            "totalWeeklyBatches": served.training["weeklyBatches"],
            "totalSamples": served.training["totalSamples"],
            "lastTraining": served.training["lastTraining"],
        },
        "run": window_run(accepted),
    }


def _milliseconds(run: Run) -> int:
    if run.started_at is None or run.completed_at is None:
        return 0
    took = datetime.fromisoformat(run.completed_at) - datetime.fromisoformat(run.started_at)
    return round(took.total_seconds() * 1000)


@needs(to_train)
async def train(request: Request, _caller: Caller) -> Response:
    """POST /api/oqt/train: a Major run on all recorded posts, or on those between two times."""
    deps = deps_of(request)
    try:
        batch = examples.parse_batch(await read_object(request, deps.bodies, only_objects=True))
    except ExampleError as error:
        return failure(_FAILED, str(error), status=400)
    try:
        recorder = endpoints.recorder_of(deps)
        place = await recorder.records.add_major_window(batch.bounds(), after=endpoints.highest_known(deps))
    except (RecordsAwayError, EntryRefusedError) as error:
        return endpoints.failed(_FAILED, error)
    deps.wake()
    accepted = endpoints.accepted_in(deps, str(uuid.uuid4()), "major", place["window"])
    before = await endpoints.served_version(deps)
    build = partial(batch_answer, previous=before.version, expected=_expected(deps, before, accepted))
    recorder.record(ENTRIES, batch_entry(batch, accepted, build(accepted, before), before))
    return await endpoints.answered(request, accepted, build)


def _expected(deps: Deps, before: ServedVersion, accepted: Accepted) -> str:
    """The expected version if all runs before succeed: family and numbers, because hashes are unknown."""
    runs = (Run.of(item) for item in deps.cluster.informer.runs)
    ahead = [run for run in runs if run.type == "Major" and run.state in ("queued", "running")]
    number = before.training["weeklyBatches"] + sum(run.name != accepted.name for run in ahead) + 1
    return f"{deps.settings.serving.family}.v{number}.0"
