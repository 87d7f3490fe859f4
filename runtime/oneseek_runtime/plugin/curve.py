"""A loss curve in characters. Pure.

Braille cells have two by four dots each, so 80 by 20 characters are 144 by 64 points: enough for a curve. Written here
because plotting libraries are megabytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["draw"]

_BLANK = 0x2800
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # [row][column] within a cell
_LABEL = 9  # characters left of the axis
_SMALLEST = (10, 3)  # cells; below that nothing can be seen

Point = tuple[float, float]


def draw(points: Sequence[Point], *, width: int, height: int) -> str:
    """The curve through the points (by x), with both axes; `width` and `height` in characters.

    Points that are not finite are left out.
    """
    known = sorted((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y))
    columns, rows = max(width - _LABEL - 1, _SMALLEST[0]), max(height - 2, _SMALLEST[1])
    (left, right), (low, high) = _span([x for x, _ in known]), _span([y for _, y in known])
    dots = {
        dot
        for start, end in zip(known, known[1:] or known, strict=False)
        for dot in _line(
            _place(start, (left, low), (right, high), columns, rows),
            _place(end, (left, low), (right, high), columns, rows),
        )
    }
    lines = []
    for row in range(rows):
        cells = "".join(_cell(dots, column, row) for column in range(columns)).rstrip(chr(_BLANK))
        value = high - (high - low) * row / (rows - 1)
        label = f"{value:.3g}" if row % 4 == 0 or row == rows - 1 else ""
        lines.append(f"{label:>{_LABEL - 1}} {'┤' if label else '│'}{cells}")
    lines.append(" " * _LABEL + "└" + "─" * columns)
    first, last = f"{left:g}", f"{right:g}"
    lines.append(" " * (_LABEL + 1) + first + " " * max(columns - len(first) - len(last), 1) + last)
    return "\n".join(lines)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The least and the greatest; made wider where they are one."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _place(point: Point, least: Point, most: Point, columns: int, rows: int) -> tuple[int, int]:
    """The dot of a point; row 0 is the top."""
    across = (point[0] - least[0]) / (most[0] - least[0])
    up = (point[1] - least[1]) / (most[1] - least[1])
    return round(across * (columns * 2 - 1)), round((1 - up) * (rows * 4 - 1))


def _line(start: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (
            start[0] + round((end[0] - start[0]) * step / steps),
            start[1] + round((end[1] - start[1]) * step / steps),
        )
        for step in range(steps + 1)
    ]


def _cell(dots: set[tuple[int, int]], column: int, row: int) -> str:
    bits = 0
    for y, pair in enumerate(_DOTS):
        for x, bit in enumerate(pair):
            if (column * 2 + x, row * 4 + y) in dots:
                bits |= bit
    return chr(_BLANK + bits)
