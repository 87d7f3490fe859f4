"""What clients get who posted something to learn: the bodies of micro-train, train and `/api/training/micro*`. Pure.

A question is accepted before anything is trained, so an answer says what is true at that moment: the window that the
question durably stands in, the name that window's run will have, and, of a run that has ended, what came of it. A stage
is completed once the run is certified (a version that the gate refuses was trained all the same); until then nothing
counts as processed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from oneseek_runtime.sidecar.training.examples import Batch, Lesson
from oneseek_runtime.sidecar.training.runs import Run

__all__ = [
    "Accepted",
    "Standing",
    "batch_answer",
    "batch_entry",
    "beside_answer",
    "beside_entry",
    "companion_answer",
    "dna_of",
    "micro_answer",
    "micro_entry",
    "micro_state",
    "micro_stats",
    "stages",
]

_NO_RAW = "No raw responses provided"
_NO_ANALYSIS = "No analyzed data provided"
_LANGUAGES: tuple[Literal["sv", "en"], ...] = ("sv", "en")


@dataclass(frozen=True, slots=True)
class Standing:
    """What answers at the moment, and what is known of it: parts of the bodies of `GET /api/oqt/metrics`."""

    version: str
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    now: str

    def document(self) -> dict[str, Any]:
        """`oqt_metrics`, with the counters' names of the old collection."""
        totals = {"totalSamples": self.training["totalSamples"], "weeklyBatch": self.training["weeklyBatches"]}
        return {
            "version": self.version,
            "metrics": self.numbers("accuracy", "fairness", "bias", "consensus"),
            "training": {**totals, "microBatch": self.training["microBatches"]},
            "timestamp": self.now,
        }

    def numbers(self, *keys: str) -> dict[str, Any]:
        """Some of the metrics; null where nothing measured them."""
        return {key: self.metrics.get(key) for key in keys}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A post that durably stands in a window, and that window's run as it is now, if it is there yet."""

    training_id: str
    window: int
    name: str
    run: Run | None = None
    held: str = ""  # why no run of the model starts

    @property
    def done(self) -> bool:
        """The run has made a version."""
        return self.run is not None and self.run.state in ("certified", "rejected")

    @property
    def version(self) -> str | None:
        """The version it made."""
        return self.run.dna if self.run and self.done else None

    @property
    def reason(self) -> str:
        """Why it is not done."""
        if self.run is None or self.run.state == "queued":
            return "suspended" if self.held else "queued"
        return "training" if self.run.state == "running" else f"failed: {self.run.message or self.run.reason}"

    def shown(self) -> dict[str, Any]:
        """The `run` of an answer."""
        state, message = (self.run.state, self.run.message) if self.run else ("queued", "")
        if state == "queued" and self.held:
            message = self.held
        return {"name": self.name, "window": self.window, "state": state, "dna": self.version, "message": message}


def _stage(accepted: Accepted | None, *, has: bool, without: str) -> dict[str, Any]:
    if not has or accepted is None:
        return {"completed": False, "reason": without}
    return {"completed": True} if accepted.done else {"completed": False, "reason": accepted.reason}


def _given(lesson: Lesson) -> dict[str, Any]:
    """The numbers of a client's analysis, as it gave them."""
    analysis = lesson.analysis or {}
    return {key: _number(analysis.get(key)) for key in ("consensus", "bias", "fairness")}


def _number(value: object) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def stages(lesson: Lesson, accepted: Accepted | None, count: str) -> dict[str, dict[str, Any]]:
    """Both stages, as far as the two routes agree; `count` is their key for the number of answers."""
    raw, analysed = lesson.stages
    first = _stage(accepted, has=raw > 0, without=_NO_RAW)
    trained = raw if first["completed"] else 0
    result = {"method": "raw_response_training", count: trained, "updated": first["completed"]}
    second = _stage(accepted, has=analysed, without=_NO_ANALYSIS)
    if analysed:
        second["result"] = {
            "method": "analyzed_data_training",
            "metricsUpdated": second["completed"],
            **_given(lesson),
        }
    elif lesson.analysis is not None:
        second["reason"] = "The analyzed data name no answer, and there is no raw one"
    return {"stage1": {**first, count: trained, "result": result}, "stage2": second}


