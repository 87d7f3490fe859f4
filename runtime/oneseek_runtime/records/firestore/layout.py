"""How records look in Firestore: which collections, which ids, and documents as Firestore takes them. Pure.

The old service's collections and field names, `oqt_ledger/<number>` among them; beside a block's fields its canonical
line, because a Firestore map keeps no order and the hash is over one. What Firestore cannot hold as a value (a list in a
list, say) is kept as its JSON text and named in `_oneseek.asText`, so a document comes back as it was sent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json, to_json

from oneseek_core.ledger import Block
from oneseek_runtime.records.documents import TIMES
from oneseek_runtime.records.errors import BadRequestError
from oneseek_runtime.records.store import Document

__all__ = [
    "CHECKPOINTS",
    "HEAD",
    "KEYS",
    "LEDGER",
    "PLACE",
    "STATE",
    "block_fields",
    "document_fields",
    "document_id",
    "document_of",
    "key_id",
    "line_of",
]

LEDGER = "oqt_ledger"
KEYS = "oneseek_keys"  # idempotency key -> block number
CHECKPOINTS = "oneseek_checkpoints"  # <size> -> the kept checkpoint of a span
STATE = "oneseek_ledger"
HEAD = "head"  # of STATE: size, hash and checkpoint of the newest durable state; every commit changes it

_OURS = "_oneseek"
_AS_TEXT = "asText"
PLACE = f"{_OURS}.place"  # by which documents are listed, newest first

_BLOCK_FIELDS = ("blockNumber", "previousHash", "data", "timestamp", "nonce", "hash")
_DEEPEST = 18  # Firestore takes twenty levels of maps and lists
_LONGEST = 1_000_000  # bytes of a document; Firestore takes 1 MiB, names and numbers counted its own way
_LARGEST_INTEGER = 2**63 - 1


def key_id(key: str) -> str:
    """The id of an idempotency key's document: any text becomes one that Firestore takes."""
    return hashlib.sha256(key.encode()).hexdigest()


def document_id(identity: str) -> str:
    """A document's id, the given one wherever Firestore takes it. Law: two texts never have one id."""
    safe = identity.replace("%", "%25").replace("/", "%2F")
    if safe in (".", "..") or safe.startswith("__"):
        return f"%{ord(safe[0]):02X}{safe[1:]}"
    return safe


def _identity(document_id_: str) -> str:
    text = document_id_
    for code, character in (("%2E", "."), ("%5F", "_")):
        if text.startswith(code):
            text = character + text[3:]
    return text.replace("%2F", "/").replace("%25", "%")


def block_fields(block: Block, key: str) -> dict[str, Any]:
    """A block's document: the old service's fields, its canonical line, and the key of what it records."""
    return {**from_json(block.line), "line": block.line.decode(), "key": key}


def line_of(fields: Mapping[str, Any]) -> bytes:
    """A block's canonical line; where the fields beside it say something else, a line that does not have its hash."""
    line = str(fields.get("line", "")).encode()
    try:
        told = from_json(line)
    except ValueError:
        return line
    if not isinstance(told, dict) or set(told) != set(_BLOCK_FIELDS):
        return line
    # What is equal is taken from the line: a map from Firestore has its keys in another order.
    stands = {name: told[name] if fields.get(name) == told[name] else fields.get(name) for name in told}
    return line if stands == told else to_json(stands, fallback=str)


def document_fields(document: Document, place: int) -> dict[str, Any]:
    """A document as it is kept: its times as Timestamps.

    Raises:
        BadRequestError: Firestore cannot hold it, however it is put.
    """
    about = f"{document.id} in {document.collection}"
    if len(document.text.encode()) > _LONGEST:
        raise BadRequestError(f"{about} is larger than Firestore takes (1 MiB); it can only be kept in SQLite")
    fields: dict[str, Any] = json.loads(document.text)
    ours: dict[str, Any] = {"place": place}
    for name, value in fields.items():
        if not _is_name(name) or name == _OURS:
            raise BadRequestError(f"{name!r} of {about} is no name that a field can have in Firestore")
        if name in TIMES[document.collection]:
            fields[name] = _moment(value, f"{name} of {about}")
        elif not _fits(value, _DEEPEST):
            fields[name] = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
            ours.setdefault(_AS_TEXT, []).append(name)
    return {**fields, _OURS: ours}


def document_of(collection: str, identity: str, kept: Mapping[str, Any]) -> Document:
    """The document that was kept. Law: it says what the one said that `document_fields` was given."""
    fields = dict(kept)
    as_text = fields.pop(_OURS, {}).get(_AS_TEXT, [])
    for name, value in fields.items():
        if isinstance(value, datetime):
            fields[name] = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        elif name in as_text:
            fields[name] = json.loads(value)
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"), default=str)
    return Document(collection, _identity(identity), text)


def _moment(text: str, about: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequestError(f"{about} is no time that a calendar has: {text}") from error


def _is_name(name: str) -> bool:
    """Whether Firestore takes a field of that name."""
    return bool(name) and len(name.encode()) <= 1500 and not (name.startswith("__") and name.endswith("__"))


def _fits(value: Any, deep: int) -> bool:
    """Whether Firestore takes a value as it is and gives the same back."""
    if deep == 0:
        return False
    if isinstance(value, dict):
        return all(_is_name(name) and _fits(item, deep - 1) for name, item in value.items())
    if isinstance(value, list):
        return all(not isinstance(item, list) and _fits(item, deep - 1) for item in value)
    return not isinstance(value, int) or abs(value) <= _LARGEST_INTEGER
