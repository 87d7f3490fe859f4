"""What a manifest holds, with the line that each part stands on. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Item", "Problem", "at", "entry", "located"]


@dataclass(frozen=True, slots=True)
class Item:
    """A value and its line. `text` is a plain scalar as it is written, where it is no text to kubectl."""

    line: int
    value: Any  # a scalar, a list of items, or items by key
    text: str | None = None
    keys: Mapping[str, int] = field(default_factory=dict)  # the lines of an object's keys

    def plain(self) -> Any:
        """The value as JSON has it."""
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return [item.plain() for item in self.value] if isinstance(self.value, list) else self.value


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Something to change: an error (it will be refused, or cannot work) or advice."""

    line: int
    level: Literal["error", "advice"]
    where: str
    message: str


def at(item: Item | None, *path: str) -> Item | None:
    """The item at a path of keys; None where there is none."""
    for part in path:
        item = entry(item, part)
    return item


def entry(item: Item | None, key: str) -> Item | None:
    """An object's entry; None where there is none, or no object."""
    return item.value.get(key) if item is not None and isinstance(item.value, dict) else None


def located(value: Any, line: int) -> Item:
    """A JSON value whose parts all stand on one line, as far as is known."""
    if isinstance(value, dict):
        return Item(line, {str(key): located(part, line) for key, part in value.items()})
    return Item(line, [located(part, line) for part in value]) if isinstance(value, list) else Item(line, value)
