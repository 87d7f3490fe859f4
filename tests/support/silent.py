"""Servers that are there and do not answer: a full queue of connections, a process that says nothing."""

from __future__ import annotations

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

__all__ = ["full_queue", "speechless", "until_connecting", "until_stopped"]

_SYN_SENT = "02"


@contextmanager
def full_queue(host: str = "127.0.0.1", port: int = 0) -> Iterator[socket.socket]:
    """A listener whose queue is full: the kernel drops what else would connect until somebody accepts."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        client = stack.enter_context(socket.socket())
        client.connect(listener.getsockname())  # the kernel queues one more than the backlog says: this one
        listener.setblocking(False)
        yield listener


async def until_connecting(port: int) -> None:
    """Return once a connection to `port` is tried and not answered."""
    own = f":{port:04X}"
    async with asyncio.timeout(10):
        while True:
            rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
            if any(row[2].endswith(own) and row[3] == _SYN_SENT for row in rows):
                return
            await asyncio.sleep(0.01)


async def until_stopped(process: subprocess.Popen[bytes]) -> None:
    """Return once SIGSTOP has reached a process."""
    async with asyncio.timeout(10):
        while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def speechless() -> AsyncIterator[int]:
    """A server that takes every request and answers none; yields its port."""
    writers = []

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        while await reader.read(65536):
            pass

    server = await asyncio.start_server(hear, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()
