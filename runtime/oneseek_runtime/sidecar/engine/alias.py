"""The model name that questions go to, with a count of questions in flight per name. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Alias"]


class Alias:
    """The current target; a question keeps the name that it started with."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._leases: Counter[str] = Counter()

    @contextmanager
    def lease(self) -> Iterator[str]:
        """Returns the current name, counted as in flight until the block ends."""
        name = self.target
        self._leases[name] += 1
        try:
            yield name
        finally:
            self._leases[name] -= 1

    def in_flight(self, name: str) -> int:
        """Questions that are being answered under a name."""
        return self._leases[name]
