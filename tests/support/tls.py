"""Apps over real TLS on loopback, with certificates as right or as wrong as a test wants them."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from oneseek_operator.certificates import Issued
from support.access import AUTHORITY, NAME

__all__ = ["over_tls"]


@asynccontextmanager
async def over_tls(
    app: ASGIApp, *, host: str = NAME, authority: Issued = AUTHORITY, now: datetime | None = None
) -> AsyncIterator[int]:
    """Serve an app in this event loop; yields its port."""
    leaf = authority.leaf(host, now or datetime.now(UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        (both := Path(folder) / "pem").write_text(leaf.certificate + leaf.key)
        context.load_cert_chain(both)
    config = uvicorn.Config(app, http="httptools", ws="none", lifespan="off", log_config=None)
    config.load()
    config.ssl = context
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - uvicorn offers a flag, no event
                await asyncio.sleep(0.002)
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task
