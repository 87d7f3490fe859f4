"""The table of docs/reference/attempts.md: every attempt, who made it, and what refused it in which words.

PYTHONPATH=core:operator:runtime:tests python -m support.tenant.table     # writes the table of the code
The cluster's run writes it too, once every attempt was made and refused.
"""

from __future__ import annotations

from pathlib import Path

from support.tenant.attempts import ATTEMPTS, GROUPS

__all__ = ["DOCUMENT", "in_document", "table", "write"]

DOCUMENT = Path(__file__).resolve().parents[3] / "docs/reference/attempts.md"
BEGIN, END = "<!-- table: written by `python -m support.tenant.table` -->", "<!-- end of table -->"


def table() -> str:
    """The groups as Markdown tables."""
    own = sum(not attempt.finding for attempt in ATTEMPTS)
    told = f"{len(ATTEMPTS)} attempts; {own} of them are none of the audit's."
    parts = [f"{told} The last column has a finding's number, or `held` for what the audit tried in vain."]
    for title, attempts in GROUPS.items():
        rows = ["| who | tries to | refused by | in these words | audit |", "| --- | --- | --- | --- | --- |"]
        for one in attempts:
            words = str(one.refusal).strip().replace("|", "\\|")
            rows.append(f"| {one.who.value} | {one.what} | {one.refusal.by} | {words} | {one.finding} |")
        parts.append(f"### {title}\n" + "\n".join(rows))
    return "\n\n".join(parts)


def in_document() -> str:
    """The table as the document has it."""
    return DOCUMENT.read_text().split(BEGIN)[1].split(END)[0].strip()


def write() -> None:
    """Bring the document's table to the code's."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    write()
