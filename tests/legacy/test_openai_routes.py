"""OpenAI's API on the sidecar: bytes pass through unchanged, names are mapped, errors have OpenAI's shape."""

from __future__ import annotations

import asyncio
import io
import json
from typing import Any

import pytest

from oneseek_runtime.sidecar.api.openai.names import ModelNames, rewrite_model
from oneseek_runtime.sidecar.engine.http_exchange import ConnectTimeouts
from oneseek_runtime.sidecar.errors import BadRequestError, NoSuchModelError
from support.asgi import free_port
from support.legacy import BASE, DNA, Service, service
from support.openai_simulator import broken, busy

OTHER = "OneSeek-7B-Zero.v2.0.ensv.dsIdentity.11111111.22222222"
CHAT = {"messages": [{"role": "user", "content": "Vem är du?"}]}
EVENTS = (
    b'data: {"choices":[{"delta":{"content":"\xc3\xa5"}}]}\n\n',
    b": ping\n\n",
    b"data:  odd  \r\n\r\n",
    b"data: [DONE]\n\n",
)


async def post(place: Service, path: str, body: Any) -> tuple[int, Any, Any]:
    async with place.client.post(path, json=body) as response:
        return response.status, await response.json(), response.headers


@pytest.mark.parametrize("name", ["default", "demo", DNA, None], ids=["default", "the-model", "dna", "none"])
async def test_every_name_of_what_serves_reaches_it(version: Service, name: str | None) -> None:
    status, body, headers = await post(version, "/v1/chat/completions", CHAT | ({"model": name} if name else {}))
    assert (status, body["model"]) == (200, DNA)
    assert headers["X-OneSeek-DNA"] == DNA
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert version.engine.requests[-1]["model"] == DNA


async def test_the_base_model_answers_under_its_own_name_without_a_dna(version: Service) -> None:
    status, body, headers = await post(version, "/v1/chat/completions", CHAT | {"model": BASE})
    assert (status, body["model"]) == (200, BASE)
    assert "X-OneSeek-DNA" not in headers


async def test_a_request_that_names_what_serves_arrives_byte_for_byte(version: Service) -> None:
    sent = b'{ "model" :"' + DNA.encode() + b'", "messages":[{"role":"user","content":"\\u00e5"}], "x": 1.10 }'
    async with version.client.post("/v1/chat/completions", data=sent) as response:
        assert response.status == 200
    assert version.engine.raw[-1] == sent


async def test_an_alias_changes_nothing_but_the_name(version: Service) -> None:
    version.engine.answer = lambda _question: "yes"
    sent = {"model": "default", "messages": [{"role": "user", "content": "å \ud800"}], "seed": 2**62, "top_p": 0.1}
    async with version.client.post("/v1/chat/completions", data=json.dumps(sent).encode()) as response:
        assert response.status == 200
    assert json.loads(version.engine.raw[-1]) == sent | {"model": DNA}


async def test_completions_are_passed_through(version: Service) -> None:
    status, body, _ = await post(version, "/v1/completions", {"model": "default", "prompt": "Hej"})
    assert (status, body["object"], body["choices"][0]["text"]) == (200, "text_completion", "You asked: Hej")


async def test_an_unknown_model_is_404_and_not_asked_of_the_engine(version: Service) -> None:
    status, body, headers = await post(version, "/v1/chat/completions", CHAT | {"model": "gpt-4"})
    said = "there is no model 'gpt-4'; GET /v1/models lists those there are"
    assert (status, body["error"]["message"], body["error"]["code"]) == (404, said, "model_not_found")
    assert "X-OneSeek-DNA" not in headers
    assert version.engine.requests == []


async def test_a_version_that_is_loaded_and_not_promoted_answers_nobody_who_knows_its_dna(version: Service) -> None:
    version.engine.models.append(OTHER)  # as HotSwap has it while a candidate is held
    for path, asked in (("/v1/chat/completions", CHAT), ("/v1/completions", {"prompt": "Hej"})):
        status, body, headers = await post(version, path, asked | {"model": OTHER})
        assert (status, body["error"]["code"], "X-OneSeek-DNA" in headers) == (404, "model_not_found", False)
    assert version.engine.requests == []
    async with version.client.get("/v1/models") as response:
        assert [row["id"] for row in (await response.json())["data"]] == ["demo", BASE, DNA]
    async with version.client.get(f"/v1/models/{OTHER}") as response:
        assert response.status == 404


def test_what_answered_before_may_be_asked_while_it_is_kept() -> None:
    names = ModelNames(DNA, ("default", "demo"), frozenset({BASE, OTHER}))
    assert rewrite_model(json.dumps({"model": OTHER}).encode(), names)[1] == OTHER
    for nobody in (7, True, [DNA], {"x": 1}, 1.5):
        with pytest.raises(BadRequestError, match="model must be a text"):
            rewrite_model(json.dumps({"model": nobody}).encode(), names)
    with pytest.raises(NoSuchModelError):
        rewrite_model(b'{"model":"' + DNA.encode() + b'","model":"another"}', names)


async def test_a_stream_arrives_byte_for_byte_and_says_what_makes_it(version: Service) -> None:
    version.engine.stream = EVENTS
    async with version.client.post("/v1/chat/completions", json=CHAT | {"stream": True}) as response:
        assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        assert response.headers["X-OneSeek-DNA"] == DNA
        assert await response.read() == b"".join(EVENTS)


