"""Who is to be looked at again: one flag per object, set by events, waited on by the object's loop.

Many events before the loop comes round are one wake-up: each reconcile reads all that is.
"""

from __future__ import annotations

import asyncio

__all__ = ["Key", "Wakeups"]

Key = tuple[str, str, str]  # kind, namespace, name


class Wakeups:
    """Flags by object, of those that have a loop: events name any object that a label or a run's spec names."""

    def __init__(self) -> None:
        self._flags: dict[Key, asyncio.Event] = {}

    def begin(self, key: Key) -> None:
        """The object's loop starts; it looks once before it waits."""
        self._flags.setdefault(key, asyncio.Event())

    def wake(self, kind: str, namespace: str, name: str) -> None:
        """Have an object's loop come round, if it has one."""
        if flag := self._flags.get((kind, namespace, name)):
            flag.set()

    async def wait(self, key: Key, timeout: float | None) -> None:
        """Until the object is woken or `timeout` seconds are over. After `begin`."""
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
