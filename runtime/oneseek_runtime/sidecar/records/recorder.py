"""[I/O] Sends spooled entries to the records service in the background.

At least once: a batch leaves the spool when the service has acknowledged it. Entries carry keys, so the service records each once. An
entry that is refused permanently does not block others.
"""

from __future__ import annotations

import asyncio
import random
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from oneseek_runtime.log import say
from oneseek_runtime.sidecar.records.client import EntryRefusedError, RecordsAwayError, RecordsClient, RecordsGoneError
from oneseek_runtime.sidecar.records.lines import encoded
from oneseek_runtime.sidecar.records.spool import Batch, Spool
from oneseek_runtime.sidecar.settings import RecordsAccess

__all__ = ["ENTRIES", "QUERIES", "Recorder", "query_entry", "recording"]

QUERIES = "queries"
ENTRIES = "entries"  # training events and metrics, with or without a block in the ledger
_PATHS = {QUERIES: "/v1/queries", ENTRIES: "/v1/entries"}

_KEPT = ("queryId", "question", "response", "confidence", "metadata", "model", "version")
_BATCH_SECONDS = 0.1  # entries within it are sent together
_SYNC_SECONDS = 0.25  # entries not acknowledged by then are synced; none stays unsynced for twice as long
_FIRST_PAUSE = 0.1  # after a failure; doubled at each, up to the last
_LAST_PAUSE = 5.0
_GONE_SECONDS = 30.0  # a stopping pod waits no longer for a service whose name does not exist
_REPORT_SECONDS = 10.0  # at most so long the end waits for the abandoned count to be read
_LOG_SECONDS = 10.0