def micro_answer(training_id: str, lesson: Lesson, accepted: Accepted | None, standing: Standing) -> dict[str, Any]:
    """The 200 body of micro-train. Without `accepted` there was nothing in the post to learn."""
    return {
        "success": True,
        "trainingId": training_id,
        "timestamp": standing.now,
        "stages": stages(lesson, accepted, "samplesProcessed"),
        "modelStatus": {
            "version": (accepted and accepted.version) or standing.version,
            "totalMicroBatches": standing.training["microBatches"],
            "lastUpdate": standing.training["lastTraining"],
        },
        "run": accepted.shown() if accepted else None,
    }


def companion_answer(
    lesson: Lesson, accepted: Accepted | None, standing: Standing, *, language: str, totals: Mapping[str, Any]
) -> dict[str, Any]:
    """The 200 body of `POST /api/training/micro`."""
    return {
        "success": True,
        "timestamp": standing.now,
        "model": (accepted and accepted.version) or standing.version,
        "language": language,
        "fallback": False,
        "stages": _companion_stages(lesson, accepted),
        "state": _counted(totals),
        "run": accepted.shown() if accepted else None,
    }


def _companion_stages(lesson: Lesson, accepted: Accepted | None) -> dict[str, dict[str, Any]]:
    both = stages(lesson, accepted, "samples_processed")
    if result := both["stage2"].get("result"):
        known = dna_of(accepted.run) if accepted else None
        result["dna_update"] = {"dna_updated": True, **known} if known else {"needed": False}
    return both


def _counted(totals: Mapping[str, Any]) -> dict[str, Any]:
    state = micro_state(totals)
    return {key: state[key] for key in ("totalRuns", "runsByLanguage")}


def beside_answer(
    lesson: Lesson, accepted: Accepted | None, standing: Standing, *, language: str, totals: Mapping[str, Any]
) -> dict[str, Any]:
    """The `training` of a multi-model query: the same, with the stages side by side."""
    whole = companion_answer(lesson, accepted, standing, language=language, totals=totals)
    kept = {key: whole[key] for key in ("success", "language", "model", "fallback", "state", "run")}
    return {**kept, **whole["stages"]}


def dna_of(run: Run | None) -> dict[str, Any] | None:
    """What a run that made a version changed; None of any other."""
    if run is None or run.dna is None or run.digest is None or run.state not in ("certified", "rejected"):
        return None
    return {
        "dna_hash": run.digest.removeprefix("sha256:"),
        "total_samples": run.samples,
        "timestamp": run.completed_at,
    }


def micro_state(totals: Mapping[str, Any]) -> dict[str, Any]:
    """How often something was given to learn, as the records service counted it."""
    return {
        "totalRuns": _whole(totals.get("questions")),
        "lastRun": totals.get("lastAt"),
        "runsByLanguage": {key: _whole(_of(totals, key).get("questions")) for key in _LANGUAGES},
    }


def micro_stats(totals: Mapping[str, Any], runs: Sequence[Run], version: str) -> dict[str, Any]:
    """The `stats` of `/api/training/micro/stats`; the newest version that a Micro run made of each language."""
    return {**micro_state(totals), "models": {key: _learned(key, totals, runs, version) for key in _LANGUAGES}}


def _learned(language: str, totals: Mapping[str, Any], runs: Sequence[Run], version: str) -> dict[str, Any]:
    counted = _of(totals, language)
    first, second = _whole(counted.get("stage1")), _whole(counted.get("stage2"))
    mine = (run for run in reversed(runs) if run.type == "Micro" and run.language in (language, "ensv"))
    newest = next((found for run in mine if (found := dna_of(run))), None)
    return {
        "model": version,
        "stage1Samples": first,
        "stage2Samples": second,
        "totalSamples": first + second,
        "lastDNA": newest,
    }


