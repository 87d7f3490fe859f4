"""The bodies of micro-training: their shapes and how they are built. Pure; field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field, RootModel

from oneseek_runtime.sidecar.api.schemas import Answer, RequestBody, T, left_out
from oneseek_runtime.sidecar.language import Language
from oneseek_runtime.sidecar.training.accepted import Accepted, ServedVersion, companion_stages, dna_of, stages
from oneseek_runtime.sidecar.training.examples import TrainingExample
from oneseek_runtime.sidecar.training.runs import Run

__all__ = [
    "CompanionAnswered",
    "LessonAsked",
    "MicroAnswer",
    "MicroStats",
    "MicroStatus",
    "NotTrained",
    "Skipped",
    "TrainedBeside",
    "WindowRun",
    "companion_answer",
    "micro_answer",
    "micro_state",
    "micro_statistics",
    "query_training_answer",
    "window_run",
]

_LANGUAGES: tuple[Literal["sv", "en"], ...] = ("sv", "en")


class RawResponse(RequestBody):
    """One raw answer to the question."""

    response: str
    model: str | None = None


class LessonAsked(RequestBody):
    """A question to learn."""

    question: str = Field(min_length=1, max_length=100_000)
    rawResponses: list[RawResponse] = Field(max_length=64, description="Stage 1. May be empty.")
    analyzedData: dict[str, Any] | None = Field(
        default=None,
        description="Stage 2: consensus, bias, fairness, and metaSummary, whose `answer` is what is learned; without one,"
        " the raw answer that the others agree with most.",
    )


class WindowRun(Answer):
    """The run that trains it: its name is known before the run is there."""

    name: str
    window: int
    state: Literal["queued", "running", "certified", "rejected", "failed"]
    dna: str | None
    message: str


class RawResult(Answer):
    """What stage 1 did; nothing counts before its run is certified."""

    method: Literal["raw_response_training"]
    samplesProcessed: int
    updated: bool


class AnalysedResult(Answer):
    """What stage 2 did; the numbers are the client's own."""

    method: Literal["analyzed_data_training"]
    metricsUpdated: bool
    consensus: float | None
    bias: float | None
    fairness: float | None


class Stage1(Answer):
    """The raw answers."""

    completed: bool
    reason: NotRequired[Annotated[str, left_out("")]]
    samplesProcessed: int
    result: RawResult


class Stage2(Answer):
    """The analysed answer."""

    completed: bool
    reason: NotRequired[Annotated[str, left_out("")]]
    result: NotRequired[Annotated[AnalysedResult | None, left_out(None)]]


class Stages(Answer):
    """Both."""

    stage1: Stage1
    stage2: Stage2


class MicroStanding(Answer):
    """The version that the run made, else the one that answers."""

    version: str
    totalMicroBatches: int
    lastUpdate: str | None


class MicroAnswer(Answer):
    """It is recorded, and will be trained with its window. `run` is null where there was nothing to learn."""

    success: Literal[True]
    trainingId: str
    timestamp: T
    stages: Stages
    modelStatus: MicroStanding
    run: WindowRun | None


class CompanionRawResult(Answer):
    """What stage 1 did."""

    method: Literal["raw_response_training"]
    samples_processed: int
    updated: bool


class DnaUpdate(Answer):
    """The version that the run made; `needed` is false while there is none."""

    needed: NotRequired[Annotated[bool | None, left_out(None)]]
    dna_updated: NotRequired[Annotated[bool | None, left_out(None)]]
    dna_hash: NotRequired[Annotated[str | None, left_out(None)]]
    total_samples: NotRequired[Annotated[int | None, left_out(None)]]
    timestamp: NotRequired[Annotated[str | None, left_out(None)]]


class CompanionAnalysedResult(AnalysedResult):
    """What stage 2 did."""

    dna_update: DnaUpdate


class CompanionStage1(Answer):
    """The raw answers."""

    completed: bool
    reason: NotRequired[Annotated[str, left_out("")]]
    samples_processed: int
    result: CompanionRawResult


class CompanionStage2(Answer):
    """The analysed answer."""

    completed: bool
    reason: NotRequired[Annotated[str, left_out("")]]
    result: NotRequired[Annotated[CompanionAnalysedResult | None, left_out(None)]]


class CompanionStages(Answer):
    """Both."""

    stage1: CompanionStage1
    stage2: CompanionStage2


class Counted(Answer):
    """How often something was given to learn."""

    totalRuns: int
    runsByLanguage: dict[str, int]


class CountedUntil(Counted):
    """The same, and when the newest came."""

    lastRun: T | None


class CompanionAnswer(Answer):
    """The same as of micro-train, in the words of the older route."""

    success: Literal[True]
    timestamp: T
    model: str
    language: str
    fallback: Literal[False]
    stages: CompanionStages
    state: Counted
    run: WindowRun | None


class Skipped(Answer):
    """Micro-training is disabled."""

    success: Literal[False]
    skipped: Literal[True]
    reason: str
    warning: str


