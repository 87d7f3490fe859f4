"""The access log: one JSON line per answer, without question and client address.

Lines are written a few times a second: one write each would cost more than the rest of a passed-through request.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime

from starlette.types import Scope

__all__ = ["AccessLog"]

_SECONDS = 0.2
_LINES = 1000  # flushed at once above that


class AccessLog:
    """Buffers lines and writes them together."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(self, scope: Scope, status: int, dna: str | None, seconds: float, *, passed_on: bool = False) -> None:
        """Add one answer, as it starts; `passed_on`: another pod gave it."""
        line = {
            "event": "access",
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "method": scope["method"],
            "path": scope["path"],  # without the query string
            "status": status,
            "milliseconds": round(seconds * 1000, 1),
            "dna": dna,
        }
        if passed_on:
            line["passedOn"] = True
        self._lines.append(json.dumps(line))
        if len(self._lines) >= _LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_SECONDS, self.flush)

    def flush(self) -> None:
        """Write the buffered lines."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            sys.stdout.write("\n".join(self._lines) + "\n")
            sys.stdout.flush()
            self._lines.clear()
