"""[I/O] Spool, records service and recorder put together, at work for as long as the sidecar runs."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp

from oneseek_runtime.log import say
from oneseek_runtime.sidecar.records.client import RecordsClient
from oneseek_runtime.sidecar.records.recorder import Recorder
from oneseek_runtime.sidecar.records.spool import Spool
from oneseek_runtime.sidecar.settings import RecordsAccess

__all__ = ["recording"]


@asynccontextmanager
async def recording(
    session: aiohttp.ClientSession, access: RecordsAccess | None, held: Callable[[], str] = lambda: ""
) -> AsyncIterator[Recorder | None]:
    """What records answers, at work; None where the settings name no records service.

    `held`: why nothing may be entered just now; empty: go on.
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
    sending = asyncio.create_task(_for_ever(recorder))
    try:
        yield recorder
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        spool.close()


async def _for_ever(recorder: Recorder) -> None:
    """A defect in recording must be seen in the log, and must cost nobody an answer."""
    while True:
        try:
            await recorder.run()
        except Exception:  # noqa: BLE001 - the task's border
            traceback.print_exc()
            await asyncio.sleep(5)
