"""[I/O] The time it is, and waiting. A value in its place makes a verb's waiting testable."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

__all__ = ["Clock"]

T = TypeVar("T")
_FIRST, _LONGEST = 0.2, 2.0  # seconds between two looks


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The time it is, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only rise."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, look: Callable[[], T | None], *, seconds: float) -> T | None:
        """The first thing that `look` finds; None where it finds nothing within `seconds`. Looks less often in time."""
        deadline, pause = self.monotonic() + seconds, _FIRST
        while (found := look()) is None:
            left = deadline - self.monotonic()
            if left <= 0:
                return None
            self.sleep(min(pause, left))
            pause = min(pause * 1.3, _LONGEST)
        return found
