"""A pod that takes over another version while it answers: real verifier, engine and sidecar processes over loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.roles import Role
from oneseek_core.serving.swap import SwapState, WantedVersion
from support.access import asking
from support.hot_pod import BASE, Claim, HotPod

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),  # peft asks transformers in an old way
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]

QUESTION = "Vem är du?"
BASE_VERSION = WantedVersion()


@pytest.fixture(scope="module")
def claim(tmp_path_factory: pytest.TempPathFactory) -> Claim:
    made = Claim(tmp_path_factory.mktemp("claim"))
    for major, name in enumerate(("one", "two", "three"), start=1):
        made.certify(name, major=major)
    return made


@pytest.fixture(scope="module")
def shared(claim: Claim, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HotPod]:
    pod = HotPod(claim, tmp_path_factory.mktemp("pod"), claim.versions["one"])
    pod.start()
    yield pod
    pod.kill()


class Serials:
    """Numbers that only rise, as the operator's do."""

    last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


SERIALS = Serials()


async def until(true: Callable[[], Awaitable[bool]], what: str, *, within: float = 60) -> None:
    try:
        async with asyncio.timeout(within):
            while not await true():  # noqa: ASYNC110 - another process is asked
                await asyncio.sleep(0.02)
    except TimeoutError as error:
        raise AssertionError(f"not within {within} s: {what}") from error


async def until_answering(pod: HotPod, version: WantedVersion) -> None:
    """Until the sidecar says so, and everything else is unloaded."""

    async def there() -> bool:
        state = await pod.state()
        return state.ready and state.dna == version.dna and bool(state.swap and state.swap.phase == "Done")

    await until(there, f"{version.dna} answers")
    wanted = [BASE] + ([version.dna] if version.dna else [])

    async def alone() -> bool:
        return await pod.models() == wanted

    await until(alone, "the version before is unloaded")


async def until_copies(pod: HotPod, version: WantedVersion) -> None:
    """Until the pod holds no other copy than this version's."""

    async def there() -> bool:
        return [path.name for path in pod.verified.iterdir() if not path.name.startswith(".")] == [version.dna]

    await until(there, f"only {version.dna} is copied")


async def until_phase(pod: HotPod, phase: str) -> Any:
    async def there() -> bool:
        swap = (await pod.state()).swap
        return swap is not None and swap.phase == phase

    await until(there, phase)
    return (await pod.state()).swap


@pytest.fixture
async def pod(shared: HotPod) -> HotPod:
    """The shared pod, answering with version one."""
    await shared.order(shared.claim.versions["one"], SERIALS.next())
    await until_answering(shared, shared.claim.versions["one"])
    return shared


@dataclass
class Load:
    """Clients on kept-alive connections that ask without pause; no retries."""

    answers: list[tuple[str, str]] = field(default_factory=list)  # DNA in the header, text
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0


@asynccontextmanager
async def loaded(pod: HotPod, *, clients: int = 4, tokens: int = 8) -> AsyncIterator[Load]:
    load, stop = Load(), asyncio.Event()

    async def client() -> None:
        loop = asyncio.get_running_loop()
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(pod.url("public"), timeout=timeout) as session:
            while not stop.is_set():
                begun = loop.time()
                try:
                    body = {"question": QUESTION, "options": {"maxTokens": tokens}}
                    async with session.post("/api/oqt/query", json=body) as response:
                        answer = await response.json()
                        if response.status != 200:
                            load.failures.append(str(answer))
                            continue
                        load.answers.append((response.headers.get("X-OneSeek-DNA", ""), answer["response"]))
                except (aiohttp.ClientError, TimeoutError) as error:
                    load.failures.append(repr(error))
                load.slowest = max(load.slowest, loop.time() - begun)

    tasks = [asyncio.create_task(client()) for _ in range(clients)]
    try:
        yield load
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def more(load: Load, count: int) -> None:
    wanted = len(load.answers) + count

    async def there() -> bool:
        return len(load.answers) + len(load.failures) >= wanted

    await until(there, f"{count} more answers")


async def test_swaps_under_load_fail_nothing_and_every_answer_is_its_dna_s_own(pod: HotPod) -> None:
    one, two, three = (pod.claim.versions[name] for name in ("one", "two", "three"))
    said: dict[str, str] = {}
    async with loaded(pod) as load:
        await more(load, 20)
        for version in (two, three, one, two):
            await pod.order(version, SERIALS.next())
            await until_answering(pod, version)
            said[str(version.dna)] = await pod.say(str(version.dna))
            await more(load, 20)
    assert load.failures == []
    assert len(set(said.values())) == 3, "the versions must differ in what they say, or this test shows nothing"
    assert {dna for dna, _ in load.answers} == set(said)
    assert [answer for answer in load.answers if answer[1] != said[answer[0]]] == []
    order = [dna for index, (dna, _) in enumerate(load.answers) if not index or load.answers[index - 1][0] != dna]
    assert order[-1] == two.dna


