"""The one thread that writes: whatever waits when it comes free becomes one transaction with one fsync.

Sixteen clients that each wait for the disk alone wait sixteen times; together they wait once. A request is answered
only after the commit that holds it, and fails only if that commit failed.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oneseek_runtime.records.errors import BusyError, StoreFailedError
from oneseek_runtime.records.store import Entry, Head, Receipt

__all__ = ["GroupWriter", "Outcome"]

_WAITING = 2048  # requests; beyond them a client is told to come back later
_GROUP = 1024  # entries in one transaction, so that none waits long behind others

Outcome = tuple[list[Receipt], Head] | Exception


@dataclass(slots=True)
class _Request:
    entries: Sequence[Entry]
    future: asyncio.Future[tuple[list[Receipt], Head]]
    loop: asyncio.AbstractEventLoop


class GroupWriter:
    """Gives groups of requests to `commit`, which must return one outcome for each and never raise."""

    def __init__(self, commit: Callable[[list[Sequence[Entry]]], list[Outcome]]) -> None:
        self._commit = commit
        self._waiting: queue.Queue[_Request | None] = queue.Queue(_WAITING)
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="records-writer", daemon=True)
        self._thread.start()

    async def append(self, entries: Sequence[Entry]) -> tuple[list[Receipt], Head]:
        """Wait until the entries are durable.

        Raises:
            BusyError: too many wait already.
            RecordsError: what `commit` said.
        """
        loop = asyncio.get_running_loop()
        request = _Request(entries, loop.create_future(), loop)
        if self._closed:
            raise StoreFailedError("the records are being closed")
        try:
            self._waiting.put_nowait(request)
        except queue.Full as error:
            raise BusyError(f"{_WAITING} appends wait for the disk already; try again later") from error
        return await request.future

    def close(self) -> None:
        """Commit what waits, then end. Nothing is accepted any more."""
        self._closed = True
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            group, last = self._gather(first)
            for request, outcome in zip(group, self._commit([one.entries for one in group]), strict=True):
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                    request.loop.call_soon_threadsafe(_resolve, request.future, outcome)
            if last:
                return

    def _gather(self, first: _Request) -> tuple[list[_Request], bool]:
        """Everything that waits now, up to a limit; and whether the end was among it."""
        group, entries = [first], len(first.entries)
        while entries < _GROUP:
            try:
                request = self._waiting.get_nowait()
            except queue.Empty:
                break
            if request is None:
                return group, True
            group.append(request)
            entries += len(request.entries)
        return group, False


def _resolve(future: asyncio.Future[tuple[list[Receipt], Head]], outcome: Outcome) -> None:
    if future.done():  # the client left; what it sent is recorded all the same
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
