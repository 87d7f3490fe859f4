"""The public routes that read what was recorded: the newest queries, and whether the ledger holds.

With the records service away they answer as the old service did without its database.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.http.responses import json_response, timestamp
from oneseek_runtime.sidecar.records import documents
from oneseek_runtime.sidecar.records.client import RecordsAwayError
from oneseek_runtime.sidecar.records.recorder import RecordsPort

__all__ = ["blocks", "queries", "stats", "verify"]

_FLUSH_SECONDS = 1.0


async def _records(request: Request) -> RecordsPort:
    """The records service, once it has what this pod answered before; so a client finds its own question in there."""
    recorder = deps_of(request).recorder
    if recorder is None:
        raise RecordsAwayError("this sidecar records nothing")
    await recorder.flush(_FLUSH_SECONDS)
    return recorder.records


async def queries(request: Request) -> Response:
    """GET /api/oqt/queries?limit: the newest queries, newest first."""
    limit = documents.limit_of(request.query_params.get("limit"))
    if limit is None:
        return json_response({"success": False, "error": documents.LIMIT_INVALID}, status=400)
    try:
        found = await (await _records(request)).queries(limit)
    except RecordsAwayError:
        found = []
    return json_response(documents.queries_answer(found, timestamp(deps_of(request).now())))


async def verify(request: Request) -> Response:
    """GET /api/oqt/ledger/verify: the whole ledger, read and checked again."""
    try:
        found = await (await _records(request)).verify()
    except RecordsAwayError:
        return json_response(documents.no_ledger())
    return json_response({"success": True, **found})


async def stats(request: Request) -> Response:
    """GET /api/oqt/ledger/stats: how many blocks there are of which type, and the newest."""
    try:
        found = await (await _records(request)).stats()
    except RecordsAwayError:
        return json_response({"success": False, "error": documents.LEDGER_STATS_FAILED}, status=500)
    shown = {key: found.get(key) for key in ("totalBlocks", "typeBreakdown", "latestBlock")}
    return json_response({"success": True, **shown})


async def blocks(request: Request) -> Response:
    """GET /api/oqt/ledger/blocks?before&limit: a page of blocks, the newest first."""
    limit = documents.limit_of(request.query_params.get("limit"))
    before = documents.whole_number(request.query_params.get("before"))
    if limit is None or (before is not None and before < 0):
        return json_response({"success": False, "error": documents.LIMIT_INVALID}, status=400)
    try:
        records = await _records(request)
        total = int((await records.stats())["totalBlocks"])
        end = total if before is None else min(before, total)
        found = await records.blocks(max(0, end - limit), min(end, limit)) if end else []
    except RecordsAwayError as error:
        body = {"success": False, "error": documents.LEDGER_BLOCKS_FAILED, "message": str(error)}
        return json_response(body, status=503, headers={"Retry-After": "5"})
    found = list(reversed(found))
    return json_response({"success": True, "blocks": found, "count": len(found), "totalBlocks": total})
