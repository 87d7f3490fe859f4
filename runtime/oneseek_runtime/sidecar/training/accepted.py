"""A post that was recorded for training: its window, its run, its two stages, and what is recorded of it. Pure.

Posts are accepted before anything is trained. A stage is completed once the window's run has made a version, certified or
rejected; until then nothing counts as processed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.sidecar.training.examples import Batch, Lesson
from oneseek_runtime.sidecar.training.runs import Run

__all__ = ["Accepted", "Standing", "batch_entry", "beside_entry", "companion_stages", "dna_of", "micro_entry", "stages"]

_NO_RAW = "No raw responses provided"
_NO_ANALYSIS = "No analyzed data provided"


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


def companion_stages(lesson: Lesson, accepted: Accepted | None) -> dict[str, dict[str, Any]]:
    """Both stages, in the keys of `/api/training/micro`."""
    both = stages(lesson, accepted, "samples_processed")
    if result := both["stage2"].get("result"):
        known = dna_of(accepted.run) if accepted else None
        result["dna_update"] = {"dna_updated": True, **known} if known else {"needed": False}
    return both


def dna_of(run: Run | None) -> dict[str, Any] | None:
    """What a run that made a version changed; None of any other."""
    if run is None or run.dna is None or run.digest is None or run.state not in ("certified", "rejected"):
        return None
    return {
        "dna_hash": run.digest.removeprefix("sha256:"),
        "total_samples": run.samples,
        "timestamp": run.completed_at,
    }


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
        "trainingResult": {**result, **companion_stages(lesson, accepted)},
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