async def test_each_event_is_passed_on_when_it_comes(version: Service) -> None:
    version.engine.stream, version.engine.pace = EVENTS, asyncio.Event()
    async with (
        asyncio.timeout(10),
        version.client.post("/v1/chat/completions", json=CHAT | {"stream": True}) as response,
    ):
        for event in EVENTS:  # the engine sends the next one only after this one was seen here
            assert await response.content.readexactly(len(event)) == event
            version.engine.pace.set()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_stops_the_generation(version: Service, stream: bool) -> None:
    version.engine.stream, version.engine.pace = EVENTS, asyncio.Event()
    if not stream:
        version.engine.hold = asyncio.Event()
    async with asyncio.timeout(10):
        asking = asyncio.create_task(version.client.post("/v1/chat/completions", json=CHAT | {"stream": stream}))
        await version.engine.arrived.wait()
        if stream:
            (await asking).close()
        else:
            asking.cancel()
        await version.engine.abandoned.wait()


async def test_a_long_answer_waits_for_a_slow_client_and_arrives_whole(version: Service) -> None:
    version.engine.stream = (b"x" * 1_000_000,) * 20
    async with version.client.post("/v1/chat/completions", json=CHAT | {"stream": True}) as response:
        await asyncio.sleep(0)
        assert len(await response.read()) == 20_000_000


async def test_connections_to_the_engine_are_used_again(version: Service) -> None:
    for _ in range(5):
        await post(version, "/v1/chat/completions", CHAT)
    assert len(version.deps.engine.connections._idle) == 1


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"model":NaN}'],
    ids=["empty", "cut", "list", "bytes", "deep", "nan"],
)
async def test_what_is_no_object_is_refused_in_openais_shape(version: Service, data: bytes) -> None:
    async with version.client.post("/v1/chat/completions", data=data) as response:
        assert response.status == 400
        error = (await response.json())["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert version.engine.requests == []


async def test_a_body_over_50_mb_is_refused_unread(version: Service) -> None:
    async with version.client.post("/v1/completions", data=io.BytesIO(b" " * (50 * 1024**2 + 1))) as response:
        assert (response.status, (await response.json())["error"]["message"]) == (413, "the body is larger than 50 MB")


async def test_a_busy_engines_own_refusal_is_passed_on(version: Service) -> None:
    version.engine.misbehaviour = busy
    status, body, _ = await post(version, "/v1/chat/completions", CHAT)
    assert (status, body["error"]["message"]) == (503, "128 requests are waiting")


async def test_an_engine_that_is_away_is_said_in_openais_shape(version: Service) -> None:
    connections = version.deps.engine.connections
    connections.close()
    connections._port, connections.timeouts = free_port(), ConnectTimeouts(silent=None, refused=0.1)
    status, body, headers = await post(version, "/v1/chat/completions", CHAT)
    assert (status, body["error"]["type"], body["error"]["code"]) == (503, "server_error", "engine_unavailable")
    assert body["error"]["message"] == "the engine cannot be reached: it refused connections for 0.1 s"
    assert headers["Retry-After"] == "1"


async def test_models_are_listed_under_the_name_that_stays_too(version: Service) -> None:
    async with version.client.get("/v1/models") as response:
        body = await response.json()
        assert response.headers["X-OneSeek-DNA"] == DNA
    assert [row["id"] for row in body["data"]] == ["demo", BASE, DNA]
    assert body["data"][0]["root"] == DNA
    for name, status in ((BASE, 200), (DNA, 200), ("default", 200), ("demo", 200), ("gpt-4", 404)):
        async with version.client.get(f"/v1/models/{name}") as response:
            assert response.status == status, name


async def test_without_a_usable_list_models_are_a_503(version: Service) -> None:
    version.engine.misbehaviour = broken
    for path in ("/v1/models", "/v1/models/demo"):
        async with version.client.get(path) as response:
            assert (response.status, (await response.json())["error"]["type"]) == (503, "server_error")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/embeddings", 404),
        ("POST", "/v1/responses", 404),
        ("GET", "/v1/models/some/one", 404),
        ("DELETE", "/v1/models", 405),
        ("GET", "/v1/", 404),
        ("GET", "/v1", 404),
    ],
)
async def test_other_paths_and_methods_are_refused_in_openais_shape(
    version: Service, method: str, path: str, status: int
) -> None:
    async with version.client.request(method, path) as response:
        error = (await response.json())["error"]
        assert (response.status, error["code"]) == (status, "unknown_url")
        assert error.keys() == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        pytest.param({"response_format": {"type": "text"}}, 200, id="case-40"),
        pytest.param({"best_of": 1, "top_p": 0, "tool_choice": "none", "tools": []}, 200, id="case-45"),
        pytest.param(
            {"messages": [*CHAT["messages"], {"role": "assistant", "content": None}, *CHAT["messages"]]},
            200,
            id="case-43",
        ),
        pytest.param({"response_format": {"type": "json_object"}}, 400, id="json"),
        pytest.param({"top_logprobs": 21, "logprobs": True}, 400, id="too-many"),
    ],
)
async def test_what_the_engine_takes_or_refuses_is_taken_or_refused_here(
    version: Service, sent: dict[str, Any], status: int
) -> None:
    found, body, _ = await post(version, "/v1/chat/completions", CHAT | sent)
    assert found == status
    if status == 400:
        assert body["error"]["param"] == next(iter(sent))


async def test_no_rate_is_limited(tmp_path: Any) -> None:
    async for place in service(tmp_path, dna=DNA):
        for _ in range(70):
            assert (await post(place, "/v1/chat/completions", CHAT))[0] == 200