def _of(totals: Mapping[str, Any], language: str) -> Mapping[str, Any]:
    found = (totals.get("languages") or {}).get(language)
    return found if isinstance(found, Mapping) else {}


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def micro_entry(lesson: Lesson, accepted: Accepted, standing: Standing, *, language: str) -> dict[str, Any]:
    """What is recorded of micro-train: the event, and what was measured then. The ledger tells the run, once there is one."""
    both = stages(lesson, accepted, "samplesProcessed")
    event = {
        "type": "micro-training",
        **_taught(lesson, accepted, language),
        "samplesProcessed": both["stage1"]["samplesProcessed"],
        "stage1": both["stage1"],
        "stage2": both["stage2"] if lesson.analysis is not None else None,
    }
    return _entry(accepted, event | _of_version(standing), standing)


def beside_entry(lesson: Lesson, accepted: Accepted, standing: Standing, *, language: str) -> dict[str, Any]:
    """What is recorded of what a multi-model query gave to learn."""
    result = {"success": True, "language": language, "model": standing.version, "fallback": False}
    event = {
        "type": "multi-model-micro-training",
        **_taught(lesson, accepted, language),
        "trainingResult": {**result, **_companion_stages(lesson, accepted)},
    }
    return _entry(accepted, event | _of_version(standing), standing)


def _taught(lesson: Lesson, accepted: Accepted, language: str) -> dict[str, Any]:
    asked = {"question": lesson.question, "language": language, "samplesReceived": len(lesson.raw)}
    return {**asked, "run": accepted.name}


def _of_version(standing: Standing) -> dict[str, Any]:
    metrics = standing.numbers("accuracy", "fairness", "bias", "consensus")
    return {"modelVersion": standing.version, "metrics": metrics}


def _entry(accepted: Accepted, event: Mapping[str, Any], standing: Standing) -> dict[str, Any]:
    of_event = {"trainingId": accepted.training_id, **event, "timestamp": standing.now}
    documents = {"oqt_training_events": of_event, "oqt_metrics": standing.document()}
    return {"id": accepted.training_id, "documents": documents}


def batch_answer(accepted: Accepted, standing: Standing, *, previous: str, expected: str) -> dict[str, Any]:
    """The 200 body of train. `previous` answered when it was accepted; `expected` names what the run will make."""
    run = accepted.run if accepted.done else None
    metrics = {"accuracy": run.exact if run else None, "fairness": None, "bias": None}
    return {
        "success": True,
        "trainingId": accepted.training_id,
        "timestamp": standing.now,
        "previousVersion": previous,
        "newVersion": accepted.version or expected,
        "result": {
            "samplesProcessed": run.samples if run else 0,
            "epochs": run.epochs if run else 0,
            "duration_ms": _milliseconds(run) if run else 0,
            "metrics": metrics,
            "completed": run is not None,
            **({} if run else {"reason": accepted.reason}),
        },
        "modelStatus": {
            "version": accepted.version or standing.version,
            "totalWeeklyBatches": standing.training["weeklyBatches"],
            "totalSamples": standing.training["totalSamples"],
            "lastTraining": standing.training["lastTraining"],
        },
        "run": accepted.shown(),
    }


def _milliseconds(run: Run) -> int:
    if run.started_at is None or run.completed_at is None:
        return 0
    took = datetime.fromisoformat(run.completed_at) - datetime.fromisoformat(run.started_at)
    return round(took.total_seconds() * 1000)


def batch_entry(batch: Batch, accepted: Accepted, answer: Mapping[str, Any], standing: Standing) -> dict[str, Any]:
    """What is recorded of it; without a date range too. Its metrics are those of the version to come, as of old."""
    times = {"start": batch.start, "end": batch.end}
    event = {
        "type": "weekly-batch",
        "dataSource": "firestore",
        "dateRange": times if any(times.values()) else None,
        **{key: answer["result"][key] for key in ("samplesProcessed", "epochs", "duration_ms", "metrics")},
        "previousVersion": answer["previousVersion"],
        "newVersion": answer["newVersion"],
        "run": accepted.name,
    }
    return _entry(accepted, event, standing)
