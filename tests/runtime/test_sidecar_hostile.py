"""A real sidecar process under hostile clients: it stays up, goes on answering, and its memory stays what it was."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from support.sidecar_process import sidecar_process

MB = 1024 * 1024
POST = "POST /api/oqt/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@dataclass
class Target:
    """The process and where it listens."""

    pid: int
    port: int

    def memory(self, what: str = "VmRSS") -> int:
        """Bytes in memory now (VmRSS), or at most so far (VmHWM)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        assert found
        return int(found[1]) * 1024

    async def send(self, *pieces: bytes | int, within: float = 60) -> bytes:
        """What comes back for pieces of bytes (a number: so many spaces), up to the first 64 KB."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        hearing = asyncio.create_task(reader.read(65536))
        try:
            async with asyncio.timeout(within):
                for piece in pieces:
                    for part in [b" " * MB] * (piece // MB) if isinstance(piece, int) else [piece]:
                        if hearing.done():
                            break
                        writer.write(part)
                        await writer.drain()
                return await hearing
        except ConnectionError:
            return b""
        finally:
            hearing.cancel()
            writer.close()

    async def answers(self) -> None:
        """It does what it is there for."""
        async with (
            aiohttp.ClientSession(f"http://127.0.0.1:{self.port}") as session,
            session.post("/api/oqt/query", json={"question": "Vem är du?"}) as response,
        ):
            assert response.status == 200
            assert (await response.json())["response"] == "You asked: Vem är du?"


@pytest.fixture
async def target(tmp_path: Path) -> AsyncIterator[Target]:
    async with sidecar_process(tmp_path, certified=tmp_path) as process:
        found = Target(process.pid, process.port)
        await found.answers()
        yield found


def whole(body: bytes) -> bytes:
    return f"{POST}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


async def announced_gigabyte(target: Target) -> None:
    answer = await target.send(f"{POST}Content-Length: {1024 * MB}\r\n\r\n".encode(), 8 * MB)
    assert answer.startswith(b"HTTP/1.1 413") or not answer  # it may be cut off while it still sends


async def endless_chunks(target: Target) -> None:
    chunk = f"{MB:x}\r\n".encode() + b" " * MB + b"\r\n"
    head = f"{POST}Transfer-Encoding: chunked\r\n\r\n".encode()
    answer = await target.send(head, *[chunk] * 1024)
    assert answer.startswith(b"HTTP/1.1 413") or not answer


async def deep_nesting(target: Target) -> None:
    for body in (b"[" * MB, b'{"question":' * 500_000, b'{"question":' + b"[" * MB + b"]" * MB + b"}"):
        assert (await target.send(whole(body))).startswith((b"HTTP/1.1 400", b"HTTP/1.1 413"))


async def many_keys(target: Target) -> None:
    body = json.dumps({f"key {number}": [] for number in range(10_000)} | {"question": "?"}).encode()
    assert (await target.send(whole(body))).startswith(b"HTTP/1.1 200")
    assert (await target.send(whole(b'{"k":' + b"[[]," * 4_000_000))).startswith(b"HTTP/1.1 413")


async def bad_bytes(target: Target) -> None:
    for body in (b'{"question":"\xff\xfe"}', b'{"question":"\xed\xa0\x80"}', b'{"question":"\\ud800"}', b"\x00" * 1000):
        assert (await target.send(whole(body))).startswith((b"HTTP/1.1 400", b"HTTP/1.1 200"))


async def slow_heads(target: Target) -> None:
    """300 connections that say one line and no more; the others are answered meanwhile."""
    opened = [await asyncio.open_connection("127.0.0.1", target.port) for _ in range(300)]
    for _, writer in opened:
        writer.write(POST.encode())
    await target.answers()
    for _, writer in opened:
        writer.close()


async def rubbish(target: Target) -> None:
    for data in (
        b"\x16\x03\x01" * 1000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"A" * MB,
        f"{POST}Content-Length: -1\r\n\r\n".encode(),
    ):
        assert (await target.send(data)).startswith((b"HTTP/1.1 4", b""))


ATTACKS = (announced_gigabyte, endless_chunks, deep_nesting, many_keys, bad_bytes, slow_heads, rubbish)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_it_stays_up_and_small(target: Target, attack: Callable[[Target], Awaitable[None]]) -> None:
    before = target.memory()
    for _ in range(3):
        await attack(target)
        await target.answers()
    async with asyncio.timeout(10):
        while (after := target.memory()) > 1.2 * before:  # noqa: ASYNC110 - freed memory goes back by itself
            await asyncio.sleep(0.1)
    print(
        f"proved: hostile clients, {attack.__name__}: {before / MB:.1f} MB before, {after / MB:.1f} after, {target.memory('VmHWM') / MB:.1f} peak"
    )


async def test_many_large_bodies_at_once_are_refused_before_memory_is_gone(target: Target) -> None:
    body = whole(b'{"question":"' + b"x" * 30 * MB)[:-1]  # one byte is kept back: all of them wait
    answers = await asyncio.gather(*[target.send(body, within=10) for _ in range(8)], return_exceptions=True)
    # Refused ones are told so, or cut off while they still send; the others wait for their last byte.
    assert sum(isinstance(answer, bytes) for answer in answers) >= 4
    assert sum(isinstance(answer, TimeoutError) for answer in answers) >= 2
    assert target.memory("VmHWM") < 128 * MB + 200 * MB
    await target.answers()
