"""When a sidecar serves, drains and stops: the one piece of state that outlives a request.

Draining (the operator moved the Service away) and terminating (SIGTERM) both put `Connection: close` on every public
answer: a moved Service does not move connections that are already open, so each client is told to make a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Lifecycle", "until_drained"]

_POLL_SECONDS = 0.05
_SERVER_ERROR, _BUSY = 500, 503
_QUIET_SECONDS = 0.5  # no connection for so long: a client between two of its connections gets its second in


@dataclass(slots=True)
class Lifecycle:
    """`terminating` only ever rises; draining ends where the Service comes back to this pod."""

    draining: bool = False
    terminating: bool = False
    draining_since: float | None = None
    passed_on_here: int = 0
    """Requests under way that other pods passed on; their clients are connected there."""
    requests: int = 0
    """Public answers since the start, since draining last ended, or since another version took over (HotSwap)."""
    errors: int = 0
    """Those of them that are the served version's fault: 5xx of what the engine answers, but not the 503 of a busy one."""

    @property
    def closing(self) -> bool:
        """Whether public answers end their connection."""
        return self.draining or self.terminating

    def drain(self, now: float, *, on: bool = True) -> None:
        """The Service was moved away, at `now` (monotonic) if not before; or it came back, and counting starts anew."""
        if self.draining and not on:
            self.count_anew()
        self.draining = on
        self.draining_since = (now if self.draining_since is None else self.draining_since) if on else None

    def took(self, change: int) -> None:
        """A request that another pod passed on begins (1) or ends (-1)."""
        self.passed_on_here += change

    def count_anew(self) -> None:
        """From now on another version answers, or clients are sent here again."""
        self.requests = self.errors = 0

    def count(self, status: int, *, by_engine: bool) -> None:
        """One public answer. Errors send a watched version back, so nobody may bring one about who asks it nothing."""
        self.requests += 1
        if by_engine and status >= _SERVER_ERROR and status != _BUSY:
            self.errors += 1


async def until_drained(
    connections: Callable[[], int], *, minimum: float, maximum: float, clock: Callable[[], float]
) -> bool:
    """Return once nobody is connected any more (True), or when `maximum` seconds are over (False).

    Never before `minimum` seconds: until then new clients may still be sent here.
    """
    start = quiet_since = clock()
    while (now := clock()) - start < maximum:
        if connections():
            quiet_since = now
        elif now - start >= minimum and now - quiet_since >= _QUIET_SECONDS:
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False