class CompanionAnswered(RootModel[CompanionAnswer | Skipped]):
    """Recorded, or skipped."""


class MicroStatus(Answer):
    """Whether the model learns from clients. `unknown`: the OneSeekModel has not been read yet."""

    success: Literal[True]
    status: Literal["operational", "disabled", "unknown"]
    state: CountedUntil
    timestamp: T


class LastDna(Answer):
    """The newest version of a Micro run: the digest of its manifest."""

    dna_hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    total_samples: int
    timestamp: str | None


class Learned(Answer):
    """What was given to learn in one language."""

    model: str
    stage1Samples: int
    stage2Samples: int
    totalSamples: int
    lastDNA: LastDna | None


class Stats(CountedUntil):
    """By language."""

    models: dict[str, Learned]


class MicroStats(Answer):
    """What was given to learn, by language and stage."""

    success: Literal[True]
    stats: Stats
    timestamp: T


class NotTrained(Answer):
    """Why nothing was trained."""

    success: Literal[False]
    error: str


class TrainedBeside(CompanionStages):
    """The answers are recorded to be learned, as micro-train's are; the run that trains them has a name already."""

    success: Literal[True]
    language: Literal["sv", "en"]
    model: str
    fallback: Literal[False]
    state: Counted
    run: WindowRun | None


def window_run(accepted: Accepted) -> WindowRun:
    """The `run` of an answer."""
    state, message = (accepted.run.state, accepted.run.message) if accepted.run else ("queued", "")
    if state == "queued" and accepted.held:
        message = accepted.held
    return {
        "name": accepted.name,
        "window": accepted.window,
        "state": state,
        "dna": accepted.version,
        "message": message,
    }


def micro_answer(
    training_id: str, example: TrainingExample, accepted: Accepted | None, served: ServedVersion
) -> MicroAnswer:
    """The 200 body of micro-train; `accepted` is None if the post has nothing to train on."""
    return {
        "success": True,
        "trainingId": training_id,
        "timestamp": served.now,
        "stages": cast("Stages", stages(example, accepted, "samplesProcessed")),
        "modelStatus": {
            "version": (accepted and accepted.version) or served.version,
            "totalMicroBatches": served.training["microBatches"],
            "lastUpdate": served.training["lastTraining"],
        },
        "run": window_run(accepted) if accepted else None,
    }


def companion_answer(
    example: TrainingExample,
    accepted: Accepted | None,
    served: ServedVersion,
    *,
    language: str,
    totals: Mapping[str, Any],
) -> CompanionAnswer:
    """The 200 body of `POST /api/training/micro`."""
    return {
        "success": True,
        "timestamp": served.now,
        "model": (accepted and accepted.version) or served.version,
        "language": language,
        "fallback": False,
        "stages": cast("CompanionStages", companion_stages(example, accepted)),
        "state": _counted(totals),
        "run": window_run(accepted) if accepted else None,
    }


def query_training_answer(
    example: TrainingExample,
    accepted: Accepted | None,
    served: ServedVersion,
    *,
    language: Language,
    totals: Mapping[str, Any],
) -> TrainedBeside:
    """The `training` of a multi-model query: the same, with the stages side by side."""
    return {
        "success": True,
        "language": language,
        "model": (accepted and accepted.version) or served.version,
        "fallback": False,
        "state": _counted(totals),
        "run": window_run(accepted) if accepted else None,
        **cast("CompanionStages", companion_stages(example, accepted)),
    }


def _counted(totals: Mapping[str, Any]) -> Counted:
    state = micro_state(totals)
    return {"totalRuns": state["totalRuns"], "runsByLanguage": state["runsByLanguage"]}


def micro_state(totals: Mapping[str, Any]) -> CountedUntil:
    """The number of recorded posts, by language."""
    return {
        "totalRuns": _whole(totals.get("questions")),
        "lastRun": totals.get("lastAt"),
        "runsByLanguage": {key: _whole(_of(totals, key).get("questions")) for key in _LANGUAGES},
    }


def micro_statistics(totals: Mapping[str, Any], runs: Sequence[Run], version: str) -> Stats:
    """The `stats` of `/api/training/micro/stats`, with each language's newest version made by a Micro run."""
    return {**micro_state(totals), "models": {key: _learned(key, totals, runs, version) for key in _LANGUAGES}}


def _learned(language: str, totals: Mapping[str, Any], runs: Sequence[Run], version: str) -> Learned:
    counted = _of(totals, language)
    first, second = _whole(counted.get("stage1")), _whole(counted.get("stage2"))
    mine = (run for run in reversed(runs) if run.type == "Micro" and run.language in (language, "ensv"))
    newest = next((found for run in mine if (found := dna_of(run))), None)
    return {
        "model": version,
        "stage1Samples": first,
        "stage2Samples": second,
        "totalSamples": first + second,
        "lastDNA": cast("LastDna | None", newest),
    }


def _of(totals: Mapping[str, Any], language: str) -> Mapping[str, Any]:
    found = (totals.get("languages") or {}).get(language)
    return found if isinstance(found, Mapping) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
