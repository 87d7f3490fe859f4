"""Who is to be looked at again: one flag per object, set by events, waited on by the object's loop.

Many events before the loop comes round are one wake-up: each reconcile reads all that is.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

__all__ = ["Key", "Wakeups"]

Key = tuple[str, str, str]  # kind, namespace, name


class Wakeups:
    """Flags by object."""

    def __init__(self) -> None:
        self._flags: defaultdict[Key, asyncio.Event] = defaultdict(asyncio.Event)

    def wake(self, kind: str, namespace: str, name: str) -> None:
        """Have an object's loop come round; harmless where there is none yet (a loop starts awake)."""
        self._flags[(kind, namespace, name)].set()

    async def wait(self, key: Key, timeout: float | None) -> None:
        """Until the object is woken or `timeout` seconds are over."""
        flag = self._flags[key]
        try:
            async with asyncio.timeout(timeout):
                await flag.wait()
        except TimeoutError:
            pass
        flag.clear()

    def forget(self, key: Key) -> None:
        """The object is gone."""
        self._flags.pop(key, None)
