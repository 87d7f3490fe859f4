"""What the operator asks of pods and Services over HTTP, and what it makes of pods of the release before and after."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.serving.analysis import AnalysisRequest, AnalysisState
from oneseek_core.serving.handover import Handover
from oneseek_core.serving.sidecar import SidecarState, WarmVersion
from oneseek_core.serving.swap import SwapState
from oneseek_operator.clients import sidecar as module
from oneseek_operator.clients.followers import Followers
from oneseek_operator.clients.pod_http import Peer, PodHttpClient
from oneseek_operator.clients.sidecar import ModelSidecars
from oneseek_operator.errors import SidecarError

HERE = "127.0.0.1"
KEY = ("OneSeekModel", "team", "zero")
DNA = "OneSeek-7B-Zero.v1.0.ensv.dsIdentity.dddddddd.77ebc7cc"
ORDER = Handover(dna=DNA, addresses=["10.0.0.7"])
STATE = SidecarState(
    dna=DNA,
    base_name="tiny",
    ready=True,
    open_connections=0,
    revision=7,
    handover=ORDER,
    analysis=AnalysisState(digest="sha256:" + "a" * 64, dna=DNA, phase="Passed", rounds=1),
    verdict=VerifyReport(ok=True, reason="Verified", message="", checked_at="2026-01-01T00:00:00Z"),
    swap=SwapState(dna=DNA, serial=1, phase="Done"),
    previous=WarmVersion(dna=DNA, addresses=["10.0.0.8"]),
)
Handler = Callable[[web.Request], Awaitable[web.Response]]


class Pod:
    """A sidecar's port: answers by path, and what was asked of it."""

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, str, Any]] = []
        self.hang: set[str] = set()
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path_qs, body))
        if request.path in self.hang:
            await asyncio.Event().wait()
        found = self.answers.get(request.path)
        if found is None:
            return web.json_response({"detail": "Not Found"}, status=404)
        status, value = found if isinstance(found, tuple) else (200, found)
        return web.json_response(value, status=status)


@asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, HERE, 0)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@pytest.fixture
async def pod(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pod]:
    found = Pod()
    async with listening(found.handle) as port:
        found.port = port
        monkeypatch.setattr(module, "_SERVICE_PORT", port)
        yield found


@pytest.fixture
async def sidecars(pod: Pod) -> AsyncIterator[ModelSidecars]:
    http = PodHttpClient.connect()
    yield ModelSidecars(http, {HERE: Peer(HERE, pod.port, f"at {HERE}", token="t")})
    await http.close()


def with_more(value: Any) -> Any:
    """The same JSON with one more field in every object."""
    if isinstance(value, dict):
        return {key: with_more(item) for key, item in value.items()} | {"fieldOfTheNextRelease": {"of": [1]}}
    return [with_more(item) for item in value] if isinstance(value, list) else value


async def test_a_state_of_the_release_after_is_read_as_far_as_it_is_known(pod: Pod, sidecars: ModelSidecars) -> None:
    pod.answers["/internal/state"] = with_more(STATE.to_wire())
    assert await sidecars.state(HERE) == STATE
    pod.answers["/internal/changes"] = with_more(STATE.to_wire())
    assert await sidecars.changes(HERE, 3, wait=1) == STATE
    assert pod.asked[-1][1] == "/internal/changes?after=3&wait=1"


async def test_a_state_of_the_release_before_is_read_too(pod: Pod, sidecars: ModelSidecars) -> None:
    pod.answers["/internal/state"] = {"baseName": "tiny", "ready": True, "openConnections": 2}
    state = await sidecars.state(HERE)
    assert (state.open_connections, state.revision, state.handover, state.analysis) == (2, 0, None, None)


@pytest.mark.parametrize("value", [[], {"ready": "perhaps"}, "text", None])
async def test_an_answer_that_is_no_state_is_said_to_be_none(pod: Pod, sidecars: ModelSidecars, value: Any) -> None:
    pod.answers["/internal/state"] = (200, value)
    with pytest.raises(SidecarError, match="gave no SidecarState"):
        await sidecars.state(HERE)


async def test_an_order_is_given_and_what_is_in_force_is_compared(pod: Pod, sidecars: ModelSidecars) -> None:
    pod.answers["/internal/handover"] = with_more({"handover": ORDER.to_wire()})
    await sidecars.hand_over(HERE, ORDER)
    assert pod.asked == [("POST", "/internal/handover", {"handover": ORDER.to_wire()})]
    with pytest.raises(SidecarError, match="left another order in force"):
        await sidecars.hand_over(HERE, None)


@pytest.mark.parametrize(("order", "draining"), [(ORDER, True), (None, False)])
async def test_a_pod_of_the_release_before_is_told_to_drain(
    pod: Pod, sidecars: ModelSidecars, order: Handover | None, *, draining: bool
) -> None:
    pod.answers["/internal/drain"] = {"draining": draining}
    await sidecars.hand_over(HERE, order)
    assert pod.asked[-1] == ("POST", "/internal/drain", {"draining": draining})


