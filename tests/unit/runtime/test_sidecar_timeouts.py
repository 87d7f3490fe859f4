"""How long the sidecar waits for whom, and what it says when it waits no longer: its own limit, and for what it was."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from oneseek_core.errors import OneSeekError
from oneseek_core.serving.settings import ExternalEndpoint
from oneseek_core.serving.sidecar import PreviousRequest, WarmVersion
from oneseek_runtime.access import Access, Way
from oneseek_runtime.sidecar.cluster import client as kube
from oneseek_runtime.sidecar.cluster.client import KubeClient
from oneseek_runtime.sidecar.engine import client as upstream
from oneseek_runtime.sidecar.engine import previous, verifier
from oneseek_runtime.sidecar.engine.client import OpenAIEngine
from oneseek_runtime.sidecar.engine.external import ExternalModels
from oneseek_runtime.sidecar.engine.http_exchange import ConnectTimeouts, EngineConnections
from oneseek_runtime.sidecar.engine.previous import ENGINE_PREFIX, PreviousVersion
from oneseek_runtime.sidecar.engine.verifier import Verifier
from oneseek_runtime.sidecar.errors import EngineAnswerError, EngineSlowError, EngineUnavailableError
from oneseek_runtime.sidecar.records import client as records
from oneseek_runtime.sidecar.records.client import RecordsClient
from support.asgi import free_port, serving
from support.openai_simulator import OpenAISimulator, broken, busy
from support.sessions import connected
from support.silent import full_queue, speechless, until_connecting

QUESTION = {"model": "base", "messages": [{"role": "user", "content": "Vem är du?"}], "logprobs": True}
SHORT = 0.2  # seconds


class Clock:
    """A monotonic clock that a test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


async def until_refused(task: asyncio.Task[object], tries: list[int]) -> None:
    """Return once a task has been refused a connection twice."""
    async with asyncio.timeout(10):
        while len(tries) < 2:
            assert not task.done()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("passed", [False, True], ids=["asked", "passed-through"])
async def test_a_question_waits_while_its_engine_accepts_nobody(passed: bool) -> None:
    """A busy machine: the engine's queue is full, and the kernel answers nothing at all."""
    with full_queue() as listener:
        port = listener.getsockname()[1]
        async with OpenAIEngine(f"http://127.0.0.1:{port}") as engine:
            head = engine.connections.head(b"GET", b"/v1/models", ())
            work = engine.connections.fetch((head,)) if passed else engine.models(within=None)
            asking = asyncio.ensure_future(work)
            await until_connecting(port)
            listener.accept()[0].close()  # the one that was queued
            async with asyncio.timeout(30):  # the kernel tries again after a second
                while True:
                    try:
                        ours, _ = listener.accept()
                        break
                    except BlockingIOError:
                        assert not asking.done()
                        await asyncio.sleep(0.01)
                body = b'{"data":[{"id":"base"}]}'
                ours.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
                assert await asking == ((200, body) if passed else ("base",))
                ours.close()


async def test_a_question_waits_for_an_engine_that_is_starting_again(monkeypatch: pytest.MonkeyPatch) -> None:
    simulator, port = OpenAISimulator(["base"]), free_port()
    tries: list[int] = []
    loop = asyncio.get_running_loop()
    connect = loop.create_connection

    async def counted(*arguments: object, **options: object) -> object:
        tries.append(1)
        return await connect(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "create_connection", counted)
    async with OpenAIEngine(f"http://127.0.0.1:{port}") as engine:
        asking: asyncio.Task[object] = asyncio.create_task(engine.complete(QUESTION))  # type: ignore[arg-type]
        await until_refused(asking, tries)
        async with serving(simulator.app(), port=port), asyncio.timeout(30):
            assert (await asking).text == "You asked: Vem är du?"  # type: ignore[attr-defined]


async def test_an_engine_that_stays_away_is_said_with_how_long_it_was_waited_for() -> None:
    async with OpenAIEngine(f"http://127.0.0.1:{free_port()}", ConnectTimeouts(silent=None, refused=SHORT)) as engine:
        with pytest.raises(EngineUnavailableError) as refused:
            await engine.complete(QUESTION)
    assert str(refused.value) == "the engine cannot be reached: it refused connections for 0.2 s"


