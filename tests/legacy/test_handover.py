"""A pod that another version took over from: real sidecars on loopback ports, each before an engine of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from oneseek_core import names
from oneseek_core.roles import Role
from oneseek_core.serving.handover import Handover, HandoverRequest
from oneseek_runtime.access import Way
from oneseek_runtime.sidecar.handover import forwarding
from oneseek_runtime.sidecar.handover.orders import Orders, Peer
from oneseek_runtime.sidecar.http.client_address import parse_networks
from oneseek_runtime.sidecar.http.concurrency_limit import asks_engine
from support.access import NAME, TOKENS, trust
from support.asgi import free_port
from support.kube_simulator import jwt
from support.legacy import DNA, OLD, Service, run_object, service
from support.openai_simulator import broken, busy
from support.recorded import CASES, Case, answers_as_the_table_says

QUERY = "/api/oqt/query"
CHAT = {"model": "default", "messages": [{"role": "user", "content": "hej"}]}


@pytest.fixture
async def old(tmp_path: Path) -> AsyncIterator[Service]:
    (tmp_path / "old").mkdir()
    async for place in service(tmp_path / "old", dna=OLD, rate_limits=False):
        yield place


@pytest.fixture
async def new(tmp_path: Path) -> AsyncIterator[Service]:
    async for place in service(tmp_path, dna=DNA, rate_limits=False):
        yield place


@pytest.fixture
async def limited(tmp_path: Path) -> AsyncIterator[Service]:
    async for place in service(tmp_path, dna=DNA, trusted_proxies=parse_networks("127.0.0.9")):
        yield place


async def order(place: Service, *addresses: str, dna: str | None = DNA) -> None:
    """What the operator tells."""
    request = HandoverRequest(handover=Handover(dna=dna, addresses=list(addresses)))
    async with place.internal.post("/internal/handover", json=request.to_wire()) as answer:
        assert answer.status == 200, await answer.text()
        assert HandoverRequest.from_wire(await answer.read()) == request


async def release(place: Service) -> None:
    async with place.internal.post("/internal/handover", json={}) as answer:
        assert (answer.status, await answer.json()) == (200, {})


async def ask(place: Service, question: str = "Vem är du?") -> tuple[int, dict[str, Any], Any]:
    return await place.json("POST", QUERY, json={"question": question})


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a server in this loop changes it
            await asyncio.sleep(0.005)


async def test_a_pod_that_speaks_tls_passes_on_to_one_that_does_not_by_its_public_port(
    tmp_path: Path, new: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = new.client._base_url
    assert public is not None
    (tmp_path / "tls").mkdir()
    way = Way(TOKENS[Role.SIDECAR], trust(), NAME)
    async for old in service(tmp_path / "tls", dna=OLD, rate_limits=False, way=way):
        monkeypatch.setattr(names, "PORT_PUBLIC", public.port)
        await order(old, f"127.0.0.1:{public.port}")
        status, body, _ = await ask(old)
        assert (status, body["version"]) == (200, DNA)


async def test_no_token_goes_to_a_public_port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = bytearray()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.extend(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setattr(names, "PORT_PUBLIC", port)
        async for old in service(tmp_path, dna=OLD, way=Way(TOKENS[Role.SIDECAR], trust(), NAME)):
            await order(old, f"127.0.0.1:{port}")
            async with old.client.get("/api/oqt/status") as answer:
                assert answer.status == 200
    assert heard.startswith(b"GET /internal/public/api/oqt/status HTTP/1.1\r\n")
    assert TOKENS[Role.SIDECAR].encode() not in heard


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.alone], ids=lambda case: f"{case.route}-{case.case}"[:80]
)
async def test_every_route_is_answered_by_the_pod_that_took_over_as_if_it_had_been_asked(
    old: Service, new: Service, case: Case
) -> None:
    new.cluster.put("trainingruns", run_object("identity"))
    assert await new.deps.cluster.informer.until(lambda informer: informer.runs or None, seconds=10)
    new.engine.misbehaviour = {"busy": busy, "broken": broken}.get(case.engine)
    await order(old, new.address)
    await answers_as_the_table_says(old.client, case)
    method, _, path = case.route.partition(" ")
    counted = asks_engine({"type": "http", "method": method, "path": case.path or path})
    assert (old.lifecycle.requests, new.lifecycle.requests) == (0, int(counted))
    assert old.engine.requests == []


async def test_an_answer_says_whose_it_is_and_ends_the_connection(old: Service, new: Service) -> None:
    async with old.client.post(QUERY, json={"question": "a"}) as response:
        assert response.headers["X-OneSeek-DNA"] == OLD
        assert "Connection" not in response.headers
    await order(old, new.address)
    async with old.client.post(QUERY, json={"question": "a"}) as response:
        assert response.headers.getall("X-OneSeek-DNA") == [DNA]
        assert response.headers.getall("Connection") == ["close"]
        assert len(response.headers.getall("Date")) == 1
        assert (await response.json())["version"] == DNA
    assert (old.lifecycle.requests, old.lifecycle.errors, new.lifecycle.requests) == (1, 0, 1)
    async with old.internal.get("/internal/state") as answer:
        state = await answer.json()
    assert (state["draining"], state["handover"]) == (True, {"dna": DNA, "addresses": [new.address]})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("POST", "/v1/nowhere", 404), ("GET", QUERY, 405), ("DELETE", "/v1/models", 405)],
)
async def test_what_does_not_exist_is_said_by_the_pod_that_took_over(
    old: Service, new: Service, method: str, path: str, status: int
) -> None:
    async with new.client.request(method, path) as response:
        directly = (response.status, response.headers.get("Allow"), await response.read())
    await order(old, new.address)
    async with old.client.request(method, path) as response:
        assert (response.status, response.headers.get("Allow"), await response.read()) == directly
    assert directly[0] == status


async def test_a_query_string_an_escaped_path_and_headers_arrive_as_they_were_sent(old: Service, new: Service) -> None:
    await order(old, new.address)
    async with old.client.options(QUERY, headers={"Access-Control-Request-Headers": "a, b"}) as response:
        assert (response.status, response.headers["Access-Control-Allow-Headers"]) == (204, "a, b")
    status, body, _ = await old.json("GET", "/api/training/micro/status?x=%C3%A5&y=1")
    assert (status, body) == (await new.json("GET", "/api/training/micro/status?x=%C3%A5&y=1"))[:2]
    token = {"Authorization": f"Bearer {jwt('nobody')}"}
    async with old.client.post("/api/models/set-current", json={}, headers=token) as response:
        assert response.status == 503, "the token arrived: without one it is a 401"


async def test_head_has_the_length_and_no_body(old: Service, new: Service) -> None:
    async with new.client.head("/health") as response:
        directly = response.status, response.headers["Content-Length"]
    await order(old, new.address)
    async with old.client.head("/health") as response:
        assert (response.status, response.headers["Content-Length"], await response.read()) == (*directly, b"")


async def pieces(size: int) -> AsyncIterator[bytes]:
    """A query in chunks, without a length in its head."""
    yield b'{"question":"'
    for _ in range(size // 1000):
        yield b"x" * 1000
    yield b'"}'


@pytest.mark.parametrize("size", [1_000, 900_000])
async def test_a_body_in_chunks_arrives_whole(old: Service, new: Service, size: int) -> None:
    await order(old, new.address)
    async with old.client.post(QUERY, data=pieces(size)) as response:
        assert response.status == 200
    assert new.engine.requests[0]["messages"][-1]["content"] == "x" * size


async def test_a_large_body_with_a_length_arrives_whole(old: Service, new: Service) -> None:
    await order(old, new.address)
    status, _, _ = await ask(old, "y" * 900_000)
    assert status == 200
    assert new.engine.requests[0]["messages"][-1]["content"] == "y" * 900_000


@pytest.mark.parametrize("path", [QUERY, "/v1/chat/completions"])
async def test_a_body_over_the_limit_is_refused_by_the_pod_that_took_over(
    old: Service, new: Service, path: str
) -> None:
    await order(old, new.address)
    reader, writer = await asyncio.open_connection("127.0.0.1", old.client._base_url.port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {51 * 1024**2}\r\n\r\n"
    writer.write(head.encode() + b"{" * 100_000)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"the body is larger than 50 MB" in answer
    assert (old.lifecycle.requests, new.lifecycle.requests) == (0, 1)


async def test_a_limit_counts_each_request_once_and_by_its_client_whichever_pod_it_came_to(
    old: Service, limited: Service
) -> None:
    await order(old, limited.address)
    url = str(old.client._base_url)
    left = []
    for place in [old, limited] * 10:
        status, _, headers = await place.json("GET", "/api/models/current")
        assert status == 200
        left.append(int(headers["RateLimit-Remaining"]))
    assert left == list(range(19, -1, -1))
    status, _, headers = await old.json("GET", "/api/models/current", headers={"Oneseek-Client": "192.0.2.1"})
    assert (status, "Retry-After" in headers) == (429, True), "who the client is cannot be written by the client"
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
    async with aiohttp.ClientSession(connector=connector) as another, another.get(url + "/api/models/current") as found:
        assert (found.status, found.headers["RateLimit-Remaining"]) == (200, "19")
    connector = aiohttp.TCPConnector(local_addr=("127.0.0.9", 0))
    forwarded = {"X-Forwarded-For": "198.51.100.7"}
    async with (
        aiohttp.ClientSession(connector=connector, headers=forwarded) as proxy,
        proxy.get(url + "/api/models/current") as found,
    ):
        assert (found.status, found.headers["RateLimit-Remaining"]) == (200, "19"), "a trusted proxy's word"


async def test_a_stream_comes_event_by_event(old: Service, new: Service) -> None:
    new.engine.stream, new.engine.pace = (b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n"), asyncio.Event()
    await order(old, new.address)
    async with old.client.post("/v1/chat/completions", json=CHAT | {"stream": True}) as response:
        assert response.headers["X-OneSeek-DNA"] == DNA
        for event in new.engine.stream:
            assert await response.content.readuntil(b"\n\n") == event
            new.engine.pace.set()
        assert await response.content.read() == b""


async def test_a_client_that_leaves_ends_the_generation_where_it_is(old: Service, new: Service) -> None:
    new.engine.hold = asyncio.Event()
    await order(old, new.address)
    asking = asyncio.create_task(ask(old))
    await new.engine.arrived.wait()
    asking.cancel()
    async with asyncio.timeout(10):
        await new.engine.abandoned.wait()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_client_that_leaves_a_stream_ends_it(old: Service, new: Service) -> None:
    new.engine.stream, new.engine.pace = (b"data: 1\n\n", b"data: 2\n\n"), asyncio.Event()
    await order(old, new.address)
    async with old.client.post("/v1/chat/completions", json=CHAT | {"stream": True}) as response:
        await response.content.readuntil(b"\n\n")
        response.close()
    async with asyncio.timeout(10):
        await new.engine.abandoned.wait()


async def test_a_request_under_way_finishes_where_it_is_and_the_next_on_its_connection_is_passed_on(
    old: Service, new: Service
) -> None:
    old.engine.hold = asyncio.Event()
    asking = asyncio.create_task(ask(old))
    await old.engine.arrived.wait()
    await order(old, new.address)
    assert (await ask(old))[1]["version"] == DNA
    old.engine.hold.set()
    status, body, headers = await asking
    assert (status, body["version"], headers["X-OneSeek-DNA"], headers["Connection"]) == (200, OLD, OLD, "close")
    assert old.lifecycle.requests == 1


async def test_a_pod_that_is_gone_is_passed_over_for_the_next(old: Service, new: Service) -> None:
    await order(old, f"127.0.0.1:{free_port()}", new.address)
    for _ in range(4):
        assert (await ask(old))[1]["version"] == DNA
    assert len(new.engine.requests) == 4


async def test_requests_go_to_all_pods_that_took_over(old: Service, new: Service, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    async for second in service(tmp_path / "second", dna=DNA, rate_limits=False):
        await order(old, new.address, second.address)
        for _ in range(10):
            assert (await ask(old))[0] == 200
        assert (new.lifecycle.requests, second.lifecycle.requests) == (5, 5)


@asynccontextmanager
async def breaking_off() -> AsyncIterator[tuple[str, list[bytes]]]:
    """A pod that hears a request and dies."""
    heard: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


async def test_what_may_have_been_done_is_not_asked_for_twice(old: Service, new: Service) -> None:
    async with breaking_off() as (address, heard):
        await order(old, address)
        old.deps.orders.set(Handover(dna=DNA, addresses=[address]))
        status, body, headers = await ask(old)
        assert (status, headers["Connection"]) == (502, "close")
        assert "broke off before its answer" in body["message"]
        assert len(heard) == 1
        status, body, _ = await old.json("POST", "/v1/chat/completions", json=CHAT)
        assert (status, body["error"]["type"]) == (502, "server_error")
        assert len(heard) == 2


async def test_an_answer_that_breaks_off_is_broken_off_and_never_looks_whole(old: Service) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhalf \r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        await order(old, f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with old.client.get("/api/oqt/status") as response:
            assert response.status == 200
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_what_can_be_asked_for_twice_is(old: Service, new: Service) -> None:
    async with breaking_off() as (address, heard):
        await order(old, address, new.address)
        for _ in range(4):
            assert (await old.json("GET", "/api/oqt/status"))[1]["model"]["dna"] == DNA
        assert heard
        await order(old, address)
        assert (await old.json("GET", "/api/oqt/status"))[0] == 502


async def test_without_anybody_to_pass_on_to_a_request_waits_for_the_next_order(old: Service, new: Service) -> None:
    await order(old)
    asking = [asyncio.create_task(ask(old, question)) for question in ("a", "b")]
    await until(lambda: waiting(old) == 2)
    await order(old, new.address)
    assert [(status, body["version"]) for status, body, _ in await asyncio.gather(*asking)] == [(200, DNA)] * 2
    assert waiting(old) == 0
    assert old.engine.requests == []


@pytest.mark.parametrize("size", [10, 900_000])
async def test_a_request_that_waits_is_answered_here_where_the_order_ends(old: Service, size: int) -> None:
    await order(old)
    asking = asyncio.create_task(ask(old, "z" * size))
    await until(lambda: waiting(old) == 1)
    await release(old)
    status, body, headers = await asking
    assert (status, body["version"], "Connection" in headers) == (200, OLD, False)
    assert old.engine.requests[0]["messages"][-1]["content"] == "z" * size
    assert old.lifecycle.requests == 1


async def test_pods_that_cannot_be_reached_are_tried_again(old: Service, new: Service) -> None:
    port = free_port()
    await order(old, f"127.0.0.1:{port}")
    asking = asyncio.create_task(ask(old))
    await until(lambda: waiting(old) == 1)
    host, there = new.address.split(":")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The pod that comes up there, by way of a copying proxy."""
        to_reader, to_writer = await asyncio.open_connection(host, int(there))
        await asyncio.gather(copied(reader, to_writer), copied(to_reader, writer))

    async with await asyncio.start_server(connected, "127.0.0.1", port):
        assert (await asking)[1]["version"] == DNA