async def test_an_order_that_a_pod_cannot_keep_is_an_error_with_its_address(pod: Pod, sidecars: ModelSidecars) -> None:
    pod.answers["/internal/handover"] = (503, {"error": "no space left on device"})
    with pytest.raises(SidecarError, match="no space left") as error:
        await sidecars.hand_over(HERE, ORDER)
    assert (error.value.ip, error.value.status, error.value.refused) == (HERE, 503, False)


async def test_a_pod_of_the_release_before_asks_itself_nothing(pod: Pod, sidecars: ModelSidecars) -> None:
    await sidecars.analyse(HERE, AnalysisRequest(dna=DNA))
    pod.answers["/internal/analysis"] = (202, {})
    await sidecars.analyse(HERE, AnalysisRequest(dna=DNA))
    assert [item[1] for item in pod.asked] == ["/internal/analysis"] * 2


async def test_a_port_at_which_nobody_listens_is_told_from_one_that_says_nothing(
    pod: Pod, sidecars: ModelSidecars, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod.hang.add("/internal/state")
    monkeypatch.setattr(module, "_SECONDS", 0.1)
    with pytest.raises(SidecarError, match=r"did not answer within 0\.1 s") as silent:
        await sidecars.state(HERE)
    with socket.socket() as free:
        free.bind((HERE, 0))
        nobody = Peer(HERE, free.getsockname()[1], f"at {HERE}")
        with pytest.raises(SidecarError) as refused:
            await ModelSidecars(sidecars._http, {HERE: nobody}).state(HERE)
    assert (silent.value.refused, refused.value.refused) == (False, True)


async def test_each_question_to_a_service_is_a_connection_of_its_own(pod: Pod, sidecars: ModelSidecars) -> None:
    peers = []

    async def handle(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.append((request.transport.get_extra_info("peername")[1], request.headers.get("Connection")))
        return web.json_response({"status": "available", "model": DNA, "message": ""})

    pod.handle = handle  # type: ignore[method-assign]
    async with listening(handle) as port:
        module._SERVICE_PORT = port
        assert [await sidecars.served(HERE), await sidecars.served(HERE)] == [DNA, DNA]
    assert len(set(peers)) == 2
    assert {close for _, close in peers} == {"close"}


@pytest.mark.parametrize("value", [[], {}, "text"])
async def test_a_service_that_names_no_model_has_not_answered(pod: Pod, sidecars: ModelSidecars, value: Any) -> None:
    pod.answers["/api/inference/status"] = (200, value)
    with pytest.raises(SidecarError, match="names no model"):
        await sidecars.served(HERE)


class News:
    """Pods whose changes are told by hand."""

    def __init__(self) -> None:
        self.revisions: dict[str, int] = {}
        self.rang = asyncio.Condition()
        self.asked: list[tuple[str, int]] = []
        self.asked_thrice = asyncio.Event()
        self.broken: dict[str, SidecarError] = {}

    async def changes(self, ip: str, after: int, *, wait: float) -> SidecarState:
        self.asked.append((ip, after))
        if len(self.asked) >= 3:
            self.asked_thrice.set()
        if ip in self.broken:
            raise self.broken[ip]
        async with self.rang:
            await self.rang.wait_for(lambda: self.revisions[ip] != after)
        return STATE.model_copy(update={"revision": self.revisions[ip]})

    async def change(self, ip: str, revision: int) -> None:
        self.revisions[ip] = revision
        async with self.rang:
            self.rang.notify_all()


def way_to(news: News) -> Any:
    return news


async def woken(flag: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await flag.wait()
    flag.clear()


async def test_a_change_of_a_pods_state_wakes_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    news, flag = News(), asyncio.Event()
    news.revisions = {"a": 1, "b": 1}
    followers = Followers(lambda _: flag.set())
    followers.follow(KEY, {"a": 1, "b": 1}, way_to(news))
    await news.change("b", 2)
    await woken(flag)
    await news.change("a", 9)
    await woken(flag)
    followers.follow(KEY, {"b": 2}, way_to(news))
    followers.forget(KEY)
    assert {item[0] for item in news.asked} == {"a", "b"}


async def test_a_pod_that_does_not_answer_is_asked_again_and_one_that_counts_anew_is_news(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("oneseek_operator.clients.followers._BACKOFF_FIRST", 0.001)
    news, flag = News(), asyncio.Event()
    news.revisions = {"a": 50}
    news.broken["a"] = SidecarError("connection refused", ip="a", refused=True)
    followers = Followers(lambda _: flag.set())
    followers.follow(KEY, {"a": 50}, way_to(news))
    async with asyncio.timeout(5):
        await news.asked_thrice.wait()
    news.broken.clear()
    news.revisions["a"] = 3
    await woken(flag)
    followers.forget(KEY)
