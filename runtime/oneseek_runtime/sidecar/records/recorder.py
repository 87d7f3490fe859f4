"""Hands what is spooled over to the records service, and lets nobody wait for it.

At least once: a batch is let go only when the service has acknowledged it, and sent again otherwise. Once: entries
carry keys by which the service knows them. One that the service refuses for good holds no other back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Any, Protocol

from oneseek_runtime.log import say
from oneseek_runtime.sidecar.records.client import EntryRefusedError, RecordsAwayError, RecordsGoneError
from oneseek_runtime.sidecar.records.lines import encoded
from oneseek_runtime.sidecar.records.spool import Batch, Spool

__all__ = ["ENTRIES", "QUERIES", "Recorder", "RecordsPort", "query_entry"]

QUERIES = "queries"
ENTRIES = "entries"  # training events and metrics, with or without a block in the ledger
_PATHS = {QUERIES: "/v1/queries", ENTRIES: "/v1/entries"}

_KEPT = ("queryId", "question", "response", "confidence", "metadata", "model", "version")
_GATHER_SECONDS = 0.1  # entries that come within it travel together
_SYNC_SECONDS = 0.25  # what the service has not taken by then is synced; nothing stays unsynced for twice as long
_FIRST_PAUSE = 0.1  # after a failure; doubled at each, up to the last
_LAST_PAUSE = 5.0
_GONE_SECONDS = 30.0  # a pod that stops waits no longer for a service whose very name is gone
_TOLD_SECONDS = 10.0  # the longest that the end waits until somebody asked what was given up
_COMPLAIN_SECONDS = 10.0


class RecordsPort(Protocol):
    """What the recorder and the routes need of the records service; see `client.RecordsClient`."""

    async def post(self, path: str, body: bytes) -> None:
        """Record; raises EntryRefusedError, RecordsAwayError."""

    async def teach(self, lesson: bytes, *, after: int = 0) -> dict[str, Any]:
        """Something to learn, into the open window; raises EntryRefusedError, RecordsAwayError."""

    async def gather(self, bounds: bytes, *, after: int = 0) -> dict[str, Any]:
        """A major window of what was recorded so far; raises EntryRefusedError, RecordsAwayError."""

    async def due(self, asked: bytes) -> dict[str, Any]:
        """Windows that wait for their run; raises RecordsAwayError."""

    async def take(self, window: int) -> None:
        """A window's run is there; raises RecordsAwayError."""

    async def questions(self, window: int) -> bytes:
        """What a closed window holds, one JSON object a line; raises RecordsAwayError."""

    async def totals(self) -> dict[str, Any]:
        """How much was recorded to learn from; raises RecordsAwayError."""

    async def queries(self, limit: int) -> list[Any]:
        """The newest queries, newest first; raises RecordsAwayError."""

    async def verify(self) -> dict[str, Any]:
        """What reading the whole ledger again found; raises RecordsAwayError."""

    async def stats(self) -> dict[str, Any]:
        """Blocks by type, and the newest; raises RecordsAwayError."""

    async def blocks(self, first: int, limit: int) -> list[Any]:
        """Blocks from a number on, oldest first; raises RecordsAwayError."""


