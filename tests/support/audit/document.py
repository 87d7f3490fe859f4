"""The table of docs/reference/audit.md."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from support.audit.attempts import ROOT, Attempt, Outcome

__all__ = ["in_document", "table", "write"]

DOCUMENT = ROOT / "docs/reference/audit.md"
BEGIN, END = "<!-- table: written by `python -m support.audit --write` -->", "<!-- end of table -->"
_LONGEST = 240
# What differs from run to run.
_CHANGING = (
    (r"OneSeek-7B-Zero\.v\S+", "DNA"),
    (r"\b[0-9a-f]{64}\b", "DIGEST"),
    (r"(127\.0\.0\.1):\d+", r"\1:PORT"),
    (r"/tmp/\S+/", ""),
)


def table(attempts: Sequence[Attempt], columns: Mapping[str, Mapping[str, Outcome]]) -> str:
    """A row an attempt; `columns`: what became of it, by the column's title."""
    rows = [f"| audit | attempt | {' | '.join(columns)} | kept so by |", "| --- " * (3 + len(columns)) + "|"]
    for one in attempts:
        cells = [_cell(found[one.name]) for found in columns.values()]
        kept = ", ".join(f"`{path}`" for path in one.kept_by)
        rows.append(f"| {one.finding} | {one.tries} | {' | '.join(cells)} | {kept} |")
    return "\n".join(rows)


def _cell(outcome: Outcome) -> str:
    seen = " ".join(outcome.seen.split())
    for pattern, word in _CHANGING:
        seen = re.sub(pattern, word, seen)
    if len(seen) > _LONGEST:
        seen = seen[:_LONGEST].rsplit(" ", 1)[0] + " …"
    return f"**{outcome.result}**: {seen}".replace("|", "\\|").replace("<", "&lt;")


def in_document() -> list[list[str]]:
    """The cells of the table's rows, as the document has them."""
    text = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0].strip()
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in text.splitlines()[2:]]


def write(text: str) -> None:
    """Put a table into the document."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
