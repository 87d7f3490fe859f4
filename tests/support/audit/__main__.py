"""Makes the attempts against checkouts and prints a Markdown table; `--write` puts it into docs/reference/audit.md.

PYTHONPATH=core:operator:runtime:tests python -m support.audit --checkout DIR [--checkout DIR ...] [--only NAME ...] [--write]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from support.audit.attempts import ATTEMPTS, make
from support.audit.document import table, write


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m support.audit", description=__doc__)
    parser.add_argument(
        "--checkout", action="append", type=Path, required=True, help="of any commit; more than one is a column each"
    )
    parser.add_argument(
        "--only", nargs="+", choices=[attempt.name for attempt in ATTEMPTS], help="these attempts alone"
    )
    parser.add_argument(
        "--write", action="store_true", help="the table of docs/reference/audit.md; its checkouts: 69e4700, now"
    )
    asked = parser.parse_args()
    attempts = [attempt for attempt in ATTEMPTS if not asked.only or attempt.name in asked.only]
    outcomes = [make(checkout, attempts) for checkout in asked.checkout]
    heads = ["on 69e4700", "now"] if asked.write else [f"at {checkout}" for checkout in asked.checkout]
    text = table(attempts, dict(zip(heads, outcomes, strict=True)))
    print(text)
    if asked.write:
        write(text)
    return int(any(outcome.result == "broken" for found in outcomes for outcome in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
