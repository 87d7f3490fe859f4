"""Real servers and processes on loopback ports, for tests: started, waited for with a deadline, always stopped."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

REPOSITORY = Path(__file__).resolve().parents[2]


class _Server(uvicorn.Server):
    """Ends as soon as it is told to: uvicorn's own looks ten times a second, and so do hundreds of tests."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app, http="httptools", ws="websockets-sansio", lifespan="off", log_config=None, proxy_headers=False
            )
        )
        self.told = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        async with asyncio.timeout(10):
            while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - sets, no events
                await asyncio.sleep(0.002)


@asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an app in this event loop, on any port where none is named; yields its URL."""
    # The protocol is named because asyncio turns Nagle's delay (40 ms an answer) off only where it is.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = _Server(app)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - uvicorn offers a flag, no event
                await asyncio.sleep(0.002)
        try:
            yield url
        finally:
            server.told.set()
            await task


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def runtime(
    command: str, environment: Mapping[str, str], log: Path, *, under: Sequence[str] = (), of: Path = REPOSITORY
) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m oneseek_runtime <command>` as a process of its own, `under` a tracer; killed at the end if it still runs.

    `of`: the checkout whose code runs.
    """
    paths = os.pathsep.join(str(of / part) for part in ("core", "runtime"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*under, sys.executable, "-m", "oneseek_runtime", command],
            env={**os.environ, "PYTHONPATH": paths, "ONESEEK_HOST": "127.0.0.1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path, *, within: float) -> float:
    """Seconds until something listens on `port`; fails when the process ends before."""
    start = time.monotonic()
    while time.monotonic() - start < within:
        assert process.poll() is None, f"ended with {process.returncode}: {log.read_text()}"
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return time.monotonic() - start
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port} after {within} s: {log.read_text()}")
