"""One line of a dataset to one row, or a sentence that says what is wrong with it. Pure.

Strict on purpose: a row that is skipped in silence is a model that was not trained on what its certificate says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from oneseek_core.digest import canonical_json
from oneseek_core.errors import OneSeekError

__all__ = ["Row", "RowError", "check_whole", "kind_of", "parse_line", "parse_object", "row_bytes"]

Row = Mapping[str, str]
"""`instruction`, `input` (may be empty) and `output`."""

_ALIASES = {"instruction": ("instruction", "question"), "output": ("output", "response")}
_EXAMPLE = '{"instruction": "...", "input": "", "output": "..."}'


class RowError(OneSeekError):
    """A line that is no row; the sentence says what is wrong and how to fix it."""


def parse_line(line: bytes) -> Row | None:
    """The row in a line; None for a blank line.

    Raises:
        RowError: it is no UTF-8, no JSON object, or has no usable instruction or output.
    """
    value = parse_object(line, _EXAMPLE)
    if value is None:
        return None
    row = {"instruction": _required(value, "instruction"), "input": _input(value), "output": _required(value, "output")}
    for name, content in row.items():
        check_whole(name, content)
    return row


def parse_object(line: bytes, example: str) -> Mapping[str, Any] | None:
    """The JSON object in a line; None for a blank line. `example` is shown to whoever wrote something else.

    Raises:
        RowError: it is no UTF-8, or no JSON object.
    """
    try:
        text = line.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise RowError(f"is not UTF-8 (byte {error.start + 1} of the line): save the file as UTF-8") from error
    if not text:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise RowError(
            f"is not JSON ({error.msg} at column {error.colno}): write one object a line, {example}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of ten thousand digits, or brackets as deep
        raise RowError(f"is not JSON that can be read ({error}): write one object a line, {example}") from error
    if not isinstance(value, dict):
        raise RowError(f"is a JSON {kind_of(value)}, not an object: write one object a line, {example}")
    return value


def row_bytes(row: Row) -> bytes:
    """The row as a line of train.jsonl: equal rows give equal bytes."""
    return canonical_json(dict(row)) + b"\n"


def _required(value: Mapping[str, Any], name: str) -> str:
    """The field under its own name or its alias."""
    names = _ALIASES[name]
    both = f"{names[0]} (or {names[1]})"
    given = next((key for key in names if key in value), None)
    if given is None:
        found = ", ".join(sorted(map(str, value))[:8]) or "no field at all"
        raise RowError(f"has no {both}; it has {found}: a row needs instruction and output")
    content = value[given]
    if not isinstance(content, str):
        raise RowError(f"has a {kind_of(content)} as {given}, which must be text: put it in quotes")
    if not content.strip():
        raise RowError(f"has an empty {given}: fill it or remove the line")
    return content


def _input(value: Mapping[str, Any]) -> str:
    content = value.get("input")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise RowError(f"has a {kind_of(content)} as input, which must be text: put it in quotes or leave it out")
    return content


def check_whole(name: str, content: str) -> None:
    """Make sure that a field's text can be written as UTF-8.

    Raises:
        RowError: JSON's escapes left half a character in it.
    """
    try:
        content.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RowError(f"has half a character (a lone surrogate) in {name}: write the whole character") from error


def kind_of(value: object) -> str:
    """What JSON calls a value."""
    kinds = {dict: "object", list: "list", str: "text", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")
