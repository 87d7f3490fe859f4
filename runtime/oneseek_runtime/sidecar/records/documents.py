"""What is recorded of an answer, and how what is recorded is shown: the old service's documents and bodies. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "LEDGER_BLOCKS_FAILED",
    "LEDGER_STATS_FAILED",
    "LIMIT_INVALID",
    "encoded",
    "limit_of",
    "no_ledger",
    "queries_answer",
    "query_entry",
    "whole_number",
]

LIMIT_INVALID = "Invalid limit parameter"
LEDGER_STATS_FAILED = "Failed to get ledger stats"
LEDGER_BLOCKS_FAILED = "Failed to get ledger blocks"
_NO_QUERIES = "No queries found or Firebase unavailable"  # the words that old clients know
_DEFAULT_LIMIT = 50
_MAXIMUM_LIMIT = 100
_WHOLE_NUMBER = re.compile(r"\s*([+-]?\d{1,18})")
_KEPT = ("queryId", "question", "response", "confidence", "metadata", "model", "version")


def query_entry(question: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """A query's two documents, `oqt_queries` and `oqt_provenance`, from the body that its client got."""
    document = {"question": question, **answer}
    at = answer["timestamp"]
    query = {key: document[key] for key in _KEPT} | {"createdAt": at, "updatedAt": at}
    return {"query": query, "provenance": answer["provenance"]}


def encoded(entry: Mapping[str, Any]) -> bytes:
    """An entry as one line of JSON; half characters, which have no UTF-8 form, become `?`."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def limit_of(text: str | None) -> int | None:
    """How many queries are asked for, read as the old service did; None where it refused."""
    number = whole_number(text) or 0
    return None if number < 0 else min(number or _DEFAULT_LIMIT, _MAXIMUM_LIMIT)


def whole_number(text: str | None) -> int | None:
    """The whole number that a text begins with, as JavaScript reads one; None where it begins with none."""
    match = _WHOLE_NUMBER.match(text or "")
    return int(match[1]) if match else None


def queries_answer(queries: Sequence[Any], now: str) -> dict[str, Any]:
    """The 200 body of the list of queries; where there is none, with the sentence that says so."""
    found: dict[str, Any] = {"success": True, "queries": list(queries), "count": len(queries)}
    return found | ({} if queries else {"message": _NO_QUERIES}) | {"timestamp": now}


def no_ledger() -> dict[str, Any]:
    """The 200 body of a verification where there is no ledger to look at."""
    return {"success": True, "valid": False, "error": "No blocks found", "totalBlocks": 0}