async def copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


async def test_waiting_has_a_limit_in_number_and_one_in_time_and_each_is_named(
    old: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forwarding, "_WAITING", 2)
    await order(old)
    asking = [asyncio.create_task(ask(old)) for _ in range(2)]
    await until(lambda: waiting(old) == 2)
    status, body, headers = await ask(old)
    assert (status, headers["Retry-After"], body["error"]) == (503, "1", "Service Unavailable")
    assert body["message"] == f"{DNA} takes over, and 2 requests wait for it already"
    asking[0].cancel()
    await until(lambda: waiting(old) == 1)
    monkeypatch.setattr(forwarding, "_WAITING_SECONDS", 0.1)
    await order(old, f"127.0.0.1:{free_port()}")
    message = f"{DNA} took over, and no pod of it could be reached within 0 s"
    assert (await asking[1])[1] == {"error": "Service Unavailable", "message": message}
    status, body, _ = await old.json("POST", "/v1/chat/completions", json=CHAT)
    assert (status, body["error"]["message"], body["error"]["code"]) == (503, message, "handover")
    await asyncio.gather(*asking, return_exceptions=True)
    assert (waiting(old), old.lifecycle.requests) == (0, 0)


def waiting(place: Service) -> int:
    return place.deps.orders.waiting


async def test_two_pods_that_point_at_each_other_answer_all_the_same(old: Service, new: Service) -> None:
    await order(old, new.address)
    await order(new, old.address, dna=OLD)
    assert (await ask(old))[1]["version"] == DNA
    assert (await ask(new))[1]["version"] == OLD
    assert (len(old.engine.requests), len(new.engine.requests)) == (1, 1)


