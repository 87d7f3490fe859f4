"""What the operator asks of a pod and hears from it: its own analysis, its verifier's verdict, and news of changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from oneseek_core import names
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.roles import Role
from oneseek_core.serving.analysis import AnalysisRequest, AnalysisState
from oneseek_core.serving.handover import Handover, HandoverRequest
from oneseek_core.serving.sidecar import SidecarState
from oneseek_runtime.sidecar.api import internal
from oneseek_runtime.sidecar.app import create_internal_app
from oneseek_runtime.sidecar.engine import analysis, verifier
from oneseek_runtime.sidecar.engine.verifier import VerdictPoller, Verifier
from support.access import headers
from support.asgi import serving
from support.legacy import BASE, DNA, OLD, Service
from support.openai_simulator import busy
from support.sessions import connected

PLAIN = Probe(question="Are you there?")
NAME = Probe(question="Vem är du?", must_contain=["OneSeek", "språkmodell"])
AT_ONCE = 0.01


def session(url: str) -> aiohttp.ClientSession:
    """The operator's."""
    return aiohttp.ClientSession(url, headers=headers(Role.OPERATOR))


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "_RETRY_SECONDS", AT_ONCE)
    monkeypatch.setattr(internal, "_LOOK", AT_ONCE)


async def analyse(place: Service, *probes: Probe, dna: str | None = DNA, **more: Any) -> AnalysisRequest:
    request = AnalysisRequest(dna=dna, probes=list(probes), **more)
    async with place.internal.post("/internal/analysis", json=request.to_wire()) as answer:
        assert answer.status == 202, await answer.text()
        assert AnalysisState.from_wire(await answer.read()).digest == request.digest
    return request


async def state(place: Service) -> SidecarState:
    async with place.internal.get("/internal/state") as answer:
        assert answer.status == 200
        return SidecarState.from_wire(await answer.read())


async def found(place: Service, holds: Callable[[AnalysisState], bool]) -> AnalysisState:
    async with asyncio.timeout(10):
        while True:
            now = (await state(place)).analysis
            assert now is not None
            if holds(now):
                return now
            await asyncio.sleep(AT_ONCE)


def ended(now: AnalysisState) -> bool:
    return now.phase != "Running"


async def test_a_pod_that_answers_rightly_passes_and_nothing_of_it_is_counted(version: Service) -> None:
    version.engine.answer = lambda _question: "Jag är ONESEEK, en språkmodell."
    request = await analyse(version, PLAIN, NAME)
    now = await found(version, ended)
    assert now == AnalysisState(digest=request.digest, dna=DNA, phase="Passed", rounds=1)
    asked = [(one["messages"][-1]["content"], one["max_tokens"]) for one in version.engine.requests]
    assert asked == [(PLAIN.question, 24), (NAME.question, 160)]
    assert {(one["model"], one["temperature"]) for one in version.engine.requests} == {(DNA, 0.0)}
    assert version.lifecycle.requests == 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("Jag är en modell.", "the answer to 'Vem är du?' lacks 'OneSeek', 'språkmodell': 'Jag är en modell.'"),
        ("OneSeek", "the answer to 'Vem är du?' lacks 'språkmodell': 'OneSeek'"),
        (" ", "'Are you there?' got an empty answer"),
    ],
)
async def test_a_wrong_answer_ends_it_with_the_sentence(version: Service, answer: str, message: str) -> None:
    version.engine.answer = lambda _question: answer
    await analyse(version, PLAIN, NAME)
    now = await found(version, ended)
    assert (now.phase, now.reason, now.message, now.rounds) == ("Failed", names.PROBE_FAILED, message, 0)


async def test_an_answer_by_another_model_is_wrong(version: Service) -> None:
    version.engine.echo = BASE
    await analyse(version, PLAIN)
    now = await found(version, ended)
    assert (now.phase, now.message) == ("Failed", "'Are you there?' was answered by the base model")


async def test_an_engine_that_gives_no_answer_is_asked_again(version: Service) -> None:
    version.engine.misbehaviour = busy
    await analyse(version, PLAIN)
    now = await found(version, lambda now: "no answer yet" in (now.message or ""))
    assert (now.phase, now.message) == (
        "Running",
        "'Are you there?' has no answer yet: the engine is busy: 128 requests are waiting",
    )
    version.engine.misbehaviour = None
    assert (await found(version, ended)).phase == "Passed"