async def test_who_only_looks_is_told_at_once_that_nobody_is_there() -> None:
    async with OpenAIEngine(f"http://127.0.0.1:{free_port()}") as engine, asyncio.timeout(2):
        with pytest.raises(EngineUnavailableError, match=r"it refused connections$"):
            await engine.models()


async def test_an_answer_has_no_limit_of_time_and_a_list_of_models_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "_LOAD_SECONDS", 1)
    async with speechless() as port, OpenAIEngine(f"http://127.0.0.1:{port}") as engine:
        asking = asyncio.create_task(engine.complete(QUESTION))
        with pytest.raises(EngineSlowError, match=r"^the engine did not list its models within 0\.2 s$"):
            await engine.models(within=SHORT)
        with pytest.raises(EngineSlowError, match=r"^the engine did not load v1 within 1 s$"):
            await engine.load("v1", "/x")
        assert not asking.done()
        asking.cancel()


async def test_an_engine_that_is_too_busy_to_list_its_models_has_not_lost_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream.OpenAIEngine.models, "__kwdefaults__", {"within": SHORT})
    simulator, clock, port = OpenAISimulator(["base", "v1"]), Clock(), free_port()
    async with OpenAIEngine(f"http://127.0.0.1:{port}", monotonic=clock) as engine:
        async with serving(simulator.app(), port=port):
            assert await engine.last_models() == ("base", "v1")
        engine.connections.close()
        with full_queue(port=port):
            clock.now += 30
            assert await engine.last_models() == ("base", "v1")
            clock.now += 1
            with pytest.raises(EngineSlowError):
                await engine.last_models()


async def test_what_an_engine_listed_is_forgotten_once_it_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream.OpenAIEngine.models, "__kwdefaults__", {"within": SHORT})
    port = free_port()
    async with OpenAIEngine(f"http://127.0.0.1:{port}") as engine:
        async with serving(OpenAISimulator(["base"]).app(), port=port):
            await engine.last_models()
        engine.connections.close()
        with pytest.raises(EngineUnavailableError, match="refused"):
            await engine.last_models()
        with full_queue(port=port), pytest.raises(EngineSlowError):
            await engine.last_models()


async def test_what_the_engine_says_wrong_is_no_limit_of_time() -> None:
    simulator = OpenAISimulator(["base"])
    async with serving(simulator.app()) as url, OpenAIEngine(url) as engine:
        simulator.misbehaviour = broken
        with pytest.raises(EngineAnswerError, match="with something that is no JSON"):
            await engine.complete(QUESTION)
        simulator.misbehaviour = busy
        with pytest.raises(OneSeekError, match="the engine is busy: 128 requests are waiting"):
            await engine.complete(QUESTION)


async def test_of_the_pods_of_the_version_before_one_that_is_busy_is_passed_over_and_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(previous, "OTHER_POD", ConnectTimeouts(silent=SHORT, refused=0))
    warm = WarmVersion(dna="base", addresses=["127.0.0.2", "127.0.0.1"])
    with full_queue("127.0.0.2") as listener:
        port = listener.getsockname()[1]
        before = PreviousVersion(port)
        before.update(PreviousRequest(previous=warm))
        pod = Starlette(routes=[Mount(ENGINE_PREFIX, OpenAISimulator(["base"]).app())])
        async with serving(pod, port=port):
            assert (await before.complete(warm, Way(), QUESTION)).text == "You asked: Vem är du?"
        assert before.warm == warm
        with pytest.raises(EngineSlowError, match=r"^the engine accepted no connection within 0\.2 s$"):
            await before.complete(warm, Way(), QUESTION)
        assert before.warm is not None
        assert before.warm.addresses == ["127.0.0.2"]  # nobody listens at the other any more


async def test_a_model_elsewhere_that_accepts_nobody_has_the_endpoint_s_own_time() -> None:
    with full_queue() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        endpoint = ExternalEndpoint(name="Far", url=url, model="m", timeout_seconds=1)
        async with connected(ExternalModels, [endpoint]) as models:
            with pytest.raises(OneSeekError, match=r"^no answer within 1 s$"):
                await models.complete(endpoint, QUESTION)


