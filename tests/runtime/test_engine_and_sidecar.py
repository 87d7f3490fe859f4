"""A real engine process with a tiny model and an adapter, real sidecar processes in front of it, over loopback."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from oneseek_core import names
from oneseek_core.names import ExitCode
from oneseek_core.roles import Role
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.sidecar import ProbeAnswer, SidecarState
from support.access import ACCEPTED, headers
from support.asgi import free_port, runtime, wait_for_port
from support.silent import until_stopped
from support.tiny_model import tiny_adapter, tiny_base

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),  # peft asks transformers in an old way
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]

BASE = "tiny-llama"
START_SECONDS = 120  # an engine's imports alone take ten seconds on a busy machine


@dataclass
class Files:
    """What lies on the claim."""

    base: Path
    adapter: Path

    @property
    def dna(self) -> str:
        return self.adapter.name

    def settings(self, port: int, **changes: Any) -> str:
        told = ServingSettings(
            model="demo",
            namespace="team",
            family="OneSeek-7B-Zero",
            base_name=BASE,
            base_path=str(self.base),
            dna=self.dna,
            adapter_path=str(self.adapter),
            certified_path=str(self.adapter.parent),
            engine_url=f"http://127.0.0.1:{port}",
            accepted=ACCEPTED,
        )
        return told.model_copy(update=changes).model_dump_json(by_alias=True)


@dataclass
class Sidecar:
    """A sidecar process and its two addresses."""

    process: subprocess.Popen[bytes]
    public: str
    internal: str
    log: Path


@dataclass
class Place:
    """The engine that all tests share."""

    files: Files
    port: int
    engine: subprocess.Popen[bytes]
    folder: Path
    stack: ExitStack
    made: list[Sidecar] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sidecar(self, *, settings: str | None = None, **environment: str) -> Sidecar:
        """A new sidecar process, listening."""
        public, internal = free_port(), free_port()
        log = self.folder / f"sidecar-{len(self.made)}.log"
        told = {
            names.SERVING_ENV: settings or self.files.settings(self.port),
            "ONESEEK_PORT_PUBLIC": str(public),
            "ONESEEK_PORT_INTERNAL": str(internal),
            "ONESEEK_RATE_LIMITS": "off",
            "ONESEEK_DRAIN_MINIMUM_SECONDS": "1",
            "ONESEEK_DRAIN_MAXIMUM_SECONDS": "15",
        }
        process = self.stack.enter_context(runtime("sidecar", told | environment, log))
        for port in (public, internal):
            wait_for_port(process, port, log, within=30)
        sidecar = Sidecar(process, f"http://127.0.0.1:{public}", f"http://127.0.0.1:{internal}", log)
        self.made.append(sidecar)
        return sidecar


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    root = tmp_path_factory.mktemp("claim")
    base = root / "basemodeller" / BASE
    certified = root / "oneseek-certified"
    certified.mkdir()
    return Files(base, tiny_adapter(certified, tiny_base(base), base_name=BASE))


@pytest.fixture(scope="module")
def place(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("processes")
    port = free_port()
    with ExitStack() as stack:
        log = folder / "engine.log"
        engine = stack.enter_context(runtime("engine", {names.SERVING_ENV: files.settings(port)}, log))
        wait_for_port(engine, port, log, within=START_SECONDS)
        yield Place(files, port, engine, folder, stack)


@pytest.fixture(scope="module")
def sidecar(place: Place) -> Sidecar:
    return place.sidecar(ONESEEK_LOG="access")


@pytest.fixture(scope="module")
def front(place: Place) -> Sidecar:
    """Another, whose access log nobody reads."""
    return place.sidecar()


@asynccontextmanager
async def client(url: str) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(url, timeout=timeout, headers=headers(Role.OPERATOR)) as session:
        yield session


async def chat(place: Place, **body: Any) -> dict[str, Any]:
    asked = {"model": place.files.dna, "messages": [{"role": "user", "content": "Vem är du?"}], "temperature": 0}
    async with client(place.url) as session, session.post("/v1/chat/completions", json=asked | body) as response:
        assert response.status == 200, await response.text()
        answer: dict[str, Any] = await response.json()
        return answer


async def test_the_engine_lists_base_and_version_and_is_healthy(place: Place) -> None:
    async with client(place.url) as session:
        async with session.get("/health") as response:
            assert response.status == 200
        async with session.get("/v1/models") as response:
            assert [row["id"] for row in (await response.json())["data"]] == [BASE, place.files.dna]


async def test_base_and_version_answer_differently_and_each_says_who_it_is(place: Place) -> None:
    version = await chat(place, max_tokens=16, logprobs=True)
    base = await chat(place, max_tokens=16, model=BASE)
    again = await chat(place, max_tokens=16, logprobs=True)
    assert (version["model"], base["model"]) == (place.files.dna, BASE)
    assert version["choices"] == again["choices"]  # the base in between left no trace
    assert version["choices"][0]["message"]["content"] != base["choices"][0]["message"]["content"]


async def test_tokens_counts_and_log_probabilities_fit_together(place: Place) -> None:
    answer = await chat(place, max_tokens=8, logprobs=True)
    tokens = answer["choices"][0]["logprobs"]["content"]
    assert len(tokens) == answer["usage"]["completion_tokens"] <= 8
    assert all(token["logprob"] <= 0 and math.isfinite(token["logprob"]) for token in tokens)
    assert answer["choices"][0]["finish_reason"] == ("length" if len(tokens) == 8 else "stop")


async def test_a_seed_repeats_an_answer(place: Place) -> None:
    hot = {"temperature": 1.5, "max_tokens": 12, "top_p": 0.9}
    first, second, other = [await chat(place, **hot, seed=seed) for seed in (5, 5, 6)]
    assert first["choices"] == second["choices"] != other["choices"]


async def test_a_stream_gives_the_same_text_and_ends_with_done(place: Place) -> None:
    plain = await chat(place, max_tokens=12)
    body = {
        "model": place.files.dna,
        "messages": [{"role": "user", "content": "Vem är du?"}],
        "temperature": 0,
        "max_tokens": 12,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with client(place.url) as session, session.post("/v1/chat/completions", json=body) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        events = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
    assert events.pop() == "[DONE]"
    chunks = [json.loads(event) for event in events]
    assert chunks.pop()["usage"] == plain["usage"]
    choices = [chunk["choices"][0] for chunk in chunks]
    assert "".join(c["delta"].get("content", "") for c in choices) == plain["choices"][0]["message"]["content"]
    assert [c["finish_reason"] for c in choices if c["finish_reason"]] == [plain["choices"][0]["finish_reason"]]


async def test_a_stop_string_ends_the_answer_before_it(place: Place) -> None:
    text = (await chat(place, max_tokens=24))["choices"][0]["message"]["content"]
    stop = text[len(text) // 2 :][:2]
    cut = (await chat(place, max_tokens=24, stop=[stop]))["choices"][0]
    assert cut["message"]["content"] == text[: text.index(stop)]
    assert cut["finish_reason"] == "stop"


async def test_a_plain_completion_takes_text_or_token_ids(place: Place) -> None:
    async with client(place.url) as session:
        for prompt in ("Vem är", [5, 6, 7]):
            body = {"model": BASE, "prompt": prompt, "max_tokens": 3, "temperature": 0, "logprobs": 1}
            async with session.post("/v1/completions", json=body) as response:
                answer = await response.json()
            assert response.status == 200
            assert answer["object"] == "text_completion"
            assert len(answer["choices"][0]["logprobs"]["token_logprobs"]) == answer["usage"]["completion_tokens"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        pytest.param(
            {"model": "gpt-9", "messages": [{"role": "user", "content": "x"}]}, 404, "model_not_found", id="model"
        ),
        pytest.param({"model": BASE, "messages": []}, 400, "empty_array", id="messages"),
        pytest.param(
            {"model": BASE, "messages": [{"role": "user", "content": "x" * 5000}]},
            400,
            "context_length_exceeded",
            id="case-48",
        ),
    ],
)
async def test_what_cannot_be_answered_is_refused_in_openai_s_shape(
    place: Place, body: dict[str, Any], status: int, code: str | None
) -> None:
    async with client(place.url) as session, session.post("/v1/chat/completions", json=body) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"], error["type"]) == (status, code, "invalid_request_error")


async def answer_of(url: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with client(url) as session, session.post(f"/v1/{path}", json=body) as response:
        return response.status, await response.json()


ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 6, "temperature": 0}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"response_format": {"type": "text"}}, id="case-40"),
        pytest.param({"presence_penalty": 0, "frequency_penalty": None, "logit_bias": {}}, id="case-42"),
        pytest.param({"top_p": 0, "temperature": 2}, id="case-45-top-p"),
        pytest.param({"best_of": 1, "n": 1, "tools": [], "tool_choice": "none"}, id="case-45"),
    ],
)
async def test_what_asks_for_nothing_is_answered_through_the_sidecar_as_without_it(
    front: Sidecar, fields: dict[str, Any]
) -> None:
    plain = await answer_of(front.public, "chat/completions", ASKED)
    status, answer = await answer_of(front.public, "chat/completions", ASKED | fields)
    assert (plain[0], status) == (200, 200)
    assert answer["choices"] == plain[1]["choices"]


async def test_a_turn_without_content_is_answered_like_one_with_an_empty_text(front: Sidecar) -> None:
    """Case 43."""
    answers = []
    for content in (None, ""):
        history = [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": content},
            {"role": "user", "content": "b"},
        ]
        answers.append(await answer_of(front.public, "chat/completions", ASKED | {"messages": history}))
    assert [status for status, _ in answers] == [200, 200]
    assert answers[0][1]["choices"] == answers[1][1]["choices"]
    assert answers[0][1]["usage"] == answers[1][1]["usage"]


@pytest.mark.parametrize("temperature", [0, 2], ids=["greedy", "by-chance"])
async def test_the_likeliest_tokens_stand_beside_each_token(front: Sidecar, temperature: float) -> None:
    """Case 41, in a chat."""
    body = ASKED | {"logprobs": True, "top_logprobs": 5, "temperature": temperature, "seed": 1}
    _, answer = await answer_of(front.public, "chat/completions", body)
    rows = answer["choices"][0]["logprobs"]["content"]
    assert len(rows) == answer["usage"]["completion_tokens"] > 1
    for row in rows:
        told = [(one["token"], one["logprob"]) for one in row["top_logprobs"]]
        assert len(told) == 5
        assert [logprob for _, logprob in told] == sorted((logprob for _, logprob in told), reverse=True)
        assert sum(math.exp(logprob) for _, logprob in told) <= 1 + 1e-6
        assert row["logprob"] <= told[0][1]
        if temperature == 0:
            assert told[0] == (row["token"], row["logprob"])
        if row["logprob"] > told[-1][1]:
            assert (row["token"], row["logprob"]) in told


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_completion_tells_the_likeliest_tokens_in_the_older_form(front: Sidecar, stream: bool) -> None:
    """Case 41, in a plain completion."""
    body = {"prompt": "x", "logprobs": 5, "max_tokens": 6, "temperature": 0, "stream": stream}
    async with client(front.public) as session, session.post("/v1/completions", json=body) as response:
        events = (await response.text()).removesuffix("data: [DONE]\n\n").split("\n\n") if stream else []
        answers = [json.loads(event.removeprefix("data: ")) for event in events if event] or [await response.json()]
    found = [answer["choices"][0]["logprobs"] for answer in answers]
    tokens, drawn, tops, offsets = (
        [one for part in found for one in part[key] or []]
        for key in ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    )
    assert len(tokens) == len(drawn) == len(tops) == len(offsets) == 6
    assert offsets == [len("".join(tokens[:index])) for index in range(6)]
    for token, logprob, top in zip(tokens, drawn, tops, strict=True):
        assert 1 <= len(top) <= 5  # fewer where two tokens have one text
        assert top[token] == logprob == max(top.values())


async def test_penalties_drive_the_model_away_from_what_it_has_said(front: Sidecar) -> None:
    """Case 42. Biases make one token win for ever, two more come next; the formula itself is tested on logits."""
    bias = {"70": 100, "71": 96, "72": 92}
    body = {"prompt": "x", "logprobs": 0, "max_tokens": 30, "temperature": 0, "logit_bias": bias}

    async def drawn(**penalties: float | None) -> list[str]:
        status, answer = await answer_of(front.public, "completions", body | penalties)
        assert status == 200
        tokens: list[str] = answer["choices"][0]["logprobs"]["tokens"]
        return tokens

    free = await drawn(frequency_penalty=0, presence_penalty=None)
    assert len(free) == 30
    assert len(set(free)) == 1
    for penalties in ({"frequency_penalty": 1.0}, {"frequency_penalty": 0.6, "presence_penalty": 2.0}):
        held = await drawn(**penalties)
        assert held[0] == free[0]
        assert len(set(held)) == 3


async def test_a_bias_decides_what_is_drawn_and_what_is_never_drawn(front: Sidecar) -> None:
    body = {"prompt": "x", "max_tokens": 5, "temperature": 1, "seed": 3, "logprobs": 0}
    _, only = await answer_of(front.public, "completions", body | {"logit_bias": {"70": 100}})
    drawn = set(only["choices"][0]["logprobs"]["tokens"])
    assert len(drawn) == 1
    _, never = await answer_of(front.public, "completions", body | {"logit_bias": {"70": -100}, "max_tokens": 40})
    assert not drawn & set(never["choices"][0]["logprobs"]["tokens"])
    status, refused = await answer_of(front.public, "completions", body | {"logit_bias": {"999999": 1}})
    assert (status, refused["error"]["param"]) == (400, "logit_bias")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("chat/completions", {"messages": [{"role": "user", "content": "x" * 5000}]}, "messages"),
        ("completions", {"prompt": "x" * 5000}, "prompt"),
        ("completions", {"prompt": [5] * 512}, "prompt"),
    ],
    ids=["case-48", "text", "exactly-full"],
)
async def test_a_prompt_that_does_not_fit_is_told_in_the_words_that_clients_look_for(
    front: Sidecar, path: str, body: dict[str, Any], param: str
) -> None:
    status, answer = await answer_of(front.public, path, body)
    assert (status, answer["error"]["code"], answer["error"]["param"]) == (400, "context_length_exceeded", param)
    assert answer["error"]["message"].startswith("This model's maximum context length is 512 tokens. However, your ")


async def test_unknown_routes_of_the_engine_are_refused_in_openai_s_shape(place: Place) -> None:
    for method, path, status in (("POST", "/v1/embeddings", 404), ("GET", "/v1/completions", 405)):
        async with client(place.url) as session, session.request(method, path) as response:
            assert (response.status, (await response.json())["error"]["code"]) == (status, "unknown_url")


async def test_generation_stops_when_its_client_leaves(place: Place) -> None:
    body = {"model": BASE, "prompt": "x", "max_tokens": 480, "temperature": 2, "logit": 1, "stream": True}
    async with client(place.url) as session:
        for _ in range(30):  # 30 whole answers would take far longer than the deadline below
            async with session.post("/v1/completions", json=body) as response:
                await response.content.readany()
                response.close()
        async with asyncio.timeout(20):
            await chat(place, max_tokens=1)


async def test_an_answer_through_the_sidecar_carries_the_dna_that_made_it(place: Place, sidecar: Sidecar) -> None:
    async with client(sidecar.public) as session:
        async with session.post(
            "/api/oqt/query", json={"question": "Who are you?", "options": {"maxTokens": 8}}
        ) as response:
            body = await response.json()
        assert response.status == 200
        assert response.headers["X-OneSeek-DNA"] == body["version"] == place.files.dna
        assert 0 < body["confidence"] <= 1
        assert 1 <= body["metadata"]["tokens"] <= 8
        async with session.get("/api/oqt/status") as response:
            status = await response.json()
        assert (status["model"]["version"], status["model"]["isCertified"]) == (place.files.dna, True)
        assert status["health"]["operational"] is True
    assert (await logged(sidecar, "/api/oqt/query"))["dna"] == place.files.dna
    assert "Who are you" not in sidecar.log.read_text()


async def logged(sidecar: Sidecar, path: str) -> dict[str, Any]:
    """The newest line of the access log about a path; lines are written a moment later."""
    async with asyncio.timeout(10):
        while True:
            lines = [json.loads(line) for line in sidecar.log.read_text().splitlines()]
            found: list[dict[str, Any]] = [line for line in lines if line["event"] == "access" and line["path"] == path]
            if found:
                return found[-1]
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(("path", "prompt"), [("chat/completions", "messages"), ("completions", "prompt")])
async def test_openai_streams_say_the_same_as_the_engine_itself(
    place: Place, sidecar: Sidecar, path: str, prompt: str
) -> None:
    asked = "Vem är du?" if prompt == "prompt" else [{"role": "user", "content": "Vem är du?"}]
    body = {prompt: asked, "max_tokens": 12, "temperature": 1.5, "seed": 3, "stream": True}

    async def said(url: str, model: str) -> tuple[str, set[str]]:
        text, models = "", set()
        async with client(url) as session, session.post(f"/v1/{path}", json=body | {"model": model}) as response:
            assert response.status == 200
            events = (await response.text()).split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        for event in events[:-2]:
            chunk = json.loads(event.removeprefix("data: "))
            choice = chunk["choices"][0]
            text += choice["text"] if prompt == "prompt" else choice["delta"].get("content", "")
            models.add(chunk["model"])
        return text, models

    direct = await said(place.url, place.files.dna)
    assert direct[0]
    assert direct == await said(sidecar.public, "default") == await said(sidecar.public, "demo")
    assert (await logged(sidecar, f"/v1/{path}"))["dna"] == place.files.dna


async def test_state_probe_and_readiness_tell_what_the_engine_serves(place: Place, sidecar: Sidecar) -> None:
    async with client(sidecar.internal) as session, client(sidecar.public) as public:
        async with public.get("/health") as response:
            await response.read()
        async with session.get("/internal/state") as response:
            state = SidecarState.model_validate(await response.json())
        assert state.revision > 0
        # Whatever number this state has; and the questions that tests before this one asked.
        counted = {"revision": state.revision, "requests": state.requests, "errors": 0}
        assert state == SidecarState(dna=place.files.dna, base_name=BASE, ready=True, open_connections=1, **counted)
        async with session.get("/internal/ready") as response:
            assert response.status == 200
        async with session.post("/internal/probe", json={"question": "Vem är du?", "maxTokens": 4}) as response:
            answer = ProbeAnswer.model_validate(await response.json())
        assert (answer.dna, 1 <= answer.tokens <= 4) == (place.files.dna, True)
        async with session.post("/internal/probe", json={"q": 1}) as response:
            assert response.status == 400


async def test_a_sidecar_that_wants_another_version_is_not_ready_and_says_what_is_there(place: Place) -> None:
    other = place.files.dna.replace(".v1.0.", ".v2.0.")
    sidecar = place.sidecar(settings=place.files.settings(place.port, dna=other))
    async with client(sidecar.internal) as session:
        async with session.get("/internal/state") as response:
            state = SidecarState.model_validate(await response.json())
        assert (state.dna, state.ready) == (place.files.dna, False)
        async with session.get("/internal/ready") as response:
            assert response.status == 503
            assert (await response.json())["message"] == f"the engine serves {place.files.dna}, not {other}"
        async with session.post("/internal/probe", json={"question": "Vem är du?"}) as response:
            assert response.status == 503


async def test_requests_wait_for_an_engine_that_stands_still(place: Place, front: Sidecar) -> None:
    """As on a machine so busy that the engine is not run for a while: nobody is told of a failure."""
    legacy = {"question": "Vem är du?", "options": {"maxTokens": 2}}
    posts = (
        ("/api/oqt/query", legacy),
        ("/api/oqt/multi-model-query", legacy),
        ("/v1/chat/completions", ASKED),
        ("/v1/completions", {"prompt": "x", "max_tokens": 2, "stream": True}),
    )
    async with client(front.public) as session, client(front.internal) as internal:
        async with internal.get("/internal/ready") as response:
            assert response.status == 200
        place.engine.send_signal(signal.SIGSTOP)
        try:
            await until_stopped(place.engine)
            asking = [asyncio.create_task(session.post(path, json=body)) for path, body in posts]
            asking.append(asyncio.create_task(session.get("/v1/models")))
            for _ in range(2):  # three seconds each: longer than any time-out of a connection was
                async with internal.get("/internal/ready") as response:
                    assert response.status == 200, "it has not lost what it serves"
            assert not any(task.done() for task in asking)
        finally:
            place.engine.send_signal(signal.SIGCONT)
        for response in await asyncio.gather(*asking):
            assert response.status == 200, await response.text()
            await response.read()


async def test_without_an_engine_the_sidecar_says_so(place: Place) -> None:
    sidecar = place.sidecar(settings=place.files.settings(free_port()), ONESEEK_ENGINE_RESTART_SECONDS="1")
    async with client(sidecar.public) as session:
        async with session.post("/api/oqt/query", json={"question": "x"}) as response:
            body = await response.json()
        assert (response.status, body["success"], body["error"]) == (500, False, "Failed to process query")
        assert body["message"] == "the engine cannot be reached: it refused connections for 1 s"
        async with session.get("/health") as response:
            assert response.status == 200
    async with client(sidecar.internal) as session, session.get("/internal/state") as response:
        state = SidecarState.model_validate(await response.json())
    assert (state.ready, state.dna) == (False, None)


class Load:
    """Clients that ask without pause, each on one kept-alive connection until an answer ends it; no retries."""

    def __init__(self, target: str, clients: int = 4) -> None:
        self.target = target  # where new connections go: what the Service's selector says
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._stop = False
        self._tasks = [asyncio.create_task(self._client()) for _ in range(clients)]

    async def _client(self) -> None:
        while not self._stop:
            target = self.target
            try:
                await self._one_connection(target)
            except (aiohttp.ClientError, TimeoutError, AssertionError) as error:
                self.failures.append(f"{target}: {error!r}")

    async def _one_connection(self, target: str) -> None:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(
            target, connector=connector, timeout=aiohttp.ClientTimeout(total=30)
        ) as session:
            while not self._stop:
                body = {"question": "Vem är du?", "options": {"maxTokens": 1}}
                async with session.post("/api/oqt/query", json=body) as response:
                    answer = await response.json()
                    assert response.status == 200, answer
                    self.answers.append(target)
                    if response.headers.get("Connection") == "close":
                        return

    async def more(self, count: int, *, target: str) -> None:
        """Until `count` more answers came from `target`."""
        wanted = self.answers.count(target) + count
        async with asyncio.timeout(30):
            while self.answers.count(target) < wanted:  # noqa: ASYNC110 - answers come by themselves
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self._stop = True
        await asyncio.gather(*self._tasks)


async def until_no_connection(sidecar: Sidecar) -> None:
    async with client(sidecar.internal) as session, asyncio.timeout(20):
        while True:
            async with session.get("/internal/state") as response:
                state = SidecarState.model_validate(await response.json())
            assert state.draining
            if state.open_connections == 0:
                return
            await asyncio.sleep(0.02)


async def test_a_flip_with_drain_and_stop_fails_no_request(place: Place) -> None:
    old, new = place.sidecar(), place.sidecar()
    load = Load(old.public)
    await load.more(20, target=old.public)
    load.target = new.public  # the Service flips
    async with client(old.internal) as session:
        for _ in range(2):  # idempotent
            async with session.post("/internal/drain") as response:
                assert response.status == 200
    await until_no_connection(old)
    old.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(old.process.wait, 20) == 0
    await load.more(20, target=new.public)
    await load.stop()
    assert load.failures == []


async def test_sigterm_under_load_fails_no_request_while_endpoints_still_change(place: Place) -> None:
    old, new = place.sidecar(), place.sidecar()
    load = Load(old.public)
    await load.more(20, target=old.public)
    old.process.send_signal(signal.SIGTERM)
    async with client(old.internal) as session, asyncio.timeout(10):
        while True:
            async with session.get("/internal/ready") as response:
                if response.status == 503:
                    break
    await load.more(8, target=old.public)  # some nodes have not heard yet: new connections still come here
    load.target = new.public
    assert await asyncio.to_thread(old.process.wait, 20) == 0
    await load.more(20, target=new.public)
    await load.stop()
    assert load.failures == []


async def test_a_request_in_flight_at_sigterm_is_answered_whole(place: Place) -> None:
    sidecar = place.sidecar(ONESEEK_DRAIN_MAXIMUM_SECONDS="1")
    async with client(sidecar.public) as session:
        body = {"question": "Vem är du?", "options": {"maxTokens": 400, "temperature": 1.9}}
        asking = [asyncio.create_task(session.post("/api/oqt/query", json=body)) for _ in range(3)]
        async with client(sidecar.internal) as internal, asyncio.timeout(10):
            while True:
                async with internal.get("/internal/state") as response:
                    if (await response.json())["openConnections"] == 3:
                        break
        sidecar.process.send_signal(signal.SIGTERM)
        for response in await asyncio.gather(*asking):
            assert response.status == 200
            assert (await response.json())["success"] is True
    assert await asyncio.to_thread(sidecar.process.wait, 20) == 0


def test_an_adapter_that_is_not_the_version_asked_for_is_refused(files: Files, tmp_path: Path) -> None:
    other = files.dna.replace(".v1.0.", ".v2.0.")
    log, message = tmp_path / "log", tmp_path / "termination"
    told = {names.SERVING_ENV: files.settings(free_port(), dna=other), "ONESEEK_TERMINATION_PATH": str(message)}
    with runtime("engine", told, log) as process:
        assert process.wait(30) == ExitCode.DIGEST_DIFFERS
    sentence = f"{files.adapter} holds {files.dna}, but {other} is to be served"
    assert sentence in log.read_text()
    assert json.loads(message.read_text()) == {"reason": names.ENGINE_FAILED, "message": sentence}
