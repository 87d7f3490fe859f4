"""The rules that hold for every route: limits and their headers, proxies, bodies, slow and hostile clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from oneseek_runtime.sidecar.app import create_app
from oneseek_runtime.sidecar.http.client_address import parse_networks
from oneseek_runtime.sidecar.http.slow_clients import BoundedProtocol, Bounds
from oneseek_runtime.sidecar.server import BoundedServer
from support.asgi import free_port
from support.legacy import DNA, Service, service


async def test_every_counted_answer_says_what_is_left(version: Service) -> None:
    for left in (19, 18):
        _, _, headers = await version.json("GET", "/api/models/current")
        assert (headers["RateLimit-Limit"], headers["RateLimit-Remaining"]) == ("20", str(left))
        assert (headers["RateLimit-Policy"], int(headers["RateLimit-Reset"])) == ("20;w=60", 60)
    _, _, headers = await version.json("GET", "/api/models/certified")
    assert "RateLimit-Limit" not in headers


async def test_a_refusal_says_when_to_come_again(version: Service) -> None:
    for _ in range(20):
        await version.json("GET", "/api/models/current")
    status, _, headers = await version.json("GET", "/api/models/current")
    assert (status, headers["RateLimit-Remaining"]) == (429, "0")
    assert headers["Retry-After"] == headers["RateLimit-Reset"]


async def test_behind_a_trusted_proxy_each_client_has_its_own_bucket(tmp_path: Path) -> None:
    async for place in service(tmp_path, dna=DNA, trusted_proxies=parse_networks("127.0.0.0/8")):
        for _ in range(21):
            status, _, _ = await place.json("GET", "/api/models/current", headers={"X-Forwarded-For": "198.51.100.1"})
        assert status == 429
        other = {"X-Forwarded-For": "198.51.100.2"}
        assert (await place.json("GET", "/api/models/current", headers=other))[0] == 200


async def test_without_trusted_proxies_the_header_buys_nothing(version: Service) -> None:
    for number in range(21):
        forwarded = {"X-Forwarded-For": f"198.51.100.{number}"}
        status, _, _ = await version.json("GET", "/api/models/current", headers=forwarded)
    assert status == 429


@pytest.mark.parametrize("path", ["/api/oqt/query", "/api/models/set-current"])
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", None])
async def test_an_empty_body_is_an_empty_object(unlimited: Service, path: str, content_type: str | None) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    async with unlimited.client.post(path, data=b"", headers=headers) as response:
        assert response.status in (400, 401, 503)
        assert "required" in (await response.json())["error"] or response.status != 400


async def test_ten_thousand_keys_are_answered(unlimited: Service) -> None:
    body = {f"key {number}": number for number in range(10_000)} | {"question": "Vem är du?"}
    status, answer, _ = await unlimited.json("POST", "/api/oqt/query", json=body)
    assert (status, answer["response"]) == (200, "You asked: Vem är du?")


class Hasty(BoundedProtocol):
    """The same, in a tenth of a second."""

    bounds = Bounds(first=0.1, head=0.1, piece=0.1, body=0.5)


@asynccontextmanager
async def hasty(place: Service) -> AsyncIterator[int]:
    port = free_port()
    config = uvicorn.Config(
        create_app(place.deps),
        host="127.0.0.1",
        port=port,
        http=Hasty,
        ws="none",
        lifespan="off",
        log_config=None,
        proxy_headers=False,
    )
    server = BoundedServer(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - uvicorn offers a flag, no event
            await asyncio.sleep(0.005)
    try:
        yield port
    finally:
        server.should_exit = True
        await serving


async def said(port: int, *pieces: bytes, pause: float = 0.05) -> bytes:
    """What the server says to a client that sends piece by piece, until the server ends the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    hearing = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(10):
            for piece in pieces:
                if hearing.done():
                    break
                writer.write(piece)
                await asyncio.sleep(pause)
            return await hearing
    finally:
        writer.close()


