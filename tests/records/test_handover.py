"""A flip between two pods as real processes, each before an engine of its own, with one records service for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from oneseek_core.serving.handover import Handover, HandoverRequest
from support.access import asking
from support.asgi import serving
from support.legacy import DNA, OLD
from support.openai_simulator import OpenAISimulator
from support.recording import BASE, Pod, entered, until
from support.records import Place


@dataclass
class Two:
    """The pod that answers, and the one that takes over."""

    old: Pod
    new: Pod
    engines: dict[str, OpenAISimulator]


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    for folder in ("records", "old", "new"):
        (tmp_path / folder).mkdir()
    engines = {dna: OpenAISimulator([BASE, dna]) for dna in (OLD, DNA)}
    place = Place.make(tmp_path / "records")
    place.tls = True
    async with serving(engines[OLD].app()) as first, serving(engines[DNA].app()) as second:
        pods = Pod(tmp_path / "old", first, place, dna=OLD), Pod(tmp_path / "new", second, place, dna=DNA)
        async with entered(place.service()), entered(pods[1].sidecar()):
            yield Two(*pods, engines)


async def order(pod: Pod, handover: Handover | None) -> None:
    url = f"https://127.0.0.1:{pod.internal}/internal/handover"
    request = HandoverRequest(handover=handover)
    async with aiohttp.ClientSession() as client, client.post(url, json=request.to_wire(), **asking()) as answer:
        assert answer.status == 200, await answer.text()


def to(pod: Pod) -> Handover:
    return Handover(dna=pod.dna, addresses=[f"127.0.0.1:{pod.internal}"])


@dataclass
class Clients:
    """Some keep their connection, some make one for each question; each notes when it asked and who answered."""

    url: str
    answers: list[tuple[float, float, str]] = field(default_factory=list)
    identities: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._ask(stop, kept=bool(number % 2))) for number in range(6)]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def _ask(self, stop: asyncio.Event, *, kept: bool) -> None:
        connector = aiohttp.TCPConnector(force_close=not kept)
        async with aiohttp.ClientSession(self.url, connector=connector) as client:
            while not stop.is_set():
                begun = asyncio.get_running_loop().time()
                try:
                    async with client.post("/api/oqt/query", json={"question": "Vem är du?"}) as response:
                        body: dict[str, Any] = await response.json()
                        assert response.status == 200, body
                        assert response.headers["X-OneSeek-DNA"] == body["version"]
                        self.answers.append((begun, asyncio.get_running_loop().time(), body["version"]))
                        self.identities.append(body["queryId"])
                except (aiohttp.ClientError, AssertionError) as error:
                    self.failures.append(repr(error))

    async def more(self, count: int) -> None:
        wanted = len(self.answers) + count
        await until(lambda: len(self.answers) >= wanted or bool(self.failures))


async def test_from_the_moment_an_order_is_confirmed_no_request_that_begins_is_answered_by_the_old_version(
    two: Two,
) -> None:
    clock = asyncio.get_running_loop().time
    clients = Clients(two.old.url)
    flips: list[tuple[float, float, str]] = []  # told, confirmed, who answers from then on
    async with entered(two.old.sidecar()):
        async with clients.asking():
            for turn in range(10):
                await clients.more(20)
                told = clock()
                await order(two.old, None if turn % 2 else to(two.new))
                flips.append((told, clock(), OLD if turn % 2 else DNA))
            await clients.more(20)
        assert clients.failures == []
        for begun, ended, who in clients.answers:
            # Who answered when the request began; and who took over before it ended.
            stood = [OLD, *(dna for _, confirmed, dna in flips if confirmed <= begun)][-1]
            may = {stood, *(dna for told, confirmed, dna in flips if confirmed > begun and told <= ended)}
            assert who in may, (begun, ended, who, flips)
        assert {who for *_, who in clients.answers} == {OLD, DNA}
        await two.old.until_recorded()
        await two.new.until_recorded()
    text = b"".join(await asyncio.to_thread(two.old.records.client().copy))
    assert [identity for identity in clients.identities if text.count(identity.encode()) != 1] == []


async def answered(client: aiohttp.ClientSession) -> dict[str, Any]:
    async with client.post("/api/oqt/query", json={"question": "a"}) as response:
        body: dict[str, Any] = await response.json()
        return body


async def test_an_order_outlives_the_container_and_streams_under_way_end_where_they_began(two: Two) -> None:
    engine = two.engines[OLD]
    engine.stream, engine.pace = (b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n"), asyncio.Event()
    asked = {"model": "default", "messages": [{"role": "user", "content": "hej"}], "stream": True}
    async with (
        entered(two.old.sidecar()),
        aiohttp.ClientSession(two.old.url) as client,
        client.post("/v1/chat/completions", json=asked) as response,
    ):
        assert await response.content.readuntil(b"\n\n") == b"data: 1\n\n"
        await order(two.old, to(two.new))
        assert (await answered(client))["version"] == DNA
        for event in engine.stream[1:]:
            engine.pace.set()
            assert await response.content.readuntil(b"\n\n") == event
        assert response.headers["X-OneSeek-DNA"] == OLD
    async with entered(two.old.sidecar()), aiohttp.ClientSession(two.old.url) as client:
        state = await two.old.state()
        assert (state.handover, state.draining) == (to(two.new), True)
        assert (await answered(client))["version"] == DNA
        await order(two.old, None)
    async with entered(two.old.sidecar()), aiohttp.ClientSession(two.old.url) as client:
        assert (await answered(client))["version"] == OLD
    assert "Traceback" not in two.old.log.read_text() + two.new.log.read_text()
