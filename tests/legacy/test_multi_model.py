"""Multi-model queries over HTTP: who is asked, what is said of each, and what is recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from oneseek_core.roles import Role
from oneseek_core.serving.settings import ExternalEndpoint
from oneseek_core.serving.sidecar import PreviousRequest, WarmVersion
from oneseek_runtime.access import Access
from oneseek_runtime.records.wire import parse_queries
from oneseek_runtime.sidecar.api.multi import fan_out
from oneseek_runtime.sidecar.app import create_app, create_internal_app
from oneseek_runtime.sidecar.engine.previous import ENGINE_PREFIX
from oneseek_runtime.sidecar.records.client import RecordsClient
from oneseek_runtime.sidecar.records.recorder import Recorder
from oneseek_runtime.sidecar.records.spool import Spool
from support.access import headers
from support.asgi import free_port, serving
from support.legacy import BASE, DNA, OLD, UUID4, Service, T, service
from support.openai_simulator import OpenAISimulator
from support.sessions import connected

PATH = "/api/oqt/multi-model-query"
KEYS = [
    "success",
    "queryId",
    "model",
    "version",
    "language",
    "response",
    "confidence",
    "analysis",
    "modelResponses",
    "training",
    "metadata",
    "timestamp",
]


async def ask(place: Service, **body: Any) -> dict[str, Any]:
    status, answer, _ = await place.json("POST", PATH, json={"question": "Vem är du?", **body})
    assert status == 200, answer
    return answer


async def test_base_and_version_answer_side_by_side_under_their_own_names(version: Service) -> None:
    version.engine.by_model = {DNA: "Jag är OneSeek.", BASE: "I am a language model."}
    status, body, headers = await version.json("POST", PATH, json={"question": "Vem är du?", "persona": "x"})
    assert (status, list(body)) == (200, KEYS)
    assert (body["success"], body["model"], body["language"]) == (True, "OQT-1.0", "sv")
    assert body["version"] == headers["X-OneSeek-DNA"] == DNA
    assert UUID4.fullmatch(body["queryId"])
    assert T.fullmatch(body["timestamp"])
    assert "Jag är OneSeek." in body["response"]
    assert "I am a language model." not in body["response"]
    assert "2 modeller" in body["response"]
    shown = [(one["model"], one["responsePreview"], one["metadata"]["role"]) for one in body["modelResponses"]]
    assert shown == [(DNA, "Jag är OneSeek.", "current"), (BASE, "I am a language model.", "base")]
    assert {request["model"] for request in version.engine.requests} == {DNA, BASE}
    made = body["modelResponses"][0]["metadata"]
    assert made | {"latency_ms": 0} == {
        "temperature": 0.0,
        "maxTokens": 160,
        "latency_ms": 0,
        "tokens": 3,
        "simulated": False,
        "role": "current",
        "confidence": pytest.approx(0.5),
    }
    assert isinstance(made["latency_ms"], int)
    assert body["metadata"].keys() == {"totalModels", "processingTime_ms", "pipelineVersion"}
    assert (body["metadata"]["totalModels"], body["metadata"]["pipelineVersion"]) == (2, "2.0")
    # Both neutral in sentiment, both personal in tone, no biased word.
    assert body["analysis"]["consensus"] == {
        "score": 1.0,
        "level": "high",
        "metrics": {"sentimentAgreement": 1.0, "toneAgreement": 1.0, "biasVariance": 0.0},
    }
    assert body["confidence"] == 0.95


async def test_the_models_are_asked_at_the_same_time(version: Service) -> None:
    version.engine.hold = asyncio.Event()
    asked = asyncio.create_task(ask(version))
    async with asyncio.timeout(10):
        while len(version.engine.requests) < 2:  # noqa: ASYNC110 - a list, no event
            await asyncio.sleep(0.005)
    version.engine.hold.set()
    await asked


@asynccontextmanager
async def told(place: Service, engine: OpenAISimulator) -> AsyncIterator[aiohttp.ClientSession]:
    """The internal port, once it was told that this engine holds the version before."""
    pod = Starlette(routes=[Mount(ENGINE_PREFIX, engine.app())])
    operator = headers(Role.OPERATOR)
    async with serving(pod) as url, serving(create_internal_app(place.deps)) as internal:
        place.deps.previous.port = int(url.rpartition(":")[2])
        async with aiohttp.ClientSession(internal, headers=operator) as client:
            warm = WarmVersion(dna=OLD, addresses=["127.0.0.1"])
            async with client.post("/internal/previous", json=PreviousRequest(previous=warm).to_wire()) as answer:
                assert answer.status == 200
            yield client


async def test_the_version_before_is_asked_in_pods_of_its_own_while_they_are_warm(version: Service) -> None:
    version.engine.by_model = {DNA: "Jag är ny.", BASE: "I am a model."}
    engine = OpenAISimulator([BASE, OLD], by_model={OLD: "Jag är gammal."})
    async with told(version, engine) as internal:
        body = await ask(version)
        shown = [(one["model"], one["responsePreview"], one["metadata"]["role"]) for one in body["modelResponses"]]
        assert shown == [
            (DNA, "Jag är ny.", "current"),
            (OLD, "Jag är gammal.", "previous"),
            (BASE, "I am a model.", "base"),
        ]
        assert (body["version"], body["metadata"]["totalModels"]) == (DNA, 3)
        async with internal.get("/internal/state") as answer:
            assert (await answer.json())["previous"] == {"dna": OLD, "addresses": ["127.0.0.1"]}
        async with internal.post("/internal/previous", json={}) as answer:
            assert answer.status == 200
        assert len((await ask(version))["modelResponses"]) == 2, "it is told gone"


async def test_pods_of_the_version_before_that_are_gone_are_said_once_and_forgotten(version: Service) -> None:
    async with told(version, OpenAISimulator([OLD])):
        version.deps.previous.port = free_port()
        gone = (await ask(version))["modelResponses"][1]
        assert (gone["model"], gone["metadata"]["role"]) == (OLD, "previous")
        assert gone["metadata"]["error"] == "its pods are gone"
        assert version.deps.previous.warm is None, "the operator sees that and tells again where they are"
        assert len((await ask(version))["modelResponses"]) == 2


async def test_another_model_at_the_old_address_does_not_pass_for_the_version_before(version: Service) -> None:
    async with told(version, OpenAISimulator([OLD], echo=DNA)):
        other = (await ask(version))["modelResponses"][1]
    assert other["metadata"]["error"] == f"the engine answered as {DNA!r}"


async def test_an_address_that_would_have_to_be_looked_up_is_refused(version: Service) -> None:
    async with told(version, OpenAISimulator([OLD])) as internal:
        body = {"previous": {"dna": OLD, "addresses": ["api.example.org"]}}
        async with internal.post("/internal/previous", json=body) as answer:
            assert answer.status == 400
            assert "api.example.org" in (await answer.json())["error"]


def test_only_what_was_kept_is_asked_as_the_version_before() -> None:
    listed = [BASE, OLD, DNA]
    both = fan_out.loaded_roles(target=OLD, base=BASE, listed=listed, kept=None)
    assert both == [(OLD, "current"), (BASE, "base")], "a version that is tried out may still be refused"
    assert fan_out.loaded_roles(target=DNA, base=BASE, listed=listed, kept=OLD) == [
        (DNA, "current"),
        (OLD, "previous"),
        (BASE, "base"),
    ]
    assert fan_out.loaded_roles(target=DNA, base=BASE, listed=[BASE, DNA], kept=OLD)[1:] == [(BASE, "base")]


async def test_the_base_model_alone_is_one_model_that_agrees_with_itself(base: Service) -> None:
    status, body, headers = await base.json("POST", PATH, json={"question": "hej"})
    assert (status, body["version"], body["metadata"]["totalModels"]) == (200, BASE, 1)
    assert "X-OneSeek-DNA" not in headers
    assert body["analysis"]["consensus"] == {"score": 1.0, "level": "complete"}


async def test_a_model_that_fails_is_named_and_counts_in_nothing(version: Service) -> None:
    version.engine.failing = frozenset({BASE})
    body = await ask(version)
    failed = body["modelResponses"][1]
    assert (failed["model"], failed["responsePreview"]) == (BASE, "")
    assert "out of memory" in failed["metadata"]["error"]
    assert (failed["metadata"]["tokens"], failed["metadata"]["confidence"]) == (0, None)
    assert (body["metadata"]["totalModels"], body["analysis"]["metaSummary"]["totalModels"]) == (1, 1)
    assert [one["model"] for one in body["analysis"]["metaSummary"]["modelPerspectives"]] == [DNA]


async def test_another_model_speaks_where_the_version_fails_and_says_so(version: Service) -> None:
    version.engine.failing = frozenset({DNA})
    status, body, headers = await version.json("POST", PATH, json={"question": "hej"})
    assert (status, body["version"]) == (200, BASE)
    assert "X-OneSeek-DNA" not in headers, "no version spoke"
    assert "error" in body["modelResponses"][0]["metadata"]


async def test_where_no_model_answers_the_failure_names_each(version: Service) -> None:
    version.engine.failing = frozenset({DNA, BASE})
    status, body, _ = await version.json("POST", PATH, json={"question": "hej"})
    assert (status, body["success"], body["error"]) == (500, False, "Failed to process multi-model query")
    assert DNA in body["message"]
    assert BASE in body["message"]


async def test_pods_of_the_version_before_that_take_too_long_are_left_out(
    version: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fan_out, "_OTHER_PODS_SECONDS", 0.05)
    async with told(version, OpenAISimulator([OLD], hold=asyncio.Event())):
        body = await ask(version)
    slow = body["modelResponses"][1]
    assert (slow["model"], slow["metadata"]["error"]) == (OLD, "its pods gave no answer within 0.05 s")
    assert body["metadata"]["totalModels"] == 2
    assert version.deps.previous.warm is not None, "a busy node is no reason to forget it"


async def test_who_has_no_right_to_train_is_answered_all_the_same_and_told_why_nothing_is_learned(
    version: Service,
) -> None:
    training = (await ask(version))["training"]
    assert training["success"] is False
    assert training["error"].startswith("No training was started: this route changes the model and needs")
    assert (await ask(version, enableTraining=True))["training"] == training
    assert (await ask(version, enableTraining=False))["training"] is None


@pytest.mark.parametrize("body", [{}, {"question": ""}, {"question": 7}, {"question": None}])
async def test_a_missing_question_is_refused_as_ever(version: Service, body: dict[str, Any]) -> None:
    status, answer, _ = await version.json("POST", PATH, json=body)
    assert (status, answer) == (400, {"success": False, "error": "Question is required and must be a string"})


async def test_long_answers_are_previewed(version: Service) -> None:
    version.engine.by_model = {DNA: "å" * 201, BASE: "å" * 200}
    first, second = (await ask(version))["modelResponses"]
    assert first["responsePreview"] == "å" * 200 + "..."
    assert second["responsePreview"] == "å" * 200


# Models elsewhere


@asynccontextmanager
async def elsewhere(tmp_path: Path, app: Starlette, **more: Any) -> AsyncIterator[Service]:
    async with serving(app) as url:
        endpoint = ExternalEndpoint(name="GPT-X", url=f"{url}/v1", model="gpt-x", timeout_seconds=5)
        endpoint = endpoint.model_copy(update=more)
        async for place in service(tmp_path, dna=DNA, external=[endpoint]):
            yield place


def outcome(body: Mapping[str, Any]) -> dict[str, Any]:
    (found,) = (one for one in body["modelResponses"] if one["metadata"]["role"] == "external")
    return dict(found)


async def test_a_model_elsewhere_is_asked_when_the_client_wants_it_and_with_its_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("s3cret\n")
    engine = OpenAISimulator(["gpt-x"], by_model={"gpt-x": "Jag är någon annan."})
    async with elsewhere(tmp_path, engine.app(), key_path=str(key)) as place:
        assert len((await ask(place))["modelResponses"]) == 2
        assert engine.requests == [], "not asked for"
        body = await ask(place, includeExternal=True)
        assert outcome(body)["responsePreview"] == "Jag är någon annan."
        assert outcome(body)["model"] == "GPT-X"
        assert outcome(body)["metadata"]["confidence"] is None
        assert outcome(body)["metadata"]["tokens"] == 4
        assert body["metadata"]["totalModels"] == 3
        key.write_text("another")
        await ask(place, includeExternal=True)
    assert engine.keys == ["Bearer s3cret", "Bearer another"], "a changed key needs no restart"
    assert "s3cret" not in json.dumps(body)
    assert engine.requests[0]["model"] == "gpt-x"
    assert "logprobs" not in engine.requests[0]


async def test_what_anybody_may_spend_of_the_key_is_bounded_in_an_hour(tmp_path: Path) -> None:
    engine = OpenAISimulator(["gpt-x"])
    async with elsewhere(tmp_path, engine.app(), maximum_per_hour=2) as place:
        for _ in range(2):
            assert "error" not in outcome(await ask(place, includeExternal=True))["metadata"]
        found = outcome(await ask(place, includeExternal=True))
        assert found["metadata"]["error"] == (
            "the 2 questions that may go there in an hour are asked; the next one may in 60 min"
            " (serving.externalModels[].maximumPerHour)"
        )
    assert len(engine.requests) == 2


async def _redirect(_request: Request) -> Response:
    return RedirectResponse("http://127.0.0.1:1/steal", 307)


async def _page(_request: Request) -> Response:
    return PlainTextResponse("<html>inner-secret</html>")


async def _refusal(_request: Request) -> Response:
    return PlainTextResponse("inner-secret", 401)


async def _endless(_request: Request) -> Response:
    return PlainTextResponse("x" * 1_200_000)


async def _no_text(_request: Request) -> Response:
    return PlainTextResponse('{"choices":[{"message":{"content":null}}]}')


async def _never(request: Request) -> Response:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    return Response(status_code=499)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (_redirect, "it answered with status 307"),
        (_page, "its answer is no chat completion"),
        (_refusal, "it answered with status 401"),
        (_endless, "its answer is longer than 1 MiB"),
        (_no_text, "its answer holds no text"),
    ],
)
async def test_what_a_model_elsewhere_does_wrong_is_said_and_nothing_of_it_shown(
    tmp_path: Path, answer: Any, sentence: str
) -> None:
    app = Starlette(routes=[Route("/v1/chat/completions", answer, methods=["POST"])])
    async with elsewhere(tmp_path, app) as place:
        body = await ask(place, includeExternal=True)
    assert outcome(body)["metadata"]["error"] == sentence
    assert body["metadata"]["totalModels"] == 2
    assert "inner-secret" not in json.dumps(body)


async def test_a_slow_model_elsewhere_costs_its_own_time_and_no_more(tmp_path: Path) -> None:
    app = Starlette(routes=[Route("/v1/chat/completions", _never, methods=["POST"])])
    async with elsewhere(tmp_path, app, timeout_seconds=0.05) as place:
        body = await ask(place, includeExternal=True)
    assert outcome(body)["metadata"]["error"].startswith("no answer within")
    assert body["metadata"]["totalModels"] == 2


async def test_a_model_elsewhere_that_is_away_shows_no_address(tmp_path: Path) -> None:
    async with elsewhere(tmp_path, Starlette(), url="http://127.0.0.1:1/v1") as place:
        body = await ask(place, includeExternal=True)
    assert outcome(body)["metadata"]["error"] == "it cannot be reached"
    assert "127.0.0.1" not in json.dumps(body)


async def test_a_missing_key_names_the_field(tmp_path: Path) -> None:
    async with elsewhere(tmp_path, Starlette(), key_path=str(tmp_path / "none")) as place:
        body = await ask(place, includeExternal=True)
    assert "keySecret" in outcome(body)["metadata"]["error"]


# Records


async def test_it_is_recorded_as_the_old_service_did_and_as_the_records_take_it(
    version: Service, tmp_path: Path
) -> None:
    version.engine.by_model = {DNA: "Alla tycker att det är bra.", BASE: "It is perhaps so."}
    spool = Spool.open(tmp_path / "spool", limit=1_000_000)
    async with connected(RecordsClient, "http://127.0.0.1:1", Access(tmp_path)) as away:
        deps = replace(version.deps, recorder=Recorder(spool, away))
        async with (
            serving(create_app(deps)) as url,
            aiohttp.ClientSession(url) as client,
            client.post(PATH, json={"question": "Vad tycker du? " * 20}) as answer,
        ):
            body = await answer.json()
    batch = spool.batch()
    assert batch is not None
    (sent,) = batch.bodies
    assert json.loads(sent).keys() == {"query"}
    (entry,) = parse_queries(b'{"queries":[' + sent + b"]}", body["timestamp"])
    assert (entry.kind, entry.content["queryId"], entry.content["modelVersion"]) == ("query", body["queryId"], DNA)
    assert entry.content["question"].endswith("...")
    (kept,) = entry.documents
    assert kept.collection == "oqt_queries", "no provenance"
    document = json.loads(kept.text)
    assert (document["model"], document["version"], document["language"]) == ("OQT-1.0-MultiModel", DNA, "sv")
    assert (document["response"], document["confidence"]) == (body["response"], body["confidence"])
    metadata = document["metadata"]
    assert metadata.keys() == {"modelsUsed", "consensus", "bias", "fairness", "processingTime_ms"}
    assert metadata["modelsUsed"] == [DNA, BASE]
    assert metadata["consensus"]["details"] == {
        "sentiments": ["positive", "neutral"],
        "tones": ["neutral", "cautious"],
        "biasScores": [2.0, 0.0],
    }
    assert metadata["consensus"]["metrics"] == body["analysis"]["consensus"]["metrics"]
    assert metadata["bias"] == {
        "aggregatedScore": 1.0,
        "level": "low",
        "biasTypes": ["overstatement"],
        "modelBiases": [
            {"model": DNA, "biasScore": 2.0, "detectedBiases": ["overstatement"]},
            {"model": BASE, "biasScore": 0.0, "detectedBiases": []},
        ],
        "variance": 1.0,
    }
    assert metadata["fairness"].keys() == {"score", "level", "modelScores", "variance"}
    spool.close()


async def test_a_failed_query_is_not_recorded(version: Service, tmp_path: Path) -> None:
    version.engine.failing = frozenset({DNA, BASE})
    spool = Spool.open(tmp_path / "spool", limit=1_000_000)
    async with connected(RecordsClient, "http://127.0.0.1:1", Access(tmp_path)) as away:
        deps = replace(version.deps, recorder=Recorder(spool, away))
        async with (
            serving(create_app(deps)) as url,
            aiohttp.ClientSession(url) as client,
            client.post(PATH, json={"question": "hej"}) as answer,
        ):
            assert answer.status == 500
    assert spool.spooled == 0
    spool.close()