async def test_an_operator_of_the_release_before_takes_a_pod_back_too(old: Service, new: Service) -> None:
    await order(old, new.address)
    async with old.internal.post("/internal/drain", json={"draining": False}) as answer:
        assert await answer.json() == {"draining": False, "openConnections": 0}
    status, body, headers = await ask(old)
    assert (status, body["version"], "Connection" in headers) == (200, OLD, False)


@pytest.mark.parametrize("address", ["pod.example", "127.0.0.1:x", "127.0.0.1:70000", "[::1", "::g", "1.2.3"])
async def test_an_address_that_is_none_of_a_pod_is_refused_and_the_order_before_stands(
    old: Service, new: Service, address: str
) -> None:
    await order(old, new.address)
    wrong = {"handover": {"dna": DNA, "addresses": [address]}}
    async with old.internal.post("/internal/handover", json=wrong) as answer:
        assert answer.status == 400
        assert "the body is no HandoverRequest" in (await answer.json())["error"]
    assert (await ask(old))[1]["version"] == DNA


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("10.1.2.3", Peer("10.1.2.3", 8081)),
        ("10.1.2.3:9", Peer("10.1.2.3", 9)),
        ("fd00::1", Peer("fd00::1", 8081)),
        ("[fd00::1]", Peer("fd00::1", 8081)),
        ("[fd00::1]:9", Peer("fd00::1", 9)),
    ],
)
def test_a_pod_is_told_by_an_address_of_either_family_with_or_without_a_port(address: str, peer: Peer) -> None:
    assert Peer.parse(address) == peer


async def test_an_order_outlives_the_process_and_so_does_its_end(tmp_path: Path) -> None:
    path = tmp_path / "answers.handover"
    first = Orders.load(path)
    assert first.order is None
    wanted = Handover(dna=DNA, addresses=["10.1.2.3"])
    first.set(wanted)
    await first.write()
    second = Orders.load(path)
    assert (second.order, second.peers) == (wanted, (Peer("10.1.2.3", 8081),))
    second.set(None)
    await second.write()
    assert Orders.load(path).order is None


@pytest.mark.parametrize("left", [b"", b"{", json.dumps({"addresses": ["nobody"]}).encode()])
def test_an_order_that_cannot_be_read_holds_requests_back(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "order").write_bytes(left)
    assert Orders.load(tmp_path / "order").order == Handover()


async def test_an_order_that_cannot_be_written_down_is_in_force_and_says_so(old: Service, tmp_path: Path) -> None:
    old.deps.orders._path = tmp_path / "nowhere" / "order"
    async with old.internal.post("/internal/handover", json={"handover": {"dna": DNA}}) as answer:
        assert answer.status == 503
        assert "a restart would forget it" in (await answer.json())["error"]
    assert old.deps.orders.order == Handover(dna=DNA)
