"""The line formats of the spool: entries and state, each with a checksum. Pure.

After a power loss lines may be cut or missing, so damage must be detectable.
"""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Mapping
from typing import Any

__all__ = ["STATE_BYTES", "encoded", "entry_line", "parse_entry", "parse_state", "state_line"]

_CHECK = 8  # hexadecimal digits of a CRC-32
STATE_BYTES = _CHECK + 2 * (1 + 20) + 1


def encoded(entry: Mapping[str, Any]) -> bytes:
    """An entry as one line of JSON; lone surrogates, which have no UTF-8 form, become `?`."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def entry_line(kind: str, body: bytes) -> bytes:
    """An entry as a line. `body` is JSON on one line, `kind` one word."""
    data = kind.encode() + b" " + body
    return b"%08x %b\n" % (crc32(data), data)


def parse_entry(line: bytes) -> tuple[str, bytes] | None:
    """Parses a line without its newline into (kind, body), inverse of `entry_line`; None if damaged."""
    check, _, data = line.partition(b" ")
    if b"%08x" % crc32(data) != check:
        return None
    kind, _, body = data.partition(b" ")
    return kind.decode(), body


def state_line(acknowledged: int, lost: int) -> bytes:
    """The number of acknowledged and of lost entries; always `STATE_BYTES` long."""
    data = b"%020d %020d" % (acknowledged, lost)
    return b"%08x %b\n" % (crc32(data), data)


def parse_state(data: bytes) -> tuple[int, int] | None:
    """Parses a state line; None if damaged."""
    check, _, rest = data.rstrip(b"\n").partition(b" ")
    if len(data) != STATE_BYTES or b"%08x" % crc32(rest) != check:
        return None
    acknowledged, lost = rest.split(b" ")
    return int(acknowledged), int(lost)
