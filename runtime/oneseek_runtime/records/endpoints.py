"""The service's endpoints: parse, ask the store, answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.records import chain, wire
from oneseek_runtime.records.documents import QUERIES, collection_of, shown
from oneseek_runtime.records.errors import BadRequestError, BodyTooLargeError
from oneseek_runtime.records.store import Entry, Store

__all__ = [
    "blocks",
    "checkpoints",
    "consistency",
    "documents",
    "entries",
    "error_response",
    "head",
    "health",
    "inclusion",
    "json_answer",
    "queries",
    "read_body",
    "record_queries",
    "stats",
    "transitions",
    "verify",
]

BODY_LIMIT = 16 * 1024 * 1024  # bytes
_JSON = "application/json; charset=utf-8"
_LINES = "application/jsonl"
_BLOCKS = 1000  # in one answer
_DOCUMENTS = 100


def json_answer(body: Mapping[str, Any], status: int = 200) -> Response:
    """A JSON answer."""
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    return Response(data, status, media_type=_JSON)


def error_response(status: int, reason: str, message: str) -> Response:
    """Every refusal: `reason` for programs, `message` for people."""
    return json_answer({"reason": reason, "message": message}, status)


def _store(request: Request) -> Store:
    store: Store = request.app.state.store
    return store


async def read_body(request: Request) -> bytes:
    """The whole body.

    Raises:
        BodyTooLargeError: it is over the limit.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_LIMIT:
            raise BodyTooLargeError(f"the body is larger than {BODY_LIMIT // 1024**2} MiB; send fewer at once")
    return bytes(data)


def _number(request: Request, name: str, default: int | None, *, most: int | None = None) -> int:
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is None or not (text.isascii() and text.isdecimal() and len(text) < 19):
        raise BadRequestError(f"{name} must be a whole number, not {text!r}")
    return int(text) if most is None else min(int(text), most)


async def _append(request: Request, asked: list[Entry], name: str) -> Response:
    receipts, newest = await _store(request).append(asked)
    return json_answer(wire.receipts_body([entry.key for entry in asked], name, receipts, newest))


async def transitions(request: Request) -> Response:
    """POST /v1/transitions: record all of them or none; answered once they are durable."""
    return await _append(request, wire.parse_transitions(await read_body(request)), "idempotencyKey")


async def record_queries(request: Request) -> Response:
    """POST /v1/queries: record queries like transitions."""
    return await _append(request, wire.parse_queries(await read_body(request), chain.now()), "queryId")


async def queries(request: Request) -> Response:
    """GET /v1/queries: the newest ones, newest first."""
    found = await _listed(request, QUERIES)
    return json_answer({"queries": found, "count": len(found)})


async def entries(request: Request) -> Response:
    """POST /v1/entries: record training events and metrics, with or without a block, like transitions."""
    return await _append(request, wire.parse_entries(await read_body(request)), "id")


async def documents(request: Request) -> Response:
    """GET /v1/documents/{collection}?limit: its newest documents, newest first."""
    found = await _listed(request, collection_of(request.path_params["collection"]))
    return json_answer({"documents": found, "count": len(found)})


async def _listed(request: Request, collection: str) -> list[dict[str, Any]]:
    limit = _number(request, "limit", 50, most=_DOCUMENTS)
    return [shown(one) for one in await _store(request).documents(collection, limit)]


async def head(request: Request) -> Response:
    """GET /v1/head: the newest durable state and its checkpoint."""
    return json_answer(wire.head_body(_store(request).head))


async def blocks(request: Request) -> Response:
    """GET /v1/blocks?from&limit: blocks as they were hashed; `Accept: application/jsonl` for canonical lines."""
    first = _number(request, "from", 0)
    found = await _store(request).blocks(first, _number(request, "limit", 100, most=_BLOCKS))
    if _LINES in request.headers.get("accept", ""):
        return Response(b"".join(line + b"\n" for line in found), media_type=_LINES)
    height = _store(request).head.size
    # The lines go out as they are: rendering them again could change bytes that the hash is over.
    data = b'{"blocks":[' + b",".join(found) + b'],"height":' + str(height).encode() + b"}"
    return Response(data, media_type=_JSON)


async def checkpoints(request: Request) -> Response:
    """GET /v1/checkpoints: those that were kept, oldest first."""
    return json_answer({"checkpoints": await _store(request).checkpoints()})


async def inclusion(request: Request) -> Response:
    """GET /v1/proof/inclusion?number&size: that a block is in the ledger of that size (without it: the newest)."""
    store = _store(request)
    number, size = _number(request, "number", None), _number(request, "size", store.head.size)
    try:
        leaf, root, path = store.inclusion(number, size)
    except ValueError as error:
        raise BadRequestError(str(error)) from error
    body = {"number": number, "size": size, "leafHash": leaf.hex(), "root": root.hex()}
    return json_answer({**body, "path": [one.hex() for one in path]})


async def consistency(request: Request) -> Response:
    """GET /v1/proof/consistency?from&to: that the ledger of one size goes on from that of a smaller one."""
    store = _store(request)
    old, new = _number(request, "from", None), _number(request, "to", store.head.size)
    try:
        old_root, new_root, path = store.consistency(old, new)
    except ValueError as error:
        raise BadRequestError(str(error)) from error
    body = {"from": old, "to": new, "fromRoot": old_root.hex(), "toRoot": new_root.hex()}
    return json_answer({**body, "path": [one.hex() for one in path]})


async def stats(request: Request) -> Response:
    """GET /v1/stats: the old service's ledger statistics, less its `success`; and how appends were grouped."""
    store = _store(request)
    newest, counted = store.head, store.statistics()
    latest = {
        "blockNumber": newest.size - 1,
        "hash": newest.hash,
        "timestamp": newest.timestamp,
        "type": newest.kind,
    }
    body = {"totalBlocks": newest.size, "typeBreakdown": counted["kinds"], "latestBlock": latest}
    return json_answer({**body, "commits": counted["commits"]})


async def verify(request: Request) -> Response:
    """GET /v1/verify: read the whole ledger from the volume and check every block and every kept checkpoint."""
    return json_answer(wire.verdict_body(await _store(request).verify()))


async def health(request: Request) -> Response:
    """GET /health, no token: 503 once only a restart can help; 200 otherwise, and why if appends must wait."""
    store = _store(request)
    if failure := store.failure:
        return error_response(503, "StoreFailed", failure)
    if away := store.away:
        return json_answer({"status": "away", "message": away})
    return json_answer({"status": "ok"})