class Recorder:
    """Spools entries and sends them while `run` runs."""

    def __init__(self, spool: Spool, records: RecordsClient, *, batch_delay: float = _BATCH_SECONDS) -> None:
        self.records = records
        self._spool = spool
        self._batch_delay = batch_delay
        self._entry_added = asyncio.Event()  # an entry was spooled: wakes the sender
        self._written = asyncio.Event()  # the same: wakes the syncing task
        self._flush_requested = asyncio.Event()  # a caller waits: send without pauses
        self._progress = asyncio.Condition()  # a batch was acknowledged, or the service is away
        self._away_since: float | None = None
        self._gone_since: float | None = None
        self._abandoned = 0
        self._abandoned_read = asyncio.Event()
        self._loss_logged = float("-inf")

    @property
    def spooled(self) -> int:
        """Entries that are not acknowledged."""
        return self._spool.spooled

    @property
    def lost(self) -> int:
        """Entries that will never be recorded."""
        return self._spool.lost

    def record_query(self, question: str, answer: Mapping[str, Any]) -> None:
        """Record an answered question; `answer` is the body of the answer."""
        self.record(QUERIES, query_entry(question, answer))

    def record_document(self, query: Mapping[str, Any]) -> None:
        """Record a query's document without provenance."""
        self.record(QUERIES, {"query": query})

    def record(self, kind: str, entry: Mapping[str, Any]) -> None:
        """Spool an entry of `POST /v1/queries` or `/v1/entries`. Never fails and never waits for the network."""
        if not self._spool.append(kind, encoded(entry)):
            self._log_loss()
        self._entry_added.set()
        self._written.set()

    def _log_loss(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._loss_logged > _LOG_SECONDS:  # `lost` counts the rest
            self._loss_logged = now
            say("notRecorded", lost=self._spool.lost, reason="the spool is full, or its volume fails")

    async def run(self) -> None:
        """Send entries, oldest first, and sync those that are not acknowledged soon."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send_all())
            tasks.create_task(self._sync_all())

    async def _send_all(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                batch = self._spool.batch()
                if batch is None:
                    await self._wait_for_entries()
                    continue
                refused = await self._send(batch)
            except (RecordsAwayError, OSError) as error:
                await self._service_away(error)
                await self._pause(pause)
                pause = min(2 * pause, _LAST_PAUSE)
                continue
            self._spool.acknowledge(batch, refused=refused)
            pause = _FIRST_PAUSE
            await self._service_back()

    async def _wait_for_entries(self) -> None:
        """Wait for an entry, then a moment more, so that entries are sent together."""
        self._entry_added.clear()
        self._flush_requested.clear()
        await self._entry_added.wait()
        await self._pause(self._batch_delay)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - jitter
                await self._flush_requested.wait()
        except TimeoutError:
            return
        self._flush_requested.clear()

    async def _send(self, batch: Batch) -> int:
        """Send a batch; returns how many entries were refused permanently."""
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

    async def _service_away(self, error: Exception) -> None:
        now = asyncio.get_running_loop().time()
        if self._away_since is None:
            self._away_since = now
            say("recordsAway", spooled=self._spool.spooled, reason=str(error))
        self._gone_since = (self._gone_since or now) if isinstance(error, RecordsGoneError) else None
        async with self._progress:
            self._progress.notify_all()

    async def _service_back(self) -> None:
        if self._away_since is not None:
            seconds = round(asyncio.get_running_loop().time() - self._away_since, 1)
            say("recordsBack", seconds=seconds, spooled=self._spool.spooled)
        self._away_since = self._gone_since = None
        async with self._progress:
            self._progress.notify_all()

    async def _sync_all(self) -> None:
        """One fsync at a time, and none for entries acknowledged by then."""
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
        """Wait until all entries so far are recorded, the service is away, or `within` seconds are over."""
        target = self._spool.appended
        self._flush_requested.set()
        try:
            async with asyncio.timeout(within), self._progress:
                await self._progress.wait_for(
                    lambda: self._spool.acknowledged >= target or self._away_since is not None
                )
        except TimeoutError:
            return

    async def finish(self, within: float) -> None:
        """At the pod's end: send until all is recorded or `within` seconds are over, then count the rest as abandoned.

        Then wait a little for the state to be read, which reports the count.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        self._flush_requested.set()
        while self._spool.spooled and (left := deadline - loop.time()) > 0:
            if self._gone_since is not None and loop.time() - self._gone_since > _GONE_SECONDS:
                break
            try:
                async with asyncio.timeout(min(left, 1.0)), self._progress:
                    await self._progress.wait()
            except TimeoutError:
                continue
        if not self._spool.spooled:
            return
        self._abandoned = self._spool.spooled
        say("abandoned", entries=self._abandoned, lost=self._spool.lost)
        try:
            async with asyncio.timeout(_REPORT_SECONDS):
                await self._abandoned_read.wait()
        except TimeoutError:
            return

    def abandoned(self) -> int:
        """The entries abandoned by `finish`, reported once."""
        found, self._abandoned = self._abandoned, 0
        if found:
            self._abandoned_read.set()
        return found


def query_entry(question: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The documents `oqt_queries` and `oqt_provenance` of an answered question."""
    document = {"question": question, **answer}
    at = answer["timestamp"]
    query = {key: document[key] for key in _KEPT} | {"createdAt": at, "updatedAt": at}
    return {"query": query, "provenance": answer["provenance"]}


@asynccontextmanager
async def recording(
    session: aiohttp.ClientSession, access: RecordsAccess | None, held: Callable[[], str] = lambda: ""
) -> AsyncIterator[Recorder | None]:
    """Yields the running recorder; None without a records service.

    `held`: returns why nothing may be recorded now; empty if nothing prevents it.
    """
    if access is None:
        yield None
        return
    try:
        spool = await asyncio.to_thread(Spool.open, access.spool, limit=access.spool_bytes)
    except OSError as error:
        sys.exit(f"the spool folder {access.spool} cannot be used: {error}")
    say("spool", spooled=spool.spooled, lost=spool.lost)
    records = RecordsClient(session, access.url, access.access)
    records.held = held
    recorder = Recorder(spool, records)
    sending = asyncio.create_task(_keep_running(recorder))
    try:
        yield recorder
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        spool.close()


async def _keep_running(recorder: Recorder) -> None:
    """Log an unexpected error of the recorder and start it again."""
    while True:
        try:
            await recorder.run()
        except Exception:  # noqa: BLE001 - the task's border
            traceback.print_exc()
            await asyncio.sleep(5)
