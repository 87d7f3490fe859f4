"""[I/O] Runs the recorder as long as the sidecar runs."""

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
