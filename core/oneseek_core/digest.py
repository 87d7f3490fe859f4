"""Digests of bytes and of folders: what makes "the same model" a question with an answer.

A folder's digest is the SHA-256 of its manifest's canonical bytes: one line of truth per file, sorted by path,
so that it does not depend on where the folder lies, on times or on modes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["canonical_json", "digest_bytes", "manifest_bytes", "manifest_digest"]

PREFIX = "sha256:"


def canonical_json(value: Any) -> bytes:
    """Sorted keys, no spaces, UTF-8 unescaped: equal values give equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_bytes(chunks: Iterable[bytes] | bytes) -> str:
    """`sha256:<64 hex>` of the chunks, in order."""
    hasher = hashlib.sha256()
    for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
        hasher.update(chunk)
    return PREFIX + hasher.hexdigest()


def manifest_bytes(files: Mapping[str, tuple[str, int]]) -> bytes:
    """The manifest of a folder: relative path -> (`sha256:...`, size in bytes)."""
    rows = [{"path": path, "digest": digest, "size": size} for path, (digest, size) in sorted(files.items())]
    return canonical_json({"schemaVersion": 1, "files": rows}) + b"\n"


def manifest_digest(files: Mapping[str, tuple[str, int]]) -> str:
    """The folder's digest: that of its manifest."""
    return digest_bytes(manifest_bytes(files))