class Recorder:
    """Keeps entries and sends them. `run` works until it is cancelled; everything else may be called meanwhile."""

    def __init__(self, spool: Spool, records: RecordsPort, *, gather: float = _GATHER_SECONDS) -> None:
        self.records = records
        self._spool = spool
        self._gather = gather
        self._kept = asyncio.Event()  # something was spooled, for the sender
        self._written = asyncio.Event()  # the same, for the one that syncs
        self._hurry = asyncio.Event()  # somebody waits: do not gather, do not pause
        self._moved = asyncio.Condition()  # a batch is acknowledged, or the service turned out to be away
        self._away_since: float | None = None
        self._gone_since: float | None = None
        self._abandoned = 0
        self._told = asyncio.Event()
        self._complained = float("-inf")

    @property
    def spooled(self) -> int:
        """Entries that the records service has not acknowledged."""
        return self._spool.spooled

    @property
    def lost(self) -> int:
        """Entries that it never will."""
        return self._spool.lost

    def keep_query(self, question: str, answer: Mapping[str, Any]) -> None:
        """Record an answered question; `answer` is the body that the client gets."""
        self.keep(QUERIES, query_entry(question, answer))

    def keep_document(self, query: Mapping[str, Any]) -> None:
        """Record a query's document that has no provenance beside it."""
        self.keep(QUERIES, {"query": query})

    def keep(self, kind: str, entry: Mapping[str, Any]) -> None:
        """Record an entry as `POST /v1/queries` or `/v1/entries` takes it. Never fails and never waits for a network."""
        if not self._spool.append(kind, encoded(entry)):
            self._complain()
        self._kept.set()
        self._written.set()

    def _complain(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._complained > _COMPLAIN_SECONDS:  # the count says the rest
            self._complained = now
            say("notRecorded", lost=self._spool.lost, reason="the spool is full, or its volume fails")

    async def run(self) -> None:
        """Send what is spooled, oldest first, and make durable what the service has not taken soon."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_all())
            tasks.create_task(self._sync_all())

    async def _send_all(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                batch = self._spool.batch()
                if batch is None:
                    await self._gathered()
                    continue
                refused = await self._send(batch)
            except (RecordsAwayError, OSError) as error:
                await self._note_away(error)
                await self._pause(pause)
                pause = min(2 * pause, _LAST_PAUSE)
                continue
            self._spool.acknowledge(batch, refused=refused)
            pause = _FIRST_PAUSE
            await self._note_here()

    async def _gathered(self) -> None:
        """Return when something was spooled, a moment later, so that it does not travel alone."""
        self._kept.clear()
        self._hurry.clear()
        await self._kept.wait()
        await self._pause(self._gather)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - so that pods do not march
                await self._hurry.wait()
        except TimeoutError:
            return
        self._hurry.clear()

    async def _send(self, batch: Batch) -> int:
        """Have a batch recorded; how many of it the service refused for good."""
        if not batch.bodies:
            return 0
        try:
            await self._post(batch.kind, batch.bodies)
        except EntryRefusedError as error:
            if len(batch.bodies) == 1:
                say("notRecorded", lost=self._spool.lost + 1, reason=str(error))
                return 1
        else:
            return 0
        refused = 0
        for body in batch.bodies:
            try:
                await self._post(batch.kind, (body,))
            except EntryRefusedError as error:
                refused += 1
                say("notRecorded", lost=self._spool.lost + refused, reason=str(error))
        return refused

    async def _post(self, kind: str, bodies: tuple[bytes, ...]) -> None:
        path = _PATHS.get(kind)
        if path is None:
            raise EntryRefusedError(f"the spool holds an entry of the unknown kind {kind!r}")
        await self.records.post(path, b'{"%b":[%b]}' % (kind.encode(), b",".join(bodies)))

    async def _note_away(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
            say("recordsAway", spooled=self._spool.spooled, reason=str(error))
        self._gone_since = (self._gone_since or now) if isinstance(error, RecordsGoneError) else None
        async with self._moved:
            self._moved.notify_all()

    async def _note_here(self) -> None:
        if self._away_since is not None:
            seconds = round(asyncio.get_running_loop().time() - self._away_since, 1)
            say("recordsBack", seconds=seconds, spooled=self._spool.spooled)
        self._away_since = self._gone_since = None
        async with self._moved:
            self._moved.notify_all()

    async def _sync_all(self) -> None:
        """One fsync at a time, and none for what the service has taken by then: with it there, nothing is synced."""
        while True:
            await self._written.wait()
            self._written.clear()
            target = self._spool.appended
            await asyncio.sleep(_SYNC_SECONDS)
            if self._spool.acknowledged < target:
                try:
                    await asyncio.to_thread(self._spool.sync)
                except OSError as error:
                    say("spoolNotSynced", reason=str(error))

    async def flush(self, within: float) -> None:
        """Return when everything kept so far is recorded, when the service turns out to be away, or after `within`."""
        target = self._spool.appended
        self._hurry.set()
        try:
            async with asyncio.timeout(within), self._moved:
                await self._moved.wait_for(lambda: self._spool.acknowledged >= target or self._away_since is not None)
        except TimeoutError:
            return

    async def finish(self, within: float) -> None:
        """The end of a pod: send on until all is recorded, or `within` seconds are over; then count what is given up.

        The count is told once to whoever asks for the state, and for that much longer the caller must be reachable.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        self._hurry.set()
        while self._spool.spooled and (left := deadline - loop.time()) > 0:
            if self._gone_since is not None and loop.time() - self._gone_since > _GONE_SECONDS:
                break
            try:
                async with asyncio.timeout(min(left, 1.0)), self._moved:
                    await self._moved.wait()
            except TimeoutError:
                continue
        if not self._spool.spooled:
            return
        self._abandoned = self._spool.spooled
        say("abandoned", entries=self._abandoned, lost=self._spool.lost)
        try:
            async with asyncio.timeout(_TOLD_SECONDS):
                await self._told.wait()
        except TimeoutError:
            return

    def abandoned(self) -> int:
        """What `finish` gave up, told once."""
        found, self._abandoned = self._abandoned, 0
        if found:
            self._told.set()
        return found


def query_entry(question: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """A query's two documents, `oqt_queries` and `oqt_provenance`, from the body that its client got."""
    document = {"question": question, **answer}
    at = answer["timestamp"]
    query = {key: document[key] for key in _KEPT} | {"createdAt": at, "updatedAt": at}
    return {"query": query, "provenance": answer["provenance"]}
