"""A steady load of real HTTP/1.1 requests: half on kept-alive connections, half on fresh ones; no retries.

Run inside the cluster's network namespace: `oneseek_dev exec -- python3 tests/support/load.py --url URL ...`.
Open loop: requests start on the clock, however long answers take. Prints one JSON object. A kept-alive connection is
only given up after an answer that says `Connection: close`; any other end of it is a failed request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit


@dataclass
class Result:
    """What happened."""

    requests: int = 0
    kept_alive: int = 0
    closed_politely: int = 0
    failures: list[str] = field(default_factory=list)
    answers: list[dict[str, object]] = field(default_factory=list)  # in the order they came
    slowest_ms: float = 0.0
    started_at: float = 0.0  # seconds since the epoch; what `asked` and `answered` count from


class Connection:
    """One HTTP/1.1 connection, one request at a time."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.turn = asyncio.Lock()

    async def open(self) -> None:
        """Connect unless connected."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)

    def close(self) -> None:
        """Drop the connection."""
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def request(self, head: bytes, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """One exchange: status, headers, body."""
        await self.open()
        assert self.reader is not None
        assert self.writer is not None
        self.writer.write(head + body)
        await self.writer.drain()
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        data = await self.reader.readexactly(int(headers["content-length"]))
        return int(lines[0].split()[1]), headers, data


def query_id(data: bytes) -> str:
    """The id that an answer carries; empty where it is no answer to a question."""
    try:
        return str(json.loads(data).get("queryId", ""))
    except (ValueError, AttributeError):
        return ""


async def main() -> None:
    """Run the load that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--body", default="", help="POST this JSON; without it GET")
    parser.add_argument("--rate", type=float, default=20.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=1800.0, help="longest time; the load never runs longer")
    parser.add_argument("--until", default="", help="stop when this file appears")
    arguments = parser.parse_args()
    assert arguments.rate <= 200
    assert arguments.seconds <= 1800
    parts = urlsplit(arguments.url)
    host, port = parts.hostname or "", parts.port or 80
    body = arguments.body.encode()
    result, started = Result(started_at=time.time()), time.monotonic()

    def head(close: bool) -> bytes:
        lines = [f"{'POST' if body else 'GET'} {parts.path or '/'} HTTP/1.1", f"Host: {host}:{port}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += ["Connection: close"] if close else []
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def once(connection: Connection, *, kept: bool) -> None:
        async with connection.turn:
            result.requests += 1
            result.kept_alive += kept
            begun = time.monotonic()
            try:
                async with asyncio.timeout(30):
                    status, headers, data = await connection.request(head(not kept), body)
                if status != 200:
                    result.failures.append(f"{begun - started:.2f} s: status {status}: {data[:200]!r}")
                elif dna := headers.get("x-oneseek-dna", ""):
                    said = json.loads(data).get("version", dna)
                    if said != dna:
                        result.failures.append(f"{begun - started:.2f} s: the header says {dna}, the body {said}")
                last = headers.get("connection", "").lower() == "close"
                result.answers.append(
                    {
                        "asked": round(begun - started, 3),
                        "answered": round(time.monotonic() - started, 3),
                        "dna": headers.get("x-oneseek-dna", ""),
                        "last": last and kept,
                        "queryId": query_id(data),
                    }
                )
                if last:
                    result.closed_politely += kept
                    connection.close()
            except (OSError, TimeoutError, asyncio.IncompleteReadError, KeyError) as error:
                kind = "kept-alive" if kept else "fresh"
                result.failures.append(f"{begun - started:.2f} s: {kind}: {type(error).__name__} {error}")
                connection.close()
            result.slowest_ms = max(result.slowest_ms, round((time.monotonic() - begun) * 1000, 1))

    kept = [Connection(host, port) for _ in range(8)]
    tasks: set[asyncio.Task[None]] = set()
    count = 0
    while time.monotonic() - started < arguments.seconds:
        if arguments.until and Path(arguments.until).exists():
            break
        keep = count % 2 == 0
        connection = kept[count // 2 % len(kept)] if keep else Connection(host, port)
        task = asyncio.create_task(once(connection, kept=keep))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        count += 1
        await asyncio.sleep(max(0.0, started + count / arguments.rate - time.monotonic()))
    if tasks:
        await asyncio.wait(tasks, timeout=60)
    for connection in kept:
        connection.close()
    print(json.dumps(asdict(result)))


if __name__ == "__main__":
    asyncio.run(main())
