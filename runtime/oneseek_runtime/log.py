"""The log lines of the slim Jobs: one JSON object a line, like the train pod's, for people and log collectors."""

from __future__ import annotations

import json
import sys

__all__ = ["say"]


def say(event: str, **fields: str | float | None) -> None:
    """Print one line. What the operator must know goes into the report, not here."""
    sys.stdout.write(json.dumps({"event": event, **fields}, ensure_ascii=True) + "\n")
    sys.stdout.flush()