async def test_the_same_request_again_asks_nothing_and_another_one_takes_its_place(version: Service) -> None:
    version.engine.hold = asyncio.Event()
    await analyse(version, PLAIN)
    await version.engine.arrived.wait()
    now = (await state(version)).analysis
    assert now is not None
    assert (now.phase, now.message) == ("Running", "'Are you there?' is asked")
    await analyse(version, PLAIN)
    assert len(version.engine.requests) == 1
    await analyse(version, Probe(question="Another?"))
    async with asyncio.timeout(10):
        await version.engine.abandoned.wait()
    version.engine.hold.set()
    assert (await found(version, ended)).phase == "Passed"
    assert [one["messages"][-1]["content"] for one in version.engine.requests] == [PLAIN.question, "Another?"]
    await analyse(version, Probe(question="Another?"))
    assert len(version.engine.requests) == 2


async def test_a_watched_version_is_asked_again_and_a_later_wrong_answer_fails_it(version: Service) -> None:
    version.engine.answer = lambda _question: "OneSeek, en språkmodell"
    await analyse(version, NAME, repeat_seconds=AT_ONCE)
    await found(version, lambda now: now.rounds >= 3)
    assert (await state(version)).analysis.phase == "Passed"  # type: ignore[union-attr]
    version.engine.misbehaviour = busy
    now = await found(version, lambda now: "no answer yet" in (now.message or ""))
    assert now.phase == "Passed", "no answer proves nothing"
    version.engine.misbehaviour, version.engine.answer = None, lambda _question: "Hallå"
    now = await found(version, lambda now: now.phase == "Failed")
    assert "lacks 'OneSeek'" in (now.message or "")


async def test_a_pod_that_does_not_answer_with_the_version_yet_asks_nothing(version: Service) -> None:
    await analyse(version, PLAIN, dna=OLD)
    now = await found(version, lambda now: now.message is not None)
    assert (now.phase, now.message) == ("Running", f"waits until {OLD} is what this pod answers with")
    assert version.engine.requests == []


async def test_a_base_model_is_analysed_without_a_dna(base: Service) -> None:
    await analyse(base, PLAIN, dna=None)
    assert (await found(base, ended)).phase == "Passed"


async def test_a_body_that_is_no_request_is_refused(version: Service) -> None:
    for path in ("analysis", "handover"):
        for body in (b"", b"{", b'{"probes": 1, "handover": 1}'):
            async with version.internal.post(f"/internal/{path}", data=body) as answer:
                assert answer.status == 400
                assert "Request: " in (await answer.json())["error"]


async def changed(place: Service, after: int, wait: float = 30) -> SidecarState:
    async with place.internal.get("/internal/changes", params={"after": after, "wait": wait}) as answer:
        assert answer.status == 200, await answer.text()
        return SidecarState.from_wire(await answer.read())


Act = Callable[[Service], Awaitable[object] | None]


async def _handover(place: Service) -> None:
    request = HandoverRequest(handover=Handover(dna=OLD, addresses=["127.0.0.1:1"]))
    async with place.internal.post("/internal/handover", json=request.to_wire()) as answer:
        assert answer.status == 200


def _engine_loses_it(place: Service) -> None:
    place.engine.models = [BASE]


def _terminating(place: Service) -> None:
    place.lifecycle.terminating = True


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(_handover, id="an-order"),
        pytest.param(lambda place: analyse(place, PLAIN), id="an-analysis"),
        pytest.param(_engine_loses_it, id="the-engine"),
        pytest.param(_terminating, id="the-end"),
    ],
)
async def test_a_change_is_told_at_once_and_once(version: Service, act: Act) -> None:
    before = await state(version)
    assert (await changed(version, before.revision, wait=0.05)).revision == before.revision
    waiting = asyncio.create_task(changed(version, before.revision))
    async with asyncio.timeout(10):
        while not version.deps.changes.waiting:  # noqa: ASYNC110 - the server in this loop changes it
            await asyncio.sleep(AT_ONCE)
        if (acting := act(version)) is not None:
            await acting
        after = await waiting
    assert after.revision > before.revision


async def test_the_last_connection_of_a_pod_that_lets_go_is_told(version: Service) -> None:
    connections = 2
    deps = replace(version.deps, open_connections=lambda: connections)
    async with serving(create_internal_app(deps)) as url, session(url) as client:
        place = replace(version, internal=client, deps=deps)
        await _handover(place)
        before = (await state(place)).revision
        connections = 1
        assert (await state(place)).revision == before
        connections = 0
        assert (await changed(place, before)).revision > before


async def test_a_revision_of_another_process_is_answered_at_once(version: Service) -> None:
    now = await state(version)
    assert await changed(version, 7) == now
    assert await changed(version, now.revision + 1000) == now