def access(folder: Path) -> Path:
    (folder / "token").write_text("own")
    return folder


async def ask_the_verifier(url: str, _folder: Path) -> None:
    async with connected(Verifier, url) as pod:
        await pod.in_use()


async def ask_records(url: str, folder: Path) -> None:
    async with connected(RecordsClient, url, Access(access(folder))) as service:
        await service.blocks(0, 10)


async def post_to_records(url: str, folder: Path) -> None:
    async with connected(RecordsClient, url, Access(access(folder))) as service:
        await service.post("/v1/entries", b"{}")


async def ask_kubernetes(url: str, folder: Path) -> None:
    async with connected(KubeClient, url, namespace="team", model="zero", access=access(folder)) as client:
        await client.model()


async def watch_kubernetes(url: str, folder: Path) -> None:
    async with connected(KubeClient, url, namespace="team", model="zero", access=access(folder)) as client:
        async for _ in client.watch("oneseekmodels", "1"):
            pass


ASKED: list[tuple[Callable[[str, Path], Awaitable[None]], str, str]] = [
    (ask_the_verifier, "the verifier did not answer GET /in-use within 0.2 s", "the verifier cannot be reached"),
    (
        ask_records,
        "the records service did not answer /v1/blocks within 0.2 s",
        "the records service does not answer",
    ),
    (
        post_to_records,
        "the records service did not answer /v1/entries within 0.3 s",
        "the records service does not answer",
    ),
    (ask_kubernetes, "the Kubernetes API did not answer within 0.2 s", "the Kubernetes API cannot be reached"),
    (watch_kubernetes, "the watch on oneseekmodels said nothing for 0.3 s", "the watch on oneseekmodels broke off"),
]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "_NOTE_SECONDS", SHORT)
    monkeypatch.setattr(records, "_GET_SECONDS", SHORT)
    monkeypatch.setattr(records, "_POST_SECONDS", 0.3)
    monkeypatch.setattr(kube, "_SECONDS", SHORT)
    monkeypatch.setattr(kube, "_SILENT_SECONDS", 0.3)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize(("ask", "slow", "away"), ASKED, ids=lambda value: getattr(value, "__name__", None))
async def test_each_limit_of_time_names_itself_and_what_it_was_for(
    tmp_path: Path, ask: Callable[[str, Path], Awaitable[None]], slow: str, away: str
) -> None:
    async with speechless() as port:
        with pytest.raises(OneSeekError) as told:
            await ask(f"http://127.0.0.1:{port}", tmp_path)
    assert str(told.value) == slow
    with pytest.raises(OneSeekError) as told:
        await ask(f"http://127.0.0.1:{free_port()}", tmp_path)
    assert str(told.value) == f"{away}: connection refused"


@pytest.mark.usefixtures("short")
async def test_a_connection_that_is_not_accepted_is_within_the_same_limit(tmp_path: Path) -> None:
    expected = {
        ask_the_verifier: "the verifier did not answer GET /in-use within 0.2 s",
        ask_records: "the records service did not answer /v1/blocks within 0.2 s",
        ask_kubernetes: "the Kubernetes API did not answer within 0.2 s",
        watch_kubernetes: "the Kubernetes API accepted no connection within 0.2 s",
    }
    with full_queue() as listener:
        for ask, sentence in expected.items():
            with pytest.raises(OneSeekError) as told:
                await ask(f"http://127.0.0.1:{listener.getsockname()[1]}", tmp_path)
            assert str(told.value) == sentence


async def test_a_token_that_is_missing_is_no_silence_of_the_records_service(tmp_path: Path) -> None:
    async with connected(RecordsClient, "http://127.0.0.1:1", Access(tmp_path)) as service:
        with pytest.raises(OneSeekError) as told:
            await service.stats()
    assert str(told.value) == "the token of this pod's role cannot be read (No such file or directory)"


async def test_a_connection_that_is_lost_is_said_in_words() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        connections = EngineConnections(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(EngineUnavailableError) as told:
            await connections.fetch((connections.head(b"GET", b"/v1/models", ()),))
    assert re.fullmatch("the engine (broke off|cannot be reached): [a-z ]+", str(told.value))
