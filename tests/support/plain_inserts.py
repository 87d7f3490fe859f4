"""What the records service is measured against: the same transport, and behind it nothing but SQLite inserts.

`python plain_inserts.py PORT FOLDER plain|grouped`. Same web server, token check, database settings and one writing
thread; the posted body goes into a table as it is. `plain`: each request is a transaction of its own. `grouped`: what
waits is one transaction (a harder rival: it has group commit too, but no chain, no tree, no idempotency, no proof).
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import sys
import threading
from pathlib import Path

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from oneseek_core.roles import Role, token_digest
from oneseek_runtime.records.auth import OPERATOR, admit

ACCEPTED = {str(Role.OPERATOR): token_digest(f"the-token-of-{Role.OPERATOR}")}  # that of support.access
Waiting = tuple[bytes, "asyncio.Future[None]", asyncio.AbstractEventLoop]


class Inserts:
    """One thread that inserts what is posted."""

    def __init__(self, folder: Path, *, grouped: bool) -> None:
        self._grouped = grouped
        self._waiting: queue.Queue[Waiting] = queue.Queue()
        self._connection = sqlite3.connect(folder / "plain.sqlite3", isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("CREATE TABLE entries (number INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            group = [self._waiting.get()]
            while self._grouped:
                try:
                    group.append(self._waiting.get_nowait())
                except queue.Empty:
                    break
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT INTO entries (body) VALUES (?)", [(body,) for body, _, _ in group])
            self._connection.execute("COMMIT")
            for _, future, loop in group:
                loop.call_soon_threadsafe(_done, future)

    async def post(self, request: Request) -> Response:
        admit(request.headers.get("authorization", ""), ACCEPTED, OPERATOR)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.put((await request.body(), future, loop))
        await future
        return Response(b'{"ok":true}', media_type="application/json")


def _done(future: asyncio.Future[None]) -> None:
    with contextlib.suppress(asyncio.InvalidStateError):
        future.set_result(None)


if __name__ == "__main__":
    port, folder, mode = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    inserts = Inserts(folder, grouped=mode == "grouped")
    guarded = Starlette(routes=[Route("/v1/transitions", inserts.post, methods=["POST"])])
    config = uvicorn.Config(
        guarded, host="127.0.0.1", port=port, http="httptools", ws="none", lifespan="off", log_config=None,
        access_log=False, proxy_headers=False, server_header=False,
    )  # fmt: skip
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve())