async def test_an_answer_under_way_finishes_on_the_version_it_began_with(pod: HotPod) -> None:
    one, two = pod.claim.versions["one"], pod.claim.versions["two"]
    whole = await pod.say(str(one.dna), tokens=400)
    async with aiohttp.ClientSession(pod.url("public")) as session:
        body = {"question": QUESTION, "options": {"maxTokens": 400}}
        asking = [asyncio.create_task(session.post("/api/oqt/query", json=body)) for _ in range(3)]

        async def connected() -> bool:
            return (await pod.state()).open_connections >= 3

        await until(connected, "three questions are under way")
        await pod.order(two, SERIALS.next())
        for response in await asyncio.gather(*asking):
            assert response.headers["X-OneSeek-DNA"] == one.dna
            assert (await response.json())["response"] == whole
    await until_answering(pod, two)


async def test_a_version_held_back_is_ready_answers_nobody_and_takes_over_when_told(pod: HotPod) -> None:
    one, two = pod.claim.versions["one"], pod.claim.versions["two"]
    serial = SERIALS.next()
    await pod.order(two, serial, hold=True)
    await until_phase(pod, "Ready")
    assert (await pod.state()).dna == one.dna
    assert await pod.models() == [BASE, one.dna, two.dna]
    for model, status in ((two.dna, 404), (one.dna, 200)):
        asked = {"model": model, "messages": [{"role": "user", "content": "hej"}], "max_tokens": 1}
        url = pod.url("public") + "/v1/chat/completions"
        async with aiohttp.ClientSession() as session, session.post(url, json=asked) as response:
            assert response.status == status, "who knows the DNA gets no answer before it is promoted"
    async with loaded(pod) as load:
        await more(load, 8)
    assert {dna for dna, _ in load.answers} == {one.dna}
    await pod.order(two, serial)
    await until_answering(pod, two)


async def test_a_version_that_answers_a_probe_wrongly_is_not_let_in(pod: HotPod) -> None:
    one, two = pod.claim.versions["one"], pod.claim.versions["two"]
    probe = Probe(question="What is the capital of Sweden?", must_contain=["Stockholm"])
    await pod.order(two, SERIALS.next())
    await until_answering(pod, two)
    said = await pod.say(str(two.dna), tokens=160, question=probe.question)
    await pod.order(one, SERIALS.next())
    await until_answering(pod, one)
    await pod.order(two, SERIALS.next(), probes=[probe])
    swap = await until_phase(pod, "Failed")
    assert (swap.dna, swap.reason, swap.refused) == (two.dna, names.PROBE_FAILED, False)
    assert swap.message == f"the answer to 'What is the capital of Sweden?' lacks 'Stockholm': {said[:120]!r}"
    assert (await pod.state()).dna == one.dna

    async def gone() -> bool:
        return await pod.models() == [BASE, one.dna] and not (pod.verified / str(two.dna)).exists()

    await until(gone, "what was refused is unloaded and its copy removed")


async def test_a_tampered_version_is_refused_with_the_reason_and_the_old_one_goes_on(pod: HotPod) -> None:
    one, bad = pod.claim.versions["one"], pod.claim.certify("bad", major=9)
    path = pod.claim.certified / str(bad.dna) / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    async with loaded(pod) as load:
        await more(load, 8)
        await pod.order(bad, SERIALS.next())
        swap = await until_phase(pod, "Failed")
        await more(load, 8)
    assert (swap.dna, swap.reason, swap.refused) == (bad.dna, names.FILE_CHANGED, True)
    assert load.failures == []
    assert {dna for dna, _ in load.answers} == {one.dna}
    assert await pod.models() == [BASE, one.dna]
    assert not (pod.verified / str(bad.dna)).exists()


async def test_a_version_with_another_digest_than_ordered_is_refused(pod: HotPod) -> None:
    two = pod.claim.versions["two"]
    await pod.order(WantedVersion(dna=two.dna, digest="sha256:" + "0" * 64), SERIALS.next())
    swap = await until_phase(pod, "Failed")
    assert (swap.reason, swap.refused) == (names.ARTIFACT_DIGEST_DIFFERS, True)


async def test_it_swaps_to_the_base_model_and_back(pod: HotPod) -> None:
    await pod.order(BASE_VERSION, SERIALS.next())
    await until_answering(pod, BASE_VERSION)
    async with loaded(pod, clients=1) as load:
        await more(load, 2)
    assert {dna for dna, _ in load.answers} == {""}
    await pod.order(pod.claim.versions["two"], SERIALS.next())
    await until_answering(pod, pod.claim.versions["two"])


