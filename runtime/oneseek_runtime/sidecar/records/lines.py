"""What lies in a spool, as bytes: one line an entry, and one line of state. Pure.

Each line carries a checksum of its own: a machine that loses its power may leave half a line, or none of several, and
what is damaged must be told from what is whole.
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
    """An entry as one line of JSON; half characters, which have no UTF-8 form, become `?`."""
    return json.dumps(entry, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def entry_line(kind: str, body: bytes) -> bytes:
    """An entry with its newline. `body` is JSON on one line, `kind` one word."""
    data = kind.encode() + b" " + body
    return b"%08x %b\n" % (crc32(data), data)


def parse_entry(line: bytes) -> tuple[str, bytes] | None:
    """(kind, body) of a line without its newline; None where it is damaged. Law: it undoes `entry_line`."""
    check, _, data = line.partition(b" ")
    if b"%08x" % crc32(data) != check:
        return None
    kind, _, body = data.partition(b" ")
    return kind.decode(), body


def state_line(acknowledged: int, lost: int) -> bytes:
    """How many entries the records service has, and how many it never will; always `STATE_BYTES` long."""
    data = b"%020d %020d" % (acknowledged, lost)
    return b"%08x %b\n" % (crc32(data), data)


def parse_state(data: bytes) -> tuple[int, int] | None:
    """(acknowledged, lost); None where it is damaged."""
    check, _, rest = data.rstrip(b"\n").partition(b" ")
    if len(data) != STATE_BYTES or b"%08x" % crc32(rest) != check:
        return None
    acknowledged, lost = rest.split(b" ")
    return int(acknowledged), int(lost)
