"""What the operator says of those who do not answer: its own limit, and what for; no word of a library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest
from kubernetes.aio import client

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.errors import OneSeekError
from oneseek_operator import records
from oneseek_operator.build import records as build
from oneseek_operator.cluster import client as cluster
from oneseek_operator.cluster.client import Cluster
from oneseek_operator.records import Records
from oneseek_operator.sidecars import Sidecars
from support.asgi import free_port
from support.makers import model_manifest
from support.silent import full_queue, speechless

SHORT = aiohttp.ClientTimeout(total=0.2)


@dataclass
class Clients:
    """The operator's clients, all of which meet whoever listens on `port`."""

    patch: pytest.MonkeyPatch
    sidecars: Sidecars
    records: Records
    cluster: Cluster
    model: OneSeekModel

    def turn_to(self, port: int) -> None:
        self.patch.setattr(names, "PORT_INTERNAL", port)
        self.patch.setitem(Sidecars._call.__kwdefaults__, "port", port)
        self.patch.setattr(build, "url", lambda _: f"http://127.0.0.1:{port}")
        self.cluster._api.configuration.host = f"http://127.0.0.1:{port}"


@pytest.fixture
async def clients(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clients]:
    monkeypatch.setitem(Sidecars._call.__kwdefaults__, "timeout", SHORT)
    monkeypatch.setattr(records, "_TIMEOUT", SHORT)
    monkeypatch.setattr(cluster, "_TIMEOUT", 0.2)
    manifest = model_manifest()
    manifest["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
    made = Clients(
        monkeypatch,
        Sidecars.connect(),
        Records.connect(b"key"),
        Cluster(client.ApiClient(client.Configuration(host="http://127.0.0.1:1"))),
        OneSeekModel.model_validate(manifest),
    )
    yield made
    await made.sidecars.close()
    await made.records.close()
    await made.cluster.close()


async def state(of: Clients) -> object:
    return await of.sidecars.state("127.0.0.1")


async def hand_over(of: Clients) -> object:
    return await of.sidecars.hand_over("127.0.0.1", None)


async def head(of: Clients) -> object:
    return await of.records.head(of.model)


async def get(of: Clients) -> object:
    return await of.cluster.get("Pod", "team", "one")


ASKED: list[tuple[Callable[[Clients], Awaitable[object]], str, str]] = [
    (
        state,
        "/internal/state at 127.0.0.1 did not answer within 0.2 s",
        "/internal/state at 127.0.0.1",
    ),
    (
        hand_over,
        "/internal/handover at 127.0.0.1 did not answer within 0.2 s",
        "/internal/handover at 127.0.0.1",
    ),
    (head, "the records service did not answer /v1/head within 5 s", "the records service does not answer"),
    (
        get,
        "the API server did not answer GET /api/v1/namespaces/team/pods/one within 0.2 s",
        "the API server did not answer GET /api/v1/namespaces/team/pods/one",
    ),
]


@pytest.mark.parametrize(("ask", "slow", "away"), ASKED, ids=lambda value: getattr(value, "__name__", None))
async def test_each_limit_of_time_names_itself_and_what_it_was_for(
    clients: Clients, ask: Callable[[Clients], Awaitable[object]], slow: str, away: str
) -> None:
    async def said(port: int) -> str:
        clients.turn_to(port)
        with pytest.raises(OneSeekError) as told:
            await ask(clients)
        return str(told.value)

    async with speechless() as port:
        assert await said(port) == slow
    with full_queue() as listener:
        assert await said(listener.getsockname()[1]) == slow
    assert await said(free_port()) == f"{away}: connection refused"