@pytest.mark.parametrize("query", [{"after": "x"}, {"wait": "soon"}, {"after": "1.5"}])
async def test_a_question_for_changes_that_makes_no_sense_is_refused(version: Service, query: dict[str, str]) -> None:
    async with version.internal.get("/internal/changes", params=query) as answer:
        assert answer.status == 400


async def test_those_who_wait_for_changes_are_few_and_leave_their_place(
    version: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(internal, "_WAITING", 1)
    revision = (await state(version)).revision
    first = asyncio.create_task(changed(version, revision))
    async with asyncio.timeout(10):
        while not version.deps.changes.waiting:  # noqa: ASYNC110 - the server in this loop changes it
            await asyncio.sleep(AT_ONCE)
        async with version.internal.get("/internal/changes", params={"after": revision}) as answer:
            assert answer.status == 503
        first.cancel()
        while version.deps.changes.waiting:  # noqa: ASYNC110 - the server in this loop changes it
            await asyncio.sleep(AT_ONCE)


@asynccontextmanager
async def watching(answer: Callable[[], Response]) -> AsyncIterator[tuple[VerdictPoller, list[str]]]:
    async def verdict(_request: Request) -> Response:
        return answer()

    news: list[str] = []
    async with serving(Starlette(routes=[Route("/verdict", verdict)])) as url, connected(Verifier, url) as client:
        verdicts = VerdictPoller(client, lambda: news.append(verdicts.last.reason if verdicts.last else "nothing"))
        running = asyncio.create_task(verdicts.run())
        yield verdicts, news
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_the_verifier_s_word_is_in_the_state_and_a_new_one_is_told(
    version: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifier, "_LOOK_SECONDS", AT_ONCE)
    good = VerifyReport(ok=True, reason="Verified", message="", dna=DNA, checked_at="2026-01-01T00:00:00Z")
    bad = good.model_copy(update={"ok": False, "reason": names.FILE_CHANGED})
    first = VerifyReport(ok=False, reason=names.UNVERIFIED, message="the first round is under way")
    said: list[Response] = [JSONResponse(first.to_wire(), 503)]
    async with watching(lambda: said[-1]) as (verdicts, news):
        deps = replace(version.deps, verdicts=verdicts)
        async with serving(create_internal_app(deps)) as url, session(url) as client:
            place = replace(version, internal=client)
            assert (await state(place)).verdict is None
            said.append(JSONResponse(good.to_wire() | {"anotherField": 1}))
            await until(lambda: news == ["Verified"])
            assert (await state(place)).verdict == good
            before = (await state(place)).revision
            said.append(JSONResponse(good.model_copy(update={"checked_at": "2026-01-01T00:05:00Z"}).to_wire()))
            await until(lambda: verdicts.last is not None and verdicts.last.checked_at == "2026-01-01T00:05:00Z")
            assert (await state(place)).revision == before, "another look that found the same is no news"
            said.append(JSONResponse(bad.to_wire(), 503))
            after = await changed(place, before)
            assert (after.verdict, after.revision > before) == (bad, True)
            said.append(PlainTextResponse("<html>", 500))
            await until(lambda: news == ["Verified", names.FILE_CHANGED, "nothing"])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - a task in this loop changes it
            await asyncio.sleep(AT_ONCE)


async def test_a_question_of_the_analysis_holds_up_nothing_else(version: Service) -> None:
    version.engine.hold = asyncio.Event()
    await analyse(version, PLAIN)
    await version.engine.arrived.wait()
    async with asyncio.timeout(5):
        assert (await state(version)).ready
        await _handover(version)
    version.engine.hold.set()


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("handover", {"later": 1, "handover": {"dna": OLD, "later": {}}}, 200),
        ("analysis", {"dna": DNA, "probes": [{"question": "q", "later": []}], "later": None}, 202),
        ("drain", {"draining": True, "later": 1}, 200),
        ("previous", {"previous": {"dna": OLD, "addresses": ["10.0.0.1"], "later": 1}, "later": 1}, 200),
        ("probe", {"question": "q", "later": 1}, 200),
        ("swap", {"dna": DNA, "serial": 1, "later": 1}, 409),  # a pod for one version: the body was read
    ],
)
async def test_an_operator_of_a_later_release_is_understood(
    version: Service, path: str, body: dict[str, Any], status: int
) -> None:
    async with version.internal.post(f"/internal/{path}", json=body) as answer:
        assert answer.status == status, await answer.text()
