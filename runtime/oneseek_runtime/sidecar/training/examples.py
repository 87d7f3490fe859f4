"""Parses the bodies of micro-train, train and `training/micro`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.prepare.window import lesson_of
from oneseek_runtime.sidecar.records.lines import encoded

__all__ = [
    "COMPANION",
    "OQT",
    "Batch",
    "ExampleError",
    "MissingMessages",
    "TrainingExample",
    "example_of_document",
    "parse_batch",
    "parse_example",
    "wait_of",
]

_LONGEST_QUESTION = 100_000  # characters; what the records service takes
_MOST_ANSWERS = 64
_LONGEST_TIME = 40
_LONGEST_WAIT = 600  # seconds
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


class ExampleError(ValueError):
    """The body cannot be used for training."""


@dataclass(frozen=True, slots=True)
class MissingMessages:
    """A route's messages for a missing question or missing answers."""

    question: str
    answers: str


OQT = MissingMessages(*["Question and rawResponses array are required"] * 2)
COMPANION = MissingMessages("Question is required and must be a string", "rawResponses array is required")


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A question with raw answers and the client's analysis of them."""

    question: str
    raw: tuple[Mapping[str, str], ...]
    analysis: Mapping[str, Any] | None

    def document(self, *, training_id: str, now: str, language: str) -> bytes:
        """The example as the records service stores it and prepare reads it."""
        fields: dict[str, Any] = {"trainingId": training_id, "timestamp": now, "question": self.question}
        fields |= {"language": language, "rawResponses": [dict(item) for item in self.raw]}
        return encoded(fields if self.analysis is None else {**fields, "analyzedData": dict(self.analysis)})

    @property
    def stages(self) -> tuple[int, bool]:
        """The number of raw answers of stage 1, and whether stage 2 has an answer, as prepare will read them."""
        found = lesson_of(0, self.document(training_id="", now="", language=""))
        return (len(found.raw), found.analysed is not None) if found else (0, False)


def parse_example(body: Mapping[str, Any], words: MissingMessages) -> TrainingExample:
    """Parses a post; unknown keys are ignored. Raises ExampleError."""
    question, answers, analysis = (body.get(key) for key in ("question", "rawResponses", "analyzedData"))
    if not isinstance(question, str) or not question:
        raise ExampleError(words.question)
    if not isinstance(answers, list):
        raise ExampleError(words.answers)
    if len(question) > _LONGEST_QUESTION:
        raise ExampleError(f"question is longer than {_LONGEST_QUESTION:,} characters")
    if len(answers) > _MOST_ANSWERS:
        raise ExampleError(f"rawResponses holds {len(answers)} answers; at most {_MOST_ANSWERS} are taken")
    if analysis is not None and not isinstance(analysis, dict):
        raise ExampleError("analyzedData must be an object")
    return TrainingExample(question, tuple(_answer(index, item) for index, item in enumerate(answers)), analysis)


def _answer(index: int, item: object) -> Mapping[str, str]:
    response = item.get("response") if isinstance(item, dict) else None
    model = item.get("model") if isinstance(item, dict) else None
    if not isinstance(response, str) or not (model is None or isinstance(model, str)):
        raise ExampleError(f"rawResponses[{index}] must be an object with model and response, which are texts")
    return {"response": response} if model is None else {"model": model, "response": response}


def example_of_document(document: Mapping[str, Any]) -> TrainingExample:
    """Inverse of `TrainingExample.document`."""
    analysis = document.get("analyzedData")
    raw = tuple(document.get("rawResponses") or ())
    return TrainingExample(str(document.get("question", "")), raw, analysis if isinstance(analysis, dict) else None)


@dataclass(frozen=True, slots=True)
class Batch:
    """The time range of a Major run; None: open."""

    start: str | None
    end: str | None

    def bounds(self) -> bytes:
        """The range as sent to the records service."""
        return encoded({key: text for key, text in (("start", self.start), ("end", self.end)) if text is not None})


def parse_batch(body: Mapping[str, Any]) -> Batch:
    """Parses a post to train; all keys are optional. Raises ExampleError."""
    source, between = body.get("dataSource"), body.get("dateRange")
    if source not in (None, "firestore"):
        raise ExampleError(
            'dataSource must be "firestore", which stands for the records; for a file, apply a TrainingRun that names it'
        )
    if between is None:
        return Batch(None, None)
    if not isinstance(between, dict):
        raise ExampleError("dateRange must be an object with start and end")
    times = [between.get(key) for key in ("start", "end")]
    if any(time is not None and (not isinstance(time, str) or len(time) > _LONGEST_TIME) for time in times):
        raise ExampleError("dateRange.start and dateRange.end must be times like 2025-11-30T12:00:00.000Z")
    return Batch(*times)


def wait_of(prefer: str | None) -> int:
    """Seconds of `Prefer: wait=N` (RFC 7240), at most 600; 0 without it."""
    match = _WAIT.search(prefer or "")
    return min(int(match[1]), _LONGEST_WAIT) if match else 0
