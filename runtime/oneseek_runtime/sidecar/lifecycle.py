"""Whether the sidecar serves, drains or stops, and counters of its answers.

Draining (the operator moved the Service) and terminating (SIGTERM) both put `Connection: close` on public answers: moving a Service
does not move open connections.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Lifecycle", "until_drained"]

_POLL_SECONDS = 0.05
_SERVER_ERROR, _BUSY = 500, 503
_QUIET_SECONDS = 0.5  # without a connection, so that a client can open its next one


@dataclass(slots=True)
class Lifecycle:
    """`terminating` is never reset; draining ends if the Service returns to this pod."""

    draining: bool = False
    terminating: bool = False
    draining_since: float | None = None
    forwarded_here: int = 0
    """Forwarded requests in progress; their clients are connected to other pods."""
    requests: int = 0
    """Public answers of the engine since the start, the end of the last drain, or the last HotSwap."""
    errors: int = 0
    """Those with a 5xx status, except 503 of a busy engine: too many, and a watched version is rolled back."""

    @property
    def closing(self) -> bool:
        """Whether public answers close their connection."""
        return self.draining or self.terminating

    def drain(self, now: float, *, on: bool = True) -> None:
        """Start draining at `now` (monotonic) or end it, which resets the counters."""
        if self.draining and not on:
            self.reset_counters()
        self.draining = on
        self.draining_since = (now if self.draining_since is None else self.draining_since) if on else None

    def count_forwarded(self, change: int) -> None:
        """A forwarded request begins (1) or ends (-1)."""
        self.forwarded_here += change

    def reset_counters(self) -> None:
        """Another version answers from now on, or clients return."""
        self.requests = self.errors = 0

    def count(self, status: int) -> None:
        """Count one public answer of the engine. Other routes' answers say nothing of the version."""
        self.requests += 1
        if status >= _SERVER_ERROR and status != _BUSY:
            self.errors += 1


async def until_drained(
    connections: Callable[[], int], *, minimum: float, maximum: float, clock: Callable[[], float]
) -> bool:
    """Wait until no client is connected (True) or `maximum` seconds are over (False); at least `minimum` seconds."""
    start = quiet_since = clock()
    while (now := clock()) - start < maximum:
        if connections():
            quiet_since = now
        elif now - start >= minimum and now - quiet_since >= _QUIET_SECONDS:
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False
