"""One line of a dataset to one row, or a sentence that says what is wrong with it. Pure.

Strict on purpose: a row that is skipped in silence is a model that was not trained on what its certificate says.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from oneseek_core.digest import canonical_json
from oneseek_core.errors import OneSeekError

__all__ = ["Row", "RowError", "parse_line", "row_bytes"]

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
            f"is not JSON ({error.msg} at column {error.colno}): write one object a line, {_EXAMPLE}"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of ten thousand digits, or brackets as deep
        raise RowError(f"is not JSON that can be read ({error}): write one object a line, {_EXAMPLE}") from error
    if not isinstance(value, dict):
        raise RowError(f"is a JSON {_kind(value)}, not an object: write one object a line, {_EXAMPLE}")
    row = {"instruction": _required(value, "instruction"), "input": _input(value), "output": _required(value, "output")}
    for name, content in row.items():
        if not _is_text(content):
            raise RowError(f"has half a character (a lone surrogate) in {name}: write the whole character")
    return row


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
        raise RowError(f"has a {_kind(content)} as {given}, which must be text: put it in quotes")
    if not content.strip():
        raise RowError(f"has an empty {given}: fill it or remove the line")
    return content


def _input(value: Mapping[str, Any]) -> str:
    content = value.get("input")
    if content is None:
        return ""
    if not isinstance(content, str):
        raise RowError(f"has a {_kind(content)} as input, which must be text: put it in quotes or leave it out")
    return content


def _is_text(content: str) -> bool:
    try:
        content.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _kind(value: object) -> str:
    kinds = {dict: "object", list: "list", str: "text", bool: "boolean", int: "number", float: "number"}
    return kinds.get(type(value), "null")
