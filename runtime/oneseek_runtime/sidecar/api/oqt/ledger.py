"""The routes that read the records: queries, and the ledger.

Without the records service they answer as the old service did without its database.
"""

# ruff: noqa: N815

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.schemas import Answer, Failure, OpenAnswer, T, left_out
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.http.responses import failure, json_response, timestamp
from oneseek_runtime.sidecar.records.client import RecordsAwayError, RecordsClient

__all__ = ["LedgerBlocks", "LedgerStats", "LedgerVerified", "QueriesAnswer", "blocks", "queries", "stats", "verify"]

_FLUSH_SECONDS = 1.0
_DEFAULT_LIMIT, _MAXIMUM_LIMIT = 50, 100
_WHOLE_NUMBER = re.compile(r"\s*([+-]?\d{1,18})")
_LIMIT_INVALID: Failure = {"success": False, "error": "Invalid limit parameter"}
_NO_LEDGER: LedgerVerified = {"success": True, "valid": False, "error": "No blocks found", "totalBlocks": 0}


class StoredTime(Answer):
    """A Firestore timestamp as JSON."""

    seconds: Annotated[int, Field(alias="_seconds")]
    nanoseconds: Annotated[int, Field(alias="_nanoseconds")]


class RecordedQuery(OpenAnswer):
    """A recorded question with its answer."""

    id: str
    queryId: str
    question: str
    response: str
    createdAt: StoredTime
    updatedAt: StoredTime


class QueriesAnswer(Answer):
    """The newest first; without any, `message` says so."""

    success: Literal[True]
    queries: list[RecordedQuery]
    count: int
    message: NotRequired[Annotated[str, left_out("")]]
    timestamp: T


class InvalidBlock(Answer):
    """A block that does not hold."""

    blockNumber: int
    reason: str
    details: dict[str, Any]


class LedgerVerified(OpenAnswer):
    """What was read and checked."""

    success: Literal[True]
    valid: bool
    totalBlocks: int
    verifiedBlocks: NotRequired[Annotated[int, left_out(0)]]
    invalidBlocks: NotRequired[Annotated[list[InvalidBlock], left_out([])]]
    integrity: NotRequired[
        Annotated[float | str, left_out(100), Field(description="Percent: 100, or text with two decimals.")]
    ]
    error: NotRequired[Annotated[str, left_out("")]]


class LatestBlock(Answer):
    """The newest block."""

    blockNumber: int
    hash: str
    timestamp: str | StoredTime
    type: str


class LedgerStats(Answer):
    """The ledger in numbers."""

    success: Literal[True]
    totalBlocks: int
    typeBreakdown: dict[str, int]
    latestBlock: LatestBlock | None


class LedgerBlock(OpenAnswer):
    """A block as it was hashed."""

    blockNumber: int
    previousHash: str
    data: dict[str, Any]
    timestamp: str
    hash: str


class LedgerBlocks(Answer):
    """Some blocks, the newest first, and how many there are."""

    success: Literal[True]
    blocks: list[LedgerBlock]
    count: int
    totalBlocks: int


async def _records(request: Request) -> RecordsClient:
    """The records client, once this pod's own entries are sent, so that a client finds its own question."""
    recorder = deps_of(request).recorder
    if recorder is None:
        raise RecordsAwayError("this sidecar records nothing")
    await recorder.flush(_FLUSH_SECONDS)
    return recorder.records


async def queries(request: Request) -> Response:
    """GET /api/oqt/queries?limit: the newest queries, newest first."""
    limit = _limit_of(request.query_params.get("limit"))
    if limit is None:
        return json_response(_LIMIT_INVALID, status=400)
    try:
        found = await (await _records(request)).queries(limit)
    except RecordsAwayError:
        found = []
    # The message that old clients know.
    message = {} if found else {"message": "No queries found or Firebase unavailable"}
    body: QueriesAnswer = {
        "success": True,
        "queries": found,
        "count": len(found),
        **message,  # type: ignore[typeddict-item]
        "timestamp": timestamp(deps_of(request).now()),
    }
    return json_response(body)


async def verify(request: Request) -> Response:
    """GET /api/oqt/ledger/verify: read and check the whole ledger."""
    try:
        found = await (await _records(request)).verify()
    except RecordsAwayError:
        return json_response(_NO_LEDGER)
    return json_response({"success": True, **found})


async def stats(request: Request) -> Response:
    """GET /api/oqt/ledger/stats: the number of blocks by type, and the newest."""
    try:
        found = await (await _records(request)).stats()
    except RecordsAwayError:
        return failure("Failed to get ledger stats", status=500)
    shown = {key: found.get(key) for key in ("totalBlocks", "typeBreakdown", "latestBlock")}
    return json_response({"success": True, **shown})


async def blocks(request: Request) -> Response:
    """GET /api/oqt/ledger/blocks?before&limit: a page of blocks, the newest first."""
    limit = _limit_of(request.query_params.get("limit"))
    before = _whole_number(request.query_params.get("before"))
    if limit is None or (before is not None and before < 0):
        return json_response(_LIMIT_INVALID, status=400)
    try:
        records = await _records(request)
        total = int((await records.stats())["totalBlocks"])
        end = total if before is None else min(before, total)
        found = await records.blocks(max(0, end - limit), min(end, limit)) if end else []
    except RecordsAwayError as error:
        return failure("Failed to get ledger blocks", str(error), status=503, retry=5)
    found = list(reversed(found))
    return json_response({"success": True, "blocks": found, "count": len(found), "totalBlocks": total})


def _limit_of(text: str | None) -> int | None:
    """The limit as the old service parsed it; None where it refused it."""
    number = _whole_number(text) or 0
    return None if number < 0 else min(number or _DEFAULT_LIMIT, _MAXIMUM_LIMIT)


def _whole_number(text: str | None) -> int | None:
    """The whole number that a text starts with, as JavaScript's parseInt; None without one."""
    match = _WHOLE_NUMBER.match(text or "")
    return int(match[1]) if match else None
