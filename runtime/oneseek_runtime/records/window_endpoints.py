"""The service's endpoints for windows: what to learn goes in, what is due and what a closed window holds goes out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from pydantic import Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from oneseek_core.api.base import ApiModel, Timestamp
from oneseek_core.digest import digest_bytes
from oneseek_runtime.records.endpoints import json_answer, read_body
from oneseek_runtime.records.errors import BadRequestError
from oneseek_runtime.records.windows import Lesson, Policy, WindowsPort

__all__ = ["due", "gather", "questions", "take", "teach", "totals"]

_LINES = "application/jsonl"
_HIGHEST = 100_000_000  # no window is numbered after more than that, whatever somebody calls a run

Parsed = TypeVar("Parsed", bound=ApiModel)


class _Lesson(ApiModel):
    training_id: str = Field(min_length=1, max_length=128)
    timestamp: Timestamp
    question: str = Field(min_length=1, max_length=100_000)
    language: str = Field(min_length=1, max_length=8)
    raw_responses: list[dict[str, str]] = Field(max_length=64)
    analyzed_data: dict[str, Any] | None = None


class _Policy(ApiModel):
    minimum_questions: int = Field(ge=1)
    debounce_seconds: float = Field(ge=0)
    maximum_per_hour: int = Field(ge=1)


class _Asked(ApiModel):
    policy: _Policy | None = None


class _Gathering(ApiModel):
    start: str | None = Field(default=None, max_length=40)
    end: str | None = Field(default=None, max_length=40)


def _after(request: Request) -> int:
    """The highest number of a window that a run bears, as whoever asks knows it; a new window's is above it."""
    text = request.query_params.get("after", "0")
    if not text.isascii() or not text.isdigit() or int(text[:10]) > _HIGHEST:
        raise BadRequestError(f"after must be a window's number, at most {_HIGHEST}, not {text[:32]!r}")
    return int(text)


def _windows(request: Request) -> WindowsPort:
    windows: WindowsPort = request.app.state.windows
    return windows


async def _parsed(request: Request, kind: type[Parsed]) -> Parsed:
    try:
        # Half a character (a lone surrogate) has no UTF-8 form.
        value = json.loads(await read_body(request) or b"{}")
        return kind.from_wire(json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise BadRequestError(f"{where}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error


async def teach(request: Request) -> Response:
    """POST /v1/questions: something to learn, into the open window; answered once it is durable."""
    asked = await _parsed(request, _Lesson)
    document = asked.model_dump(mode="json", by_alias=True, exclude_none=True)
    lesson = Lesson(
        asked.training_id, asked.language, len(asked.raw_responses), asked.analyzed_data is not None, document
    )
    place = await asyncio.to_thread(_windows(request).add, lesson, _after(request))
    return json_answer({"window": place.window, "kind": "micro", "total": place.total})


async def gather(request: Request) -> Response:
    """POST /v1/windows: a major window of all that was recorded so far, or between two times."""
    asked = await _parsed(request, _Gathering)
    bounds = (_moment("start", asked.start), _moment("end", asked.end))
    number, samples = await asyncio.to_thread(_windows(request).gather, *bounds, _after(request))
    return json_answer({"window": number, "kind": "major", "samples": samples})


def _moment(name: str, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo else datetime.fromisoformat(text + "+00:00").timestamp()
    except (ValueError, OverflowError) as error:
        raise BadRequestError(f"{name} must be a time like 2025-11-30T12:00:00.000Z, not {text!r}") from error


async def due(request: Request) -> Response:
    """POST /v1/windows/due: close what is to be closed, and list what waits for its run, each with its content's digest."""
    asked = await _parsed(request, _Asked)
    policy = Policy(**asked.policy.model_dump()) if asked.policy else None
    found = await asyncio.to_thread(_windows(request).due, policy)
    digests = await asyncio.to_thread(_digests, request, [number for number, _ in found.windows])
    rows = [{"window": number, "kind": kind, "digest": digests[number]} for number, kind in found.windows]
    return json_answer({"due": rows, "again": found.again})


def _digests(request: Request, numbers: Sequence[int]) -> Mapping[int, str]:
    """Digest of what each of these closed windows holds. That never changes, so it is read once."""
    known: Mapping[int, str] = getattr(request.app.state, "window_digests", {})
    windows = _windows(request)
    found = {number: known.get(number) or digest_bytes(windows.questions(number)) for number in numbers}
    request.app.state.window_digests = found
    return found


async def take(request: Request) -> Response:
    """POST /v1/windows/{number}/taken: its run is there."""
    await asyncio.to_thread(_windows(request).take, request.path_params["number"])
    return json_answer({"window": request.path_params["number"]})


async def questions(request: Request) -> Response:
    """GET /v1/windows/{number}/questions: what a closed window holds, one JSON object a line."""
    data = await asyncio.to_thread(_windows(request).questions, request.path_params["number"])
    return Response(data, media_type=_LINES)


async def totals(request: Request) -> Response:
    """GET /v1/windows: how much was recorded to learn from."""
    return json_answer(await asyncio.to_thread(_windows(request).totals))
