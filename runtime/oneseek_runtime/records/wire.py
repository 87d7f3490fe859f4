"""What travels between the records service and its clients; bodies in, entries out, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, ValidationError

from oneseek_core.api.base import ApiModel
from oneseek_core.ledger import Verdict
from oneseek_core.ledger_entries import QUERY, Transition, query_content
from oneseek_runtime.records.errors import BadRequestError
from oneseek_runtime.records.store import Entry, Head, Receipt

__all__ = ["head_body", "parse_queries", "parse_transitions", "query_body", "receipts_body", "verdict_body"]

_BATCH = 500  # entries in one request
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


class _Transitions(ApiModel):
    transitions: list[Transition] = Field(min_length=1, max_length=_BATCH)


class _QueryWithProvenance(ApiModel):
    query: dict[str, Any]
    provenance: dict[str, Any] | None = None


class _Queries(ApiModel):
    queries: list[_QueryWithProvenance] = Field(min_length=1, max_length=_BATCH)


def _refused(error: ValidationError) -> BadRequestError:
    first = error.errors()[0]
    return BadRequestError(f"{'.'.join(str(part) for part in first['loc']) or 'the body'}: {first['msg']}")


def parse_transitions(body: bytes) -> list[Entry]:
    """The entries of `POST /v1/transitions`.

    Raises:
        BadRequestError: it is none; the sentence names the field.
    """
    try:
        asked = _Transitions.model_validate_json(body).transitions
    except ValidationError as error:
        raise _refused(error) from error
    return [Entry(f"t:{one.idempotency_key}", one.type, one.content(), one.timestamp) for one in asked]


def parse_queries(body: bytes, now: str) -> list[Entry]:
    """The entries of `POST /v1/queries`. A query without `createdAt` was asked `now`.

    Raises:
        BadRequestError: it is none; the sentence names the field.
    """
    try:
        # Half a character (a lone surrogate, as a cut emoji leaves it) has no UTF-8 form; a spool must not hang on it.
        text = json.dumps(json.loads(body), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        asked = _Queries.model_validate_json(text).queries
    except ValidationError as error:
        raise _refused(error) from error
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error
    return [_query_entry(one, now) for one in asked]


def _query_entry(one: _QueryWithProvenance, now: str) -> Entry:
    document = one.query
    query_id, question, version = (document.get(name) for name in ("queryId", "question", "version"))
    if not isinstance(query_id, str) or not 0 < len(query_id) <= 128:
        raise BadRequestError("query.queryId must be a text of 1 to 128 characters")
    if not isinstance(question, str):
        raise BadRequestError(f"query.question of {query_id} must be a text")
    if version is not None and not isinstance(version, str):
        raise BadRequestError(f"query.version of {query_id} must be a text")
    created = document.get("createdAt", now)
    for name in ("createdAt", "updatedAt"):
        if not isinstance(stamp := document.get(name, created), str) or not _TIME.fullmatch(stamp):
            raise BadRequestError(f"query.{name} of {query_id} must be a time like 2025-11-30T12:00:00.000Z")
    kept = {**document, "createdAt": created, "updatedAt": document.get("updatedAt", created)}
    provenance = None if one.provenance is None else {**one.provenance, "createdAt": created}
    text = json.dumps({"query": kept, "provenance": provenance}, ensure_ascii=False, separators=(",", ":"))
    return Entry(f"q:{query_id}", QUERY, query_content(query_id, question, version), created, text)


def query_body(text: str) -> dict[str, Any]:
    """A stored query as the old service listed it: with `id`, its times as Firestore's JSON form."""
    query: dict[str, Any] = json.loads(text)["query"]
    times = {name: _firestore_time(query[name]) for name in ("createdAt", "updatedAt")}
    return {"id": query["queryId"], **query, **times}


def _firestore_time(text: str) -> dict[str, int]:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return {"_seconds": int(moment.timestamp()), "_nanoseconds": moment.microsecond * 1000}


def head_body(head: Head) -> dict[str, Any]:
    """The durable head. `height` counts the genesis block; the last block's number is one less."""
    return {
        "height": head.size,
        "head": head.hash,
        "root": head.root.hex(),
        "timestamp": head.timestamp,
        "checkpoint": head.note,
        "signed": head.signed,
    }


def receipts_body(keys: Sequence[str], name: str, receipts: Sequence[Receipt], head: Head) -> dict[str, Any]:
    """Where each entry of a request stands, in the request's order; and a head that covers them all."""
    blocks = [
        {name: key.partition(":")[2], "blockNumber": one.number, "hash": one.hash, "appended": one.appended}
        for key, one in zip(keys, receipts, strict=True)
    ]
    return {"blocks": blocks, "head": head_body(head)}


def verdict_body(verdict: Verdict) -> Mapping[str, Any]:
    """The old service's answer to "does the ledger hold", less its `success`."""
    bad = [
        {
            "blockNumber": one.first,
            "reason": one.reason,
            "details": {
                "valid": False,
                "reason": one.reason,
                "expected": one.expected,
                "actual": one.actual,
                "lastBlockNumber": one.last,
                "message": one.message,
            },
        }
        for one in verdict.defects
    ]
    places = (one.lines or range(one.first, min(one.last + 1, verdict.height)) for one in verdict.defects)
    verified = verdict.height - len({place for some in places for place in some})
    share = f"{100 * verified / verdict.height:.2f}" if verdict.height else "0.00"
    return {
        "valid": verdict.ok,
        "totalBlocks": verdict.height,
        "verifiedBlocks": verified,
        "invalidBlocks": bad,
        "integrity": 100 if verdict.ok else share,
    }
