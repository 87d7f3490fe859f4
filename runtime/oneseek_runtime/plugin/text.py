"""Tables, trees and bars for a terminal. Pure; every cell is made printable."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

__all__ = ["Node", "bar", "cropped", "number", "printable", "short", "table", "tree"]

_BAR_CELLS = 20


def printable(text: str) -> str:
    r"""The text with its control characters (and line ends) escaped: `\\x1b`."""
    return "".join(
        character if character.isprintable() or character == " " else character.encode("unicode_escape").decode()
        for character in text
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as kubectl prints them: three spaces apart, an empty cell is `-`, no space at a line's end."""
    cells = [list(header), *([printable(cell) or "-" for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(header))]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


@dataclass(slots=True)
class Node:
    """A line of a tree and its children."""

    text: str
    below: list[Node] = field(default_factory=list)

    def add(self, text: str) -> Node:
        """Add a child and return it."""
        self.below.append(Node(text))
        return self.below[-1]


def tree(node: Node) -> str:
    """The tree, drawn with lines."""
    return "\n".join([printable(node.text), *_branches(node, "")])


def _branches(node: Node, before: str) -> Iterable[str]:
    for index, child in enumerate(node.below):
        last = index == len(node.below) - 1
        yield f"{before}{'└─ ' if last else '├─ '}{printable(child.text)}"
        yield from _branches(child, before + ("   " if last else "│  "))


def bar(percent: int) -> str:
    """A bar of twenty cells and the number; 100 % alone fills it."""
    shown = max(0, min(percent, 100))
    full = shown * _BAR_CELLS // 100
    return f"{'█' * full}{'░' * (_BAR_CELLS - full)} {shown:3d} %"


def number(value: float | None, digits: int = 3) -> str:
    """A measured value; `-` where nothing was measured."""
    return "-" if value is None else f"{value:.{digits}f}"


def short(digest: str) -> str:
    """A digest shortened to 12 digits."""
    prefix, separator, rest = digest.rpartition(":")
    return f"{prefix}{separator}{rest[:12]}"


def cropped(text: str, *, columns: int, rows: int) -> list[str]:
    """The lines, none wider than the terminal, no more than it has; a `…` says that something is missing."""
    lines = [_fit(line, columns) for line in text.splitlines()]
    rows = max(rows, 1)
    return lines if len(lines) <= rows else [*lines[: rows - 1], f"… {len(lines) - rows + 1} more lines"[:columns]]


def _fit(line: str, columns: int) -> str:
    widths = [2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in line]
    if sum(widths) <= columns:
        return line
    left, kept = columns - 1, []
    for character, width in zip(line, widths, strict=True):
        left -= width
        if left < 0:
            break
        kept.append(character)
    return "".join(kept) + "…"