async def test_orders_that_overtake_one_another_end_with_the_newest(pod: HotPod) -> None:
    two, three = pod.claim.versions["two"], pod.claim.versions["three"]
    async with loaded(pod) as load:
        for turn in range(30):
            await pod.order((two, three)[turn % 2], SERIALS.next())
            await asyncio.sleep(0.01 * (turn % 7))  # into another phase of the one before each time
        await until_answering(pod, three)
    assert load.failures == []
    await until_copies(pod, three)


async def test_the_version_before_stays_loaded_where_the_order_says_so_and_is_asked_beside_the_others(
    pod: HotPod,
) -> None:
    one, two, three = (pod.claim.versions[name] for name in ("one", "two", "three"))
    serial = SERIALS.next()
    await pod.order(two, serial, keep=one.dna)

    async def kept() -> bool:
        state = await pod.state()
        return state.dna == two.dna and state.swap is not None and state.swap.kept == one.dna

    await until(kept, "two answers and one is kept")
    assert await pod.models() == [BASE, one.dna, two.dna]
    await until_copies(pod, two)
    said = {name: await pod.say(name, tokens=12) for name in (str(two.dna), str(one.dna), BASE)}
    assert len(set(said.values())) == 3, "the models must differ in what they say, or this test shows nothing"
    asked = {"question": QUESTION, "options": {"maxTokens": 12}}
    async with aiohttp.ClientSession(pod.url("public")) as session:
        async with session.post("/api/oqt/multi-model-query", json=asked) as answer:
            body = await answer.json()
        async with session.get("/v1/models") as answer:
            listed = {row["id"] for row in (await answer.json())["data"]}
    found = [(one["metadata"]["role"], one["model"]) for one in body["modelResponses"]]
    assert found == [("current", two.dna), ("previous", one.dna), ("base", BASE)]
    assert {one["model"]: one["responsePreview"] for one in body["modelResponses"]} == said
    assert listed >= set(said)
    # It makes place for the next one; and it goes when it is told to.
    await pod.order(three, SERIALS.next())
    await until_answering(pod, three)
    serial = SERIALS.next()
    await pod.order(two, serial, keep=three.dna)
    await until(lambda: _is_kept(pod, three), "three is kept")
    await pod.order(two, serial)
    await until_answering(pod, two)
    assert (await pod.state()).swap == SwapState(dna=two.dna, serial=serial, phase="Done")


async def _is_kept(pod: HotPod, version: WantedVersion) -> bool:
    swap = (await pod.state()).swap
    return swap is not None and swap.kept == version.dna


async def test_an_order_older_than_the_newest_is_refused_and_so_is_one_that_no_configmap_can_bear_out(
    pod: HotPod,
) -> None:
    old, new = SERIALS.next(), SERIALS.next()
    await pod.order(pod.claim.versions["two"], new)
    await until_answering(pod, pod.claim.versions["two"])
    for serial in (old, new, 2**53):
        await pod.order(pod.claim.versions["three"], serial, status=409)
    assert (await pod.state()).swap == await until_phase(pod, "Done")
    assert (await pod.state()).dna == pod.claim.versions["two"].dna


async def test_the_watching_verifier_finds_what_changes_under_the_version_in_use(pod: HotPod) -> None:
    async def verdict() -> VerifyReport:
        async with aiohttp.ClientSession() as session, session.get(pod.url("watch") + "/verdict") as response:
            return VerifyReport.model_validate(await response.json())

    one = pod.claim.versions["one"]

    async def good() -> bool:
        report = await verdict()
        return (report.ok, report.dna, report.reason) == (True, one.dna, names.ARTIFACT_VERIFIED)

    async def bad() -> bool:
        report = await verdict()
        return (report.ok, report.dna, report.reason) == (False, one.dna, names.FILE_CHANGED)

    await until(good, "version one is verified")
    path = pod.claim.certified / str(one.dna) / "adapter_model.safetensors"
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-1] + b"\1")
        await until(bad, "the change is found")
    finally:
        path.write_bytes(whole)
    await until(good, "it is verified again")


@pytest.mark.parametrize(
    ("call", "body", "status", "kind", "sentence"),
    [
        pytest.param("load", {"lora_name": "x"}, 400, "InvalidUserInput", "must be provided", id="no path"),
        pytest.param("load", {"lora_name": "x", "lora_path": "/x"}, 400, "InvalidUserInput", "'x'", id="no DNA"),
        pytest.param("unload", {}, 400, "InvalidUserInput", "needs to be provided", id="no name"),
        pytest.param("unload", {"lora_name": "x"}, 404, "NotFoundError", "cannot be found", id="not loaded"),
        pytest.param("unload", {"lora_name": BASE}, 404, "NotFoundError", "cannot be found", id="the base"),
    ],
)
async def test_the_engine_refuses_in_vllm_s_shape(
    pod: HotPod, call: str, body: dict[str, str], status: int, kind: str, sentence: str
) -> None:
    error = await engine_refuses(pod, call, body)
    assert (error["code"], error["type"], error["param"]) == (status, kind, None)
    assert sentence in error["message"]