HEAD = b"POST /api/oqt/query HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        pytest.param((), b"", id="says-nothing"),
        pytest.param((b"GET / HT",), b"HTTP/1.1 408", id="half-a-line"),
        pytest.param((b"GET / HTTP/1.1\r\n", b"A: b\r\n"), b"HTTP/1.1 408", id="half-a-head"),
        pytest.param((HEAD, b"{"), b"HTTP/1.1 408", id="half-a-body"),
    ],
)
async def test_a_client_that_dawdles_is_let_go(unlimited: Service, pieces: tuple[bytes, ...], status: bytes) -> None:
    async with hasty(unlimited) as port:
        answer = await said(port, *pieces)
    assert answer.startswith(status)
    assert bool(answer) == bool(status)
    assert unlimited.engine.requests == []


async def test_a_body_that_drips_has_an_end(unlimited: Service) -> None:
    async with hasty(unlimited) as port:
        answer = await said(port, HEAD, *[b" "] * 40, pause=0.05)
    assert answer.startswith(b"HTTP/1.1 408")


async def test_a_connection_that_is_idle_after_an_answer_is_kept(unlimited: Service) -> None:
    async with hasty(unlimited) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(2):
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            await asyncio.sleep(2.2)  # two looks
        writer.close()


async def test_an_answer_that_takes_long_is_waited_for(unlimited: Service) -> None:
    unlimited.engine.hold = asyncio.Event()
    body = json.dumps({"question": "q"}).encode()
    async with hasty(unlimited) as port:
        head = b"POST /api/oqt/query HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
        asking = asyncio.create_task(said(port, head + body))
        await asyncio.sleep(2.2)  # two looks
        unlimited.engine.hold.set()
        assert (await asking).startswith(b"HTTP/1.1 200")


async def test_headers_without_end_are_refused(unlimited: Service) -> None:
    async with hasty(unlimited) as port:
        answer = await said(port, b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000, pause=0)
    assert answer.startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00", b"\r\n\r\n\r\nrubbish\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n"]
)
async def test_what_is_no_http_is_a_400(unlimited: Service, data: bytes) -> None:
    async with hasty(unlimited) as port:
        head, _, body = (await said(port, data)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert b"access-control-allow-origin: *" in head.lower()
    assert json.loads(body) == {"error": "Bad Request", "message": "what was sent is no HTTP request"}


async def test_a_body_that_is_no_chunk_is_a_400_too_and_nothing_is_asked(unlimited: Service) -> None:
    chunked = b"POST /api/oqt/query HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with hasty(unlimited) as port:
        answer = await said(port, chunked, b"rubbish\r\n")
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1
    assert unlimited.engine.requests == []


@pytest.mark.parametrize(
    "path",
    ["/health", "/api/health", "/api/oqt/status", "/v1/models", "/", "/openapi.json"],
)
async def test_old_monitors_may_ask_by_head(unlimited: Service, path: str) -> None:
    """Case 72."""
    async with hasty(unlimited) as port:
        head, _, body = (
            await said(port, f"HEAD {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        ).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert b"content-length:" in head.lower()
    assert body == b""


async def test_old_clients_may_speak_http_1_0_and_wait_to_be_told_to_go_on(unlimited: Service) -> None:
    """Case 72."""
    question = json.dumps({"question": "q"}).encode()
    head = b"POST /api/oqt/query HTTP/%s\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
    async with hasty(unlimited) as port:
        plain = await said(port, b"GET /health HTTP/1.0\r\n\r\n")
        old = await said(port, head % (b"1.0", len(question)) + b"\r\n" + question)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(10):
            writer.write(head % (b"1.1", len(question)) + b"Connection: close\r\nExpect: 100-continue\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(question)
            expecting = await reader.read()
        writer.close()
    for answer in (plain, old, expecting):
        assert answer.startswith(b"HTTP/1.1 200")
    for answer in (old, expecting):
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["response"] == "You asked: q"
