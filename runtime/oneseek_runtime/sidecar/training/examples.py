"""What clients post to learn from, parsed: the bodies of micro-train, train and `training/micro`. Pure."""

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
    "Lesson",
    "LessonError",
    "Words",
    "lesson_of_document",
    "parse_batch",
    "parse_lesson",
    "wait_of",
]

_LONGEST_QUESTION = 100_000  # characters; what the records service takes
_MOST_ANSWERS = 64
_LONGEST_TIME = 40
_LONGEST_WAIT = 600  # seconds
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})", re.IGNORECASE)


class LessonError(ValueError):
    """The body holds nothing that could be learned; the sentence says what is wrong."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a route says that the question, or the answers, are missing."""

    question: str
    answers: str


OQT = Words(*["Question and rawResponses array are required"] * 2)
COMPANION = Words("Question is required and must be a string", "rawResponses array is required")


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question with raw answers, and what a client's analysis of them says."""

    question: str
    raw: tuple[Mapping[str, str], ...]
    analysis: Mapping[str, Any] | None

    def document(self, *, training_id: str, now: str, language: str) -> bytes:
        """As the records service keeps it, and prepare reads it."""
        fields: dict[str, Any] = {"trainingId": training_id, "timestamp": now, "question": self.question}
        fields |= {"language": language, "rawResponses": [dict(item) for item in self.raw]}
        return encoded(fields if self.analysis is None else {**fields, "analyzedData": dict(self.analysis)})

    @property
    def stages(self) -> tuple[int, bool]:
        """How many raw answers stage 1 will train, and whether stage 2 has an answer; read as prepare will read it."""
        found = lesson_of(0, self.document(training_id="", now="", language=""))
        return (len(found.raw), found.analysed is not None) if found else (0, False)


def parse_lesson(body: Mapping[str, Any], words: Words) -> Lesson:
    """Read a post of something to learn; unknown keys are ignored.

    Raises:
        LessonError: question or answers are missing or none; the sentence names what.
    """
    question, answers, analysis = (body.get(key) for key in ("question", "rawResponses", "analyzedData"))
    if not isinstance(question, str) or not question:
        raise LessonError(words.question)
    if not isinstance(answers, list):
        raise LessonError(words.answers)
    if len(question) > _LONGEST_QUESTION:
        raise LessonError(f"question is longer than {_LONGEST_QUESTION:,} characters")
    if len(answers) > _MOST_ANSWERS:
        raise LessonError(f"rawResponses holds {len(answers)} answers; at most {_MOST_ANSWERS} are taken")
    if analysis is not None and not isinstance(analysis, dict):
        raise LessonError("analyzedData must be an object")
    return Lesson(question, tuple(_answer(index, item) for index, item in enumerate(answers)), analysis)


def _answer(index: int, item: object) -> Mapping[str, str]:
    response = item.get("response") if isinstance(item, dict) else None
    model = item.get("model") if isinstance(item, dict) else None
    if not isinstance(response, str) or not (model is None or isinstance(model, str)):
        raise LessonError(f"rawResponses[{index}] must be an object with model and response, which are texts")
    return {"response": response} if model is None else {"model": model, "response": response}


def lesson_of_document(document: Mapping[str, Any]) -> Lesson:
    """What `Lesson.document` made, and the records service gave back."""
    analysis = document.get("analyzedData")
    raw = tuple(document.get("rawResponses") or ())
    return Lesson(str(document.get("question", "")), raw, analysis if isinstance(analysis, dict) else None)


@dataclass(frozen=True, slots=True)
class Batch:
    """Which records a major run is to train on."""

    start: str | None
    end: str | None

    def bounds(self) -> bytes:
        """As the records service is asked for them."""
        return encoded({key: text for key, text in (("start", self.start), ("end", self.end)) if text is not None})


def parse_batch(body: Mapping[str, Any]) -> Batch:
    """Read a post to train; everything may be left out.

    Raises:
        LessonError: a data source that is not offered, or times that are none.
    """
    source, between = body.get("dataSource"), body.get("dateRange")
    if source not in (None, "firestore"):
        raise LessonError(
            'dataSource must be "firestore", which stands for the records; for a file, apply a TrainingRun that names it'
        )
    if between is None:
        return Batch(None, None)
    if not isinstance(between, dict):
        raise LessonError("dateRange must be an object with start and end")
    times = [between.get(key) for key in ("start", "end")]
    if any(time is not None and (not isinstance(time, str) or len(time) > _LONGEST_TIME) for time in times):
        raise LessonError("dateRange.start and dateRange.end must be times like 2025-11-30T12:00:00.000Z")
    return Batch(*times)


def wait_of(prefer: str | None) -> int:
    """Seconds that a client prefers to wait (`Prefer: wait=N`, RFC 7240); ten minutes at most, 0 without one."""
    match = _WAIT.search(prefer or "")
    return min(int(match[1]), _LONGEST_WAIT) if match else 0