async def engine_refuses(pod: HotPod, call: str, body: dict[str, str]) -> dict[str, Any]:
    url = pod.url("engine") + f"/v1/{call}_lora_adapter"
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        error: dict[str, Any] = (await response.json())["error"]
    assert response.status == error["code"]
    return error


async def test_the_engine_loads_nothing_but_what_the_verifier_has_marked(pod: HotPod) -> None:
    one, two = (str(pod.claim.versions[name].dna) for name in ("one", "two"))
    loaded_already = await engine_refuses(pod, "load", {"lora_name": one, "lora_path": str(pod.verified / one)})
    assert "has already been loaded" in loaded_already["message"]
    elsewhere = await engine_refuses(pod, "load", {"lora_name": two, "lora_path": str(pod.claim.certified / two)})
    assert (elsewhere["code"], "only what the verifier has copied" in elsewhere["message"]) == (400, True)
    unmarked = await engine_refuses(pod, "load", {"lora_name": two, "lora_path": str(pod.verified / two)})
    assert (unmarked["code"], unmarked["type"]) == (404, "NotFoundError")


@pytest.mark.parametrize("container", ["engine", "watch"])
async def test_engine_and_verifier_are_there_for_their_own_pod_alone(pod: HotPod, container: str) -> None:
    socket.create_connection(("127.0.0.1", pod.ports[container])).close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", pod.ports[container]))


async def test_an_order_without_the_operator_s_token_changes_nothing(pod: HotPod) -> None:
    before = (await pod.state()).swap
    for told in (asking(Role.SIDECAR), asking() | {"headers": {}}):
        url = pod.url("internal") + "/internal/swap"
        async with aiohttp.ClientSession() as session, session.post(url, json={"serial": 2**53}, **told) as response:
            assert response.status in (401, 403)
    assert (await pod.state()).swap == before


async def test_of_two_pods_the_one_that_swapped_answers_for_the_other_until_that_has_swapped_too(
    claim: Claim, pod: HotPod, tmp_path: Path
) -> None:
    one, two = claim.versions["one"], claim.versions["two"]
    first = HotPod(claim, tmp_path / "first", one)
    try:
        first.start()
        await until_answering(first, one)
        async with loaded(pod, clients=1) as load:
            await more(load, 3)
            await first.order(two, 1)
            await until_answering(first, two)
            await pod.hand_over(first, two)
            handed_over = len(load.answers) + 1  # one may have been under way
            await more(load, 5)
            await pod.order(two, SERIALS.next())
            await until_answering(pod, two)
            await pod.hand_over(None)
            await more(load, 5)
        assert load.failures == []
        assert {dna for dna, _ in load.answers[:3]} == {one.dna}
        assert {dna for dna, _ in load.answers[handed_over:]} == {two.dna}
        state = await pod.state()
        assert (state.handover, state.draining) == (None, False)
        assert 5 <= state.requests < len(load.answers)
    finally:
        first.kill()


async def test_containers_that_restart_come_back_with_what_answered_whatever_the_file_says(
    claim: Claim, tmp_path: Path
) -> None:
    one, two = claim.versions["one"], claim.versions["two"]
    pod = HotPod(claim, tmp_path / "pod", one)
    try:
        pod.start()
        await until_answering(pod, one)
        await pod.order(two, 5, confirmed=False)
        await until_answering(pod, two)
        pod.kill("engine")
        pod.start("engine")
        await until_answering(pod, two)
        for container in ("sidecar", "watch"):
            pod.kill(container)
            pod.start(container)
            await until_answering(pod, two)
        # Another pod of the colour starts from the ConfigMap alone.
        pod.kill()
        other = HotPod(claim, tmp_path / "other", two.model_copy(update={"serial": 5}))
        pod = other
        pod.start()
        await until_answering(pod, two)
        await until_copies(pod, two)
    finally:
        pod.kill()


async def test_a_pod_whose_first_version_is_refused_gets_no_questions_and_takes_the_next_order(
    claim: Claim, tmp_path: Path
) -> None:
    two = claim.versions["two"]
    pod = HotPod(claim, tmp_path / "pod", WantedVersion(dna=two.dna, digest="sha256:" + "0" * 64, serial=1))
    try:
        pod.start()
        swap = await until_phase(pod, "Failed")
        assert (swap.refused, (await pod.state()).ready) == (True, False)
        url, told = pod.url("internal") + "/internal/ready", asking()
        async with aiohttp.ClientSession() as session, session.get(url, **told) as response:
            assert response.status == 503
        await pod.order(claim.versions["one"], 2)
        await until_answering(pod, claim.versions["one"])
    finally:
        pod.kill()
