"""Reading JSON that anybody may have sent: cheap to refuse, bounded in what it may become in memory. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from oneseek_runtime.sidecar.errors import BadRequestError, BodyTooLargeError

__all__ = ["MAXIMUM_VALUES", "decode_json"]

MAXIMUM_VALUES = 200_000
_UNCOUNTED = 512 * 1024  # bytes; too few to hold values that matter
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_json(data: bytes | bytearray) -> Any:
    """The value in a body.

    Raises:
        BadRequestError: it is no JSON.
        BodyTooLargeError: it holds so many values that parsing it would take many times its size.
    """
    if len(data) > _UNCOUNTED and _values(data) > MAXIMUM_VALUES:
        raise BodyTooLargeError(f"the body holds more than {MAXIMUM_VALUES:,} values")
    try:
        return _DECODER.decode(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequestError(f"the body is not valid JSON: {reason}") from error


def _values(data: bytes | bytearray) -> int:
    """No fewer than the values of the text; what stands in strings does not count."""
    bare = _STRING.sub(b"", data)
    return bare.count(b",") + bare.count(b"[") + bare.count(b"{")
