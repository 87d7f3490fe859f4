"""How much of an engine one client has: so many questions at once, the next ones wait, and those beyond are refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from oneseek_runtime.sidecar.api.table import operations
from oneseek_runtime.sidecar.http.concurrency_limit import WAITING, ConcurrencyLimit, _Client, _release, _wait_for_slot
from oneseek_runtime.sidecar.http.rate_limit import ROUTERS
from support.legacy import DNA, service

CHAT = "/v1/chat/completions"


class Engine:
    """Answers when it is told to, and knows how many it had at the same time."""

    def __init__(self) -> None:
        self.busy: dict[str, int] = {}
        self.most: dict[str, int] = {}
        self.go_on = asyncio.Event()
        self.order: list[str] = []

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        client = scope["client"][0]
        self.busy[client] = self.busy.get(client, 0) + 1
        self.most[client] = max(self.most.get(client, 0), self.busy[client])
        self.order.append(client)
        try:
            await self.go_on.wait()
            if scope.get("fails"):
                raise OSError("the engine fails")
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.busy[client] -= 1


async def ask(turns: ConcurrencyLimit, client: str, path: str = CHAT, **more: Any) -> tuple[int, dict[str, str], Any]:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        said.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "client": (client, 1), **more}
    await turns(scope, receive, send)
    headers = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    body = b"".join(message.get("body", b"") for message in said[1:])
    return said[0]["status"], headers, json.loads(body) if body else None


def starting(turns: ConcurrencyLimit, clients: Iterable[str], **more: Any) -> list[asyncio.Task[Any]]:
    return [asyncio.create_task(ask(turns, client, **more)) for client in clients]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_client_has_so_many_at_once_and_others_need_not_wait_for_it() -> None:
    engine = Engine()
    turns = ConcurrencyLimit(engine, 3)
    tasks = starting(turns, ["greedy"] * 50 + ["modest"])
    await settled()
    assert engine.busy == {"greedy": 3, "modest": 1}
    engine.go_on.set()
    assert {status for status, _, _ in await asyncio.gather(*tasks)} == {200}
    assert engine.most["greedy"] == 3
    assert not any(client.busy or client.waiting for client in turns._clients.values())


async def test_beyond_those_that_wait_a_client_is_refused_in_openais_words() -> None:
    engine = Engine()
    turns = ConcurrencyLimit(engine, 2)
    tasks = starting(turns, ["greedy"] * (2 + WAITING))
    await settled()
    status, headers, body = await ask(turns, "greedy")
    assert (status, headers["retry-after"], body["error"]["code"]) == (429, "1", "rate_limit_exceeded")
    assert body["error"]["message"].startswith("512 questions from your address wait for an answer already")
    for path in ("/api/oqt/query", "/infer", "/api/inference/infer"):
        status, _, body = await ask(turns, "greedy", path)
        assert (status, body) == (429, next(router.refusal for router in ROUTERS if router.covers(path)))
    engine.go_on.set()
    await asyncio.gather(*tasks)
    assert (await ask(turns, "greedy"))[0] == 200


async def test_what_fails_and_what_is_cancelled_gives_its_turn_back() -> None:
    engine = Engine()
    turns = ConcurrencyLimit(engine, 1)
    failing, *waiting = starting(turns, ["a"] * 3, fails=True)
    await settled()
    waiting[0].cancel()
    engine.go_on.set()
    found = await asyncio.gather(failing, *waiting, return_exceptions=True)
    assert [type(one) for one in found] == [OSError, asyncio.CancelledError, OSError]
    assert not any(client.busy or client.waiting for client in turns._clients.values())


async def test_a_turn_given_to_one_that_has_just_left_goes_to_the_next() -> None:
    client = _Client(busy=1)
    left, next_one = (asyncio.create_task(_wait_for_slot(client)) for _ in range(2))
    await settled()
    _release(client)
    left.cancel()  # it has its turn, and has not woken yet
    with pytest.raises(asyncio.CancelledError):
        await left
    async with asyncio.timeout(5):
        await next_one
    assert (client.busy, list(client.waiting)) == (1, [])


async def test_clients_that_went_quiet_are_forgotten_and_others_are_not() -> None:
    engine = Engine()
    turns = ConcurrencyLimit(engine, 1)
    tasks = starting(turns, ["busy"])
    await settled()
    engine.go_on.set()
    engine.go_on = asyncio.Event()
    engine.go_on.set()
    for number in range(5000):
        await ask(turns, f"client {number}")
    assert len(turns._clients) <= 1024
    await asyncio.gather(*tasks)


async def test_what_asks_no_engine_waits_for_nobody() -> None:
    engine = Engine()
    turns = ConcurrencyLimit(engine, 1)
    tasks = starting(turns, ["a", "a"])
    await settled()
    others = starting(turns, ["a"] * 5, path="/api/models/set-current")
    others += starting(turns, ["a"] * 5, path="/v1/models", method="GET")
    await settled()
    assert engine.busy == {"a": 11}
    engine.go_on.set()
    await asyncio.gather(*tasks, *others)


def test_every_route_that_asks_the_engine_is_among_them() -> None:
    """Posts that are open: whoever may ask without a token must not have the engine alone."""
    engine = Engine()
    asking = {row.path for row in operations() if row.method == "POST" and 503 in row.answers} - {
        "/api/oqt/micro-train", "/api/oqt/train", "/api/training/micro", "/api/models/set-current", "/api/models/reset",
    }  # fmt: skip
    assert asking == {CHAT, "/v1/completions", "/api/oqt/query", "/api/oqt/multi-model-query", "/api/inference/infer"}

    async def held(path: str) -> bool:
        turns = ConcurrencyLimit(engine, 1)
        tasks = starting(turns, ["a", "a"], path=path)
        await settled()
        engine.go_on.set()
        await asyncio.gather(*tasks)
        return engine.most["a"] == 1

    for path in (*asking, "/infer", "/inference/oneseek"):
        engine.busy, engine.most, engine.go_on = {}, {}, asyncio.Event()
        assert asyncio.run(held(path)), path


@pytest.mark.parametrize("limited", [True, False])
async def test_the_public_app_has_it_unless_limits_are_off(tmp_path: Any, limited: bool) -> None:
    async for place in service(tmp_path, dna=DNA, rate_limits=limited, concurrent=2):
        place.engine.hold = asyncio.Event()
        body = {"messages": [{"role": "user", "content": "hej"}]}
        tasks = [asyncio.create_task(place.client.post(CHAT, json=body)) for _ in range(5)]
        async with asyncio.timeout(10):
            while len(place.engine.requests) < (2 if limited else 5):  # noqa: ASYNC110 - a list, no event
                await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)
        assert len(place.engine.requests) == (2 if limited else 5)
        place.engine.hold.set()
        assert [(await task).status for task in tasks] == [200] * 5
