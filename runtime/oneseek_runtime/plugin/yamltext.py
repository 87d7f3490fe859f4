"""A JSON document as YAML. Pure; written here because PyYAML leaves texts bare that kubectl reads as numbers (`0o17`).

Block style for what nests, JSON's own form (which is YAML) for every text that could be read as something else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

__all__ = ["to_yaml"]

# Words and dots only, starting with a letter; then it is no number, no date and no indicator. Booleans are left out.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def to_yaml(document: Any) -> str:
    """The document in block style. Law: a YAML reader gets the document back."""
    return "\n".join(_lines(document))


def _lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(f"{_text(str(key))}:", item, "  ")
    elif isinstance(value, Sequence) and not isinstance(value, str) and value:
        for item in value:
            if _nests(item):
                first, *rest = _lines(item)
                yield f"- {first}"
                yield from (f"  {line}" for line in rest)
            else:
                yield f"- {_flat(item)}"
    else:
        yield _flat(value)


def _entry(key: str, item: Any, indent: str) -> Iterator[str]:
    if not _nests(item):
        yield f"{key} {_flat(item)}"
        return
    yield key
    # Lists stand at their key's own depth, as kubectl prints them.
    margin = indent if isinstance(item, Mapping) else ""
    yield from (f"{margin}{line}" for line in _lines(item))


def _nests(value: Any) -> bool:
    return bool(value) and isinstance(value, Mapping | Sequence) and not isinstance(value, str)


def _flat(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    flat = json.dumps(value)
    # YAML 1.1 takes 1e-05 for a text; with a point it is a number to all.
    return flat.replace("e", ".0e") if isinstance(value, float) and "." not in flat else flat


def _text(value: str) -> str:
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    # Beyond ASCII YAML and JSON differ in what they escape: JSON's pairs of \u are two characters to YAML.
    return "".join(_escaped(character) for character in json.dumps(value, ensure_ascii=False))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"
