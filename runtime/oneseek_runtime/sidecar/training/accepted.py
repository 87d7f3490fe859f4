"""A post that was recorded for training: its window, its run, its two stages, and what is recorded of it. Pure.

Posts are accepted before anything is trained. A stage is completed once the window's run has made a version, certified or
rejected; until then nothing counts as processed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.sidecar.training.examples import Batch, TrainingExample
from oneseek_runtime.sidecar.training.runs import Run

__all__ = [
    "Accepted",
    "ServedVersion",
    "batch_entry",
    "companion_stages",
    "dna_of",
    "micro_entry",
    "query_entry_for_training",
    "stages",
]

_NO_RAW = "No raw responses provided"
_NO_ANALYSIS = "No analyzed data provided"


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """The version that answers, with parts of the body of `GET /api/oqt/metrics`."""

    version: str
    metrics: Mapping[str, Any]
    training: Mapping[str, Any]
    now: str

    def document(self) -> dict[str, Any]:
        """The `oqt_metrics` document, with the old collection's field names."""
        totals = {"totalSamples": self.training["totalSamples"], "weeklyBatch": self.training["weeklyBatches"]}
        return {
            "version": self.version,
            "metrics": self.numbers("accuracy", "fairness", "bias", "consensus"),
            "training": {**totals, "microBatch": self.training["microBatches"]},
            "timestamp": self.now,
        }

    def numbers(self, *keys: str) -> dict[str, Any]:
        """Some of the metrics; null if not measured."""
        return {key: self.metrics.get(key) for key in keys}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A post recorded in a window, with the window's run if it exists."""

    training_id: str
    window: int
    name: str
    run: Run | None = None
    held: str = ""  # why no run of the model starts

    @property
    def done(self) -> bool:
        """Whether the run has made a version."""
        return self.run is not None and self.run.state in ("certified", "rejected")

    @property
    def version(self) -> str | None:
        """The DNA of that version."""
        return self.run.dna if self.run and self.done else None

    @property
    def reason(self) -> str:
        """Why the run is not done."""
        if self.run is None or self.run.state == "queued":
            return "suspended" if self.held else "queued"
        return "training" if self.run.state == "running" else f"failed: {self.run.message or self.run.reason}"


def _stage(accepted: Accepted | None, *, has: bool, without: str) -> dict[str, Any]:
    if not has or accepted is None:
        return {"completed": False, "reason": without}
    return {"completed": True} if accepted.done else {"completed": False, "reason": accepted.reason}


def _analysis_numbers(example: TrainingExample) -> dict[str, Any]:
    """The numbers of the client's analysis."""
    analysis = example.analysis or {}
    return {key: _number(analysis.get(key)) for key in ("consensus", "bias", "fairness")}


def _number(value: object) -> float | int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def stages(example: TrainingExample, accepted: Accepted | None, count: str) -> dict[str, dict[str, Any]]:
    """Both stages; `count` is the route's key for the number of answers."""
    raw, analysed = example.stages
    first = _stage(accepted, has=raw > 0, without=_NO_RAW)
    trained = raw if first["completed"] else 0
    result = {"method": "raw_response_training", count: trained, "updated": first["completed"]}
    second = _stage(accepted, has=analysed, without=_NO_ANALYSIS)
    if analysed:
        second["result"] = {
            "method": "analyzed_data_training",
            "metricsUpdated": second["completed"],
            **_analysis_numbers(example),
        }
    elif example.analysis is not None:
        second["reason"] = "The analyzed data name no answer, and there is no raw one"
    return {"stage1": {**first, count: trained, "result": result}, "stage2": second}


def companion_stages(example: TrainingExample, accepted: Accepted | None) -> dict[str, dict[str, Any]]:
    """Both stages, in the keys of `/api/training/micro`."""
    both = stages(example, accepted, "samples_processed")
    if result := both["stage2"].get("result"):
        known = dna_of(accepted.run) if accepted else None
        result["dna_update"] = {"dna_updated": True, **known} if known else {"needed": False}
    return both


def dna_of(run: Run | None) -> dict[str, Any] | None:
    """The version that a run made, in the old field names; None if it made none."""
    if run is None or run.dna is None or run.digest is None or run.state not in ("certified", "rejected"):
        return None
    return {"dna_hash": run.digest.removeprefix("sha256:"), "total_samples": run.samples, "timestamp": run.completed_at}


def micro_entry(
    example: TrainingExample, accepted: Accepted, served: ServedVersion, *, language: str
) -> dict[str, Any]:
    """The recorded event and metrics of micro-train."""
    both = stages(example, accepted, "samplesProcessed")
    event = {
        "type": "micro-training",
        **_example_fields(example, accepted, language),
        "samplesProcessed": both["stage1"]["samplesProcessed"],
        "stage1": both["stage1"],
        "stage2": both["stage2"] if example.analysis is not None else None,
    }
    return _entry(accepted, event | _of_version(served), served)


def query_entry_for_training(
    example: TrainingExample, accepted: Accepted, served: ServedVersion, *, language: str
) -> dict[str, Any]:
    """The recorded event and metrics of a multi-model query's answers."""
    result = {"success": True, "language": language, "model": served.version, "fallback": False}
    event = {
        "type": "multi-model-micro-training",
        **_example_fields(example, accepted, language),
        "trainingResult": {**result, **companion_stages(example, accepted)},
    }
    return _entry(accepted, event | _of_version(served), served)


def _example_fields(example: TrainingExample, accepted: Accepted, language: str) -> dict[str, Any]:
    asked = {"question": example.question, "language": language, "samplesReceived": len(example.raw)}
    return {**asked, "run": accepted.name}


def _of_version(served: ServedVersion) -> dict[str, Any]:
    metrics = served.numbers("accuracy", "fairness", "bias", "consensus")
    return {"modelVersion": served.version, "metrics": metrics}


def _entry(accepted: Accepted, event: Mapping[str, Any], served: ServedVersion) -> dict[str, Any]:
    of_event = {"trainingId": accepted.training_id, **event, "timestamp": served.now}
    documents = {"oqt_training_events": of_event, "oqt_metrics": served.document()}
    return {"id": accepted.training_id, "documents": documents}


def batch_entry(batch: Batch, accepted: Accepted, answer: Mapping[str, Any], served: ServedVersion) -> dict[str, Any]:
    """The recorded event and metrics of train; the metrics are those of the version to come, as in the old service."""
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
    return _entry(accepted, event, served)
