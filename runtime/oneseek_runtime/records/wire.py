"""What travels between the records service and its clients; bodies in, entries out, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import Field, ValidationError

from oneseek_core.api.base import ApiModel
from oneseek_core.ledger import Verdict
from oneseek_core.ledger_entries import QUERY, TRAINING, Trained, Transition, query_content
from oneseek_runtime.records.documents import PROVENANCE, QUERIES, TrainingCollection, document
from oneseek_runtime.records.errors import BadRequestError
from oneseek_runtime.records.store import Entry, Head, Receipt

__all__ = ["head_body", "parse_entries", "parse_queries", "parse_transitions", "receipts_body", "verdict_body"]

_BATCH = 500  # entries in one request
_ID = 128  # characters

Parsed = TypeVar("Parsed", bound=ApiModel)


class _Transitions(ApiModel):
    transitions: list[Transition] = Field(min_length=1, max_length=_BATCH)


class _QueryWithProvenance(ApiModel):
    query: dict[str, Any]
    provenance: dict[str, Any] | None = None


class _Queries(ApiModel):
    queries: list[_QueryWithProvenance] = Field(min_length=1, max_length=_BATCH)


class _TrainingEntry(ApiModel):
    id: str = Field(min_length=1, max_length=_ID)
    documents: dict[TrainingCollection, dict[str, Any]]
    training: Trained | None = None


class _Entries(ApiModel):
    entries: list[_TrainingEntry] = Field(min_length=1, max_length=_BATCH)


def _refused(error: ValidationError) -> BadRequestError:
    first = error.errors()[0]
    return BadRequestError(f"{'.'.join(str(part) for part in first['loc']) or 'the body'}: {first['msg']}")


def parse_transitions(body: bytes) -> list[Entry]:
    """The entries of `POST /v1/transitions`.

    Raises:
        BadRequestError: it is none; the sentence names the field.
    """
    try:
        asked = _Transitions.from_wire(body).transitions
    except ValidationError as error:
        raise _refused(error) from error
    return [Entry(f"t:{one.idempotency_key}", one.type, one.content(), one.timestamp) for one in asked]


def _parsed(body: bytes, kind: type[Parsed]) -> Parsed:
    """A body of free documents. Half a character (a lone surrogate, as a cut emoji leaves it) becomes `?`.

    It has no UTF-8 form, and a spool must not hang on it.
    """
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
        return kind.from_wire(text)
    except ValidationError as error:
        raise _refused(error) from error
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is no JSON: {error}") from error


def parse_queries(body: bytes, now: str) -> list[Entry]:
    """The entries of `POST /v1/queries`. A query without `createdAt` was asked `now`.

    Raises:
        BadRequestError: it is none; the sentence names the field.
    """
    asked = _parsed(body, _Queries).queries
    return [_query_entry(one, now) for one in asked]


def _query_entry(one: _QueryWithProvenance, now: str) -> Entry:
    asked = one.query
    query_id, question, version = (asked.get(name) for name in ("queryId", "question", "version"))
    if not isinstance(query_id, str) or not 0 < len(query_id) <= _ID:
        raise BadRequestError(f"query.queryId must be a text of 1 to {_ID} characters")
    if not isinstance(question, str):
        raise BadRequestError(f"query.question of {query_id} must be a text")
    if version is not None and not isinstance(version, str):
        raise BadRequestError(f"query.version of {query_id} must be a text")
    created = asked.get("createdAt", now)
    kept = [document(QUERIES, query_id, {"updatedAt": created, **asked, "createdAt": created})]
    if one.provenance is not None:
        kept.append(document(PROVENANCE, query_id, {**one.provenance, "createdAt": created}))
    return Entry(f"q:{query_id}", QUERY, query_content(query_id, question, version), created, tuple(kept))


def parse_entries(body: bytes) -> list[Entry]:
    """The entries of `POST /v1/entries`: documents about training, each entry with or without a block.

    Raises:
        BadRequestError: it is none; the sentence names the field.
    """
    asked = _parsed(body, _Entries).entries
    return [_training_entry(one) for one in asked]


def _training_entry(one: _TrainingEntry) -> Entry:
    if not one.documents:
        raise BadRequestError(f"entry {one.id} has no document")
    # Sorted: two clients that send the same entry must agree on what is its first document.
    kept = tuple(document(name, one.id, fields) for name, fields in sorted(one.documents.items()))
    happened = json.loads(kept[0].text)["timestamp"]
    if one.training is None:
        return Entry(f"e:{one.id}", None, {}, happened, kept)
    return Entry(f"e:{one.id}", TRAINING, one.training.content(), happened, kept)


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


def _covered(verdict: Verdict) -> int:
    """How many lines the listed defects are about, each counted once however many are about it."""
    spans = [(place, place + 1) for one in verdict.defects for place in one.lines]
    spans += [(one.first, min(one.last + 1, verdict.height)) for one in verdict.defects if not one.lines]
    covered = reached = 0
    for first, end in sorted(spans):
        covered += max(0, end - max(first, reached))
        reached = max(reached, end)
    return covered


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
    verified = verdict.height - verdict.unlisted - _covered(verdict)
    share = f"{100 * verified / verdict.height:.2f}" if verdict.height else "0.00"
    return {
        "valid": verdict.ok,
        "totalBlocks": verdict.height,
        "verifiedBlocks": verified,
        "invalidBlocks": bad,
        "integrity": 100 if verdict.ok else share,
    }
