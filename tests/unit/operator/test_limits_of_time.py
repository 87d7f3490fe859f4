"""What the operator says of those who do not answer: its own limit, and what for; no word of a library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from kubernetes.aio import client

from oneseek_core.errors import OneSeekError
from oneseek_operator.clients import kubernetes as cluster
from oneseek_operator.clients import records
from oneseek_operator.clients import sidecar as sidecars
from oneseek_operator.clients.kubernetes import Cluster
from oneseek_operator.clients.pod_http import Peer, PodHttpClient
from oneseek_operator.clients.records import ModelRecords
from oneseek_operator.clients.sidecar import ModelSidecars
from support.asgi import free_port
from support.silent import full_queue, speechless

HERE = "127.0.0.1"


@dataclass
class Clients:
    """The operator's clients, all of which meet whoever listens on `port`."""

    http: PodHttpClient
    cluster: Cluster
    sidecars: ModelSidecars = field(init=False)
    records: ModelRecords = field(init=False)

    def turn_to(self, port: int) -> None:
        self.sidecars = ModelSidecars(self.http, {HERE: Peer(HERE, port, f"at {HERE}")})
        self.records = ModelRecords(self.http, Peer(HERE, port, "of the records service"))
        self.cluster._api.configuration.host = f"http://127.0.0.1:{port}"


@pytest.fixture
async def clients(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Clients]:
    monkeypatch.setattr(sidecars, "_SECONDS", 0.2)
    monkeypatch.setattr(records, "_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "_TIMEOUT", 0.2)
    reached = Cluster(client.ApiClient(client.Configuration(host="http://127.0.0.1:1")))
    made = Clients(PodHttpClient.connect(), reached)
    yield made
    await made.http.close()
    await made.cluster.close()


async def state(of: Clients) -> object:
    return await of.sidecars.state("127.0.0.1")


async def hand_over(of: Clients) -> object:
    return await of.sidecars.hand_over("127.0.0.1", None)


async def head(of: Clients) -> object:
    return await of.records.head()


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
    (head, "/v1/head of the records service did not answer within 0.2 s", "/v1/head of the records service"),
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
