"""The old service's collections: which there are, and which of their fields are times. Pure.

A document is JSON text as it was recorded, its times as ISO 8601 text; what a store keeps them as is its own business
(Firestore: a Timestamp). Where documents are shown, times have the JSON form of a Firestore Timestamp.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from oneseek_runtime.records.errors import BadRequestError
from oneseek_runtime.records.store import Document

__all__ = ["PROVENANCE", "QUERIES", "TIMES", "TrainingCollection", "collection_of", "document", "shown"]

QUERIES = "oqt_queries"
PROVENANCE = "oqt_provenance"
TrainingCollection = Literal["oqt_training_events", "oqt_metrics"]

TIMES: Mapping[str, tuple[str, ...]] = {
    QUERIES: ("createdAt", "updatedAt"),
    PROVENANCE: ("createdAt",),
    **dict.fromkeys(get_args(TrainingCollection), ("timestamp",)),
}
"""The fields of each collection that are times; all others are kept as they came."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def document(collection: str, identity: str, fields: Mapping[str, Any]) -> Document:
    """A document to keep.

    Raises:
        BadRequestError: one of its times is none; the sentence names the field.
    """
    for name in TIMES[collection]:
        if not isinstance(stamp := fields.get(name), str) or not _TIME.fullmatch(stamp):
            raise BadRequestError(
                f"{name} of {identity} in {collection} must be a time like 2025-11-30T12:00:00.000Z, not {stamp!r}"
            )
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Document(collection, identity, text)


def collection_of(name: str) -> str:
    """A collection's name, as given.

    Raises:
        BadRequestError: there is none of that name.
    """
    if name not in TIMES:
        raise BadRequestError(f"there is no collection {name!r}; there are {', '.join(sorted(TIMES))}")
    return name


def shown(kept: Document) -> dict[str, Any]:
    """A document as the old service listed it: with `id`, its times in Firestore's JSON form."""
    fields: dict[str, Any] = json.loads(kept.text)
    times = {name: _firestore_time(fields[name]) for name in TIMES[kept.collection]}
    return {"id": kept.id, **fields, **times}


def _firestore_time(text: str) -> dict[str, int]:
    moment = datetime.fromisoformat(text).astimezone(UTC)
    return {"_seconds": int(moment.timestamp()), "_nanoseconds": moment.microsecond * 1000}
