"""Parses JSON from untrusted clients, with a limit on the number of values. Pure."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from oneseek_runtime.sidecar.errors import BadRequestError, BodyTooLargeError

__all__ = ["MAXIMUM_VALUES", "decode_json"]

MAXIMUM_VALUES = 200_000
_QUOTE = ord(b'"')
_UNCHECKED_BYTES = 512 * 1024  # bytes; smaller bodies cannot hold too many values
# The closing quote is optional: a failed match would be retried from every quote, in quadratic time.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[,\[{]', re.DOTALL)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def decode_json(data: bytes | bytearray) -> Any:
    """Parses a body.

    Raises BadRequestError for invalid JSON, BodyTooLargeError for more than MAXIMUM_VALUES values.
    """
    if len(data) > _UNCHECKED_BYTES and _holds_too_many(data):
        raise BodyTooLargeError(f"the body holds more than {MAXIMUM_VALUES:,} values")
    try:
        return _DECODER.decode(data.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise BadRequestError(f"the body is not valid JSON: {reason}") from error


def _holds_too_many(data: bytes | bytearray) -> bool:
    """Counts the tokens that precede values, outside of strings.

    Strings without commas between them are no JSON, but must end the counting too.
    """
    values = strings = 0
    for token in _TOKEN.finditer(data):
        if data[token.start()] == _QUOTE:
            strings += 1
        else:
            values += 1
        if values > MAXIMUM_VALUES or strings > 2 * MAXIMUM_VALUES + 1:
            return True
    return False
