"""The name that questions go to, and how many are under way under each name. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Alias"]


class Alias:
    """Moves from one version to the next; a question keeps the name it was asked under."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._leases: Counter[str] = Counter()

    @contextmanager
    def lease(self) -> Iterator[str]:
        """The name for one question, counted until it is answered."""
        name = self.target
        self._leases[name] += 1
        try:
            yield name
        finally:
            self._leases[name] -= 1

    def in_flight(self, name: str) -> int:
        """Questions that are being answered under a name."""
        return self._leases[name]
