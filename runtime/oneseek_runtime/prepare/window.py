"""[I/O] A window of the records service: what clients sent to learn from, and the rows that are made of it.

Stage 1 is the raw answers to a question, stage 2 the analysed one: the answer that the analysis names, else the one of
the raw answers that the others agree with most (by the words they share). A stage is one micro step of a question,
however many answers it has; a stage without an answer is none.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import Dataset
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.files import write_synced
from oneseek_core.names import ExitCode
from oneseek_core.network import failure
from oneseek_core.secret import read_word
from oneseek_runtime.prepare.rows import Row
from oneseek_runtime.prompt import user_message

__all__ = ["Lesson", "analysed_answer", "fetch_window", "lesson_of", "rows_of", "steps_of", "steps_of_rows"]

_SECONDS = 30.0
_LARGEST = 256 * 1024**2  # bytes; a window holds a thousand questions or so
_ANSWER = ("answer", "response", "summary", "text")  # fields of metaSummary that hold an answer


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question, the raw answers to it, and the analysed one, where there are any."""

    question: str
    raw: tuple[str, ...]
    analysed: str | None


def fetch_window(dataset: Dataset, number: int, environment: Mapping[str, str], target: Path) -> str:
    """Write the window's lessons to `target`, one JSON object a line; the result is the digest of its bytes.

    Raises:
        JobError: DatasetNotFound (no such closed window), DatasetUnavailable (records are away; trying again may help).
    """
    name = dataset.name
    url, token = environment.get(names.RECORDS_URL_ENV), environment.get(names.RECORDS_TOKEN_ENV)
    if not url or not token:
        raise JobError(
            names.BAD_REQUEST,
            f"dataset {name}: {names.RECORDS_URL_ENV} and {names.RECORDS_TOKEN_ENV} are not set",
            ExitCode.BAD_REQUEST,
        )
    try:
        headers = {"Authorization": f"Bearer {read_word(Path(token), 'the token for the records service')}"}
        request = urllib.request.Request(f"{url}/v1/windows/{number}/questions", headers=headers)  # noqa: S310 - the operator's URL
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310 - the same
            data: bytes = response.read(_LARGEST + 1)
    except urllib.error.HTTPError as error:
        sentence = f"dataset {name}: window {number} of the records: {_said(error)}"
        if error.code in (400, 404, 409):
            raise JobError(names.DATASET_NOT_FOUND, sentence, ExitCode.BAD_INPUT) from error
        raise JobError(names.DATASET_UNAVAILABLE, sentence, ExitCode.UNAVAILABLE) from error
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", error)  # urllib wraps what happens before the answer
        why = f"nothing within {_SECONDS} s" if isinstance(cause, TimeoutError) else failure(cause)
        sentence = f"dataset {name}: the records service does not answer: {why}"
        raise JobError(names.DATASET_UNAVAILABLE, sentence, ExitCode.UNAVAILABLE) from error
    if len(data) > _LARGEST:
        sentence = f"dataset {name}: window {number} holds more than {_LARGEST // 1024**2} MiB"
        raise JobError(names.DATASET_INVALID, sentence, ExitCode.BAD_INPUT)
    digest = digest_bytes(data)
    if dataset.digest is not None and digest != dataset.digest:
        sentence = f"dataset {name}: window {number} has the digest {digest}, but its spec pins {dataset.digest}"
        raise JobError(names.DATASET_DIGEST_DIFFERS, sentence, ExitCode.DIGEST_DIFFERS)
    write_synced(target, data)
    return digest


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"it was answered with status {error.code}"


def lesson_of(_number: int, line: bytes) -> Lesson | None:
    """A line that the records service wrote; None for a blank one."""
    if not line.strip():
        return None
    value: dict[str, Any] = json.loads(line)
    raw = tuple(_texts(value.get("rawResponses")))
    return Lesson(str(value["question"]), raw, analysed_answer(value.get("analyzedData"), raw))


def _texts(answers: object) -> list[str]:
    if not isinstance(answers, list):
        return []
    found = [item.get("response") for item in answers if isinstance(item, dict)]
    return [text for text in found if isinstance(text, str) and text.strip()]


def analysed_answer(analysis: object, raw: Sequence[str]) -> str | None:
    """The answer that an analysis stands for; None without an analysis, or where there is nothing to choose from."""
    if not isinstance(analysis, dict):
        return None
    summary = analysis.get("metaSummary")
    if isinstance(summary, dict):
        for key in _ANSWER:
            text = summary.get(key)
            if isinstance(text, str) and text.strip():
                return text
    if not raw:
        return None
    words = [frozenset(text.casefold().split()) for text in raw]

    def agreement(index: int) -> float:
        own = words[index]
        return sum(len(own & other) / max(1, len(own | other)) for other in words)

    return raw[max(range(len(raw)), key=lambda index: (agreement(index), -index))]


def rows_of(lessons: Sequence[Lesson]) -> list[Row]:
    """Stage 1 of every question, then stage 2."""
    raw = [_row(lesson.question, text) for lesson in lessons for text in lesson.raw]
    return raw + [_row(lesson.question, lesson.analysed) for lesson in lessons if lesson.analysed is not None]


def _row(question: str, answer: str) -> Row:
    return user_message(question), {"role": "assistant", "content": answer}


def steps_of_rows(lessons: Sequence[Lesson]) -> list[int]:
    """For each of `rows_of`, which micro step it belongs to."""
    raw = [2 * number for number, lesson in enumerate(lessons) for _ in lesson.raw]
    return raw + [2 * number + 1 for number, lesson in enumerate(lessons) if lesson.analysed is not None]


def steps_of(lessons: Sequence[Lesson]) -> int:
    """Micro steps: a stage of a question each."""
    return sum(bool(lesson.raw) + (lesson.analysed is not None) for lesson in lessons)
