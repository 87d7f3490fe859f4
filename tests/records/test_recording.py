"""Every answered question reaches the ledger once: real sidecar and records processes, killed and away under load."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from oneseek_core import names
from oneseek_runtime.sidecar.api.dashboard.bodies import ledger_held
from oneseek_runtime.sidecar.records.lines import encoded
from oneseek_runtime.sidecar.records.recorder import query_entry
from oneseek_runtime.sidecar.records.spool import Spool
from support.access import asking
from support.learning import LESSON, NEVER, learning, with_micro
from support.recording import Load, Pod, entered, pod, recorded, until
from support.records import Place

FULL = int(os.environ.get("ONESEEK_PROVE_COUNT") or "5") >= 100
AWAY_SECONDS = 60 if FULL else 2
KILLS = 100 if FULL else 4


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Pod]:
    """A serving pod's folder and its records'; nothing of ours runs there yet."""
    async with pod(tmp_path) as found:
        yield found


async def test_with_records_away_under_load_all_is_answered_and_every_entry_arrives_once(place: Pod) -> None:
    load = Load(place.url, rate=60)
    async with entered(place.sidecar()), load.running():
        async with entered(place.records.service()) as service:
            await until(lambda: len(load.answered) > 40)
            service.kill()
            before = len(load.answered)
            await asyncio.sleep(AWAY_SECONDS)
            answered = len(load.answered) - before
            assert answered > 0.5 * load.rate * AWAY_SECONDS, "nobody waits for the records service"
            assert (await place.state()).spooled >= answered
        async with entered(place.records.service()):
            back = len(load.answered)
            await until(lambda: len(load.answered) > back + 40)
        again = len(load.answered)
        await until(lambda: len(load.answered) > again + 20)
        async with entered(place.records.service()):
            await load.end()
            state = await place.until_recorded()
            found = recorded(place.records.client().audited())
    assert load.failures == []
    assert state.lost == 0
    assert found == dict.fromkeys(load.answered, 1)
    print(f"proved: records away for {AWAY_SECONDS} s: {len(found)} questions answered, 0 failed, each recorded once")


async def test_a_sidecar_killed_at_any_moment_loses_no_answered_question(place: Pod) -> None:
    answered: list[str] = []
    chance = random.Random(7)  # noqa: S311 - the same kills every time
    for number in range(KILLS):
        async with AsyncExitStack() as stack:
            if number % 2:
                await stack.enter_async_context(entered(place.records.service()))
            process = await stack.enter_async_context(entered(place.sidecar()))
            load = Load(place.url, rate=150)
            async with load.running():
                enough = chance.randrange(10, 60)
                await until(lambda load=load, enough=enough: len(load.answered) > enough)
                process.kill()
                process.wait()
            answered += load.answered
    async with entered(place.records.service()), entered(place.sidecar()):
        state = await place.until_recorded()
        found = recorded(place.records.client().audited())
    assert state.lost == 0
    assert set(found.values()) == {1}
    assert set(answered) <= set(found)
    # One that was written when the kill came, just before its answer left, stands there too.
    assert len(found) < len(answered) + 12 * KILLS
    print(f"proved: {KILLS} sidecars killed under load: {len(answered)} questions answered, each recorded once")


async def test_a_pod_that_stops_hands_over_what_it_still_has(place: Pod) -> None:
    load = Load(place.url)
    async with entered(place.sidecar()) as process:
        async with load.running():
            await until(lambda: len(load.answered) > 30)
        process.terminate()
        await asyncio.sleep(2)
        assert process.poll() is None, "it waits for the records service"
        assert (await place.state()).spooled == len(load.answered)
        async with entered(place.records.service()):
            await asyncio.to_thread(process.wait, 20)
            assert process.returncode == 0
            assert recorded(place.records.client().audited()) == dict.fromkeys(load.answered, 1)


async def test_a_pod_whose_time_is_over_says_once_how_many_it_gives_up_and_ends(place: Pod) -> None:
    load = Load(place.url)
    async with entered(place.sidecar(ONESEEK_SPOOL_SECONDS="2")) as process:
        async with load.running():
            await until(lambda: len(load.answered) > 30)
        process.terminate()
        told = await place.until(lambda state: state.abandoned, within=15)
        assert told == len(load.answered)
        await asyncio.to_thread(process.wait, 20)
        assert process.returncode == 0
    assert f'"entries": {told}' in place.log.read_text()
    # The container alone may have ended: its next process finds all of it.
    async with entered(place.sidecar()), entered(place.records.service()):
        await place.until_recorded()
        assert recorded(place.records.client().audited()) == dict.fromkeys(load.answered, 1)


async def test_a_drained_pods_time_runs_from_the_moment_it_was_told(place: Pod) -> None:
    load = Load(place.url)
    async with entered(place.sidecar(ONESEEK_SPOOL_SECONDS="2")) as process:
        async with load.running():
            await until(lambda: len(load.answered) > 10)
        async with aiohttp.ClientSession() as client:
            url = f"https://127.0.0.1:{place.internal}/internal/drain"
            await (await client.post(url, json={}, **asking())).read()
        await asyncio.sleep(2)
        process.terminate()
        assert await place.until(lambda state: state.abandoned, within=4)
        await asyncio.to_thread(process.wait, 20)


async def test_with_a_full_spool_answers_go_on_and_the_loss_is_counted(place: Pod) -> None:
    load = Load(place.url, rate=100)
    async with entered(place.sidecar(ONESEEK_SPOOL_BYTES="20000")):
        async with load.running():
            await until(lambda: len(load.answered) > 80)
        state = await place.state()
        assert load.failures == []
        assert 0 < state.spooled < len(load.answered)
        assert state.spooled + state.lost == len(load.answered)
        async with entered(place.records.service()):
            await place.until_recorded()
            found = recorded(place.records.client().audited())
            assert len(found) == state.spooled
            assert list(found) == load.answered[: len(found)], "the oldest are kept"
        assert (await place.state()).lost == state.lost


async def test_an_entry_that_the_service_refuses_holds_no_other_back(place: Pod) -> None:
    spool = Spool.open(place.folder / "spool", limit=10**6)
    for number in (1, 2, 3, 4):
        answer = {
            "queryId": f"q{number}", "response": "", "confidence": 1.0, "metadata": {}, "model": "OQT-1.0", "version": "v1",
            "timestamp": "2025-11-30T12:00:00.250Z", "provenance": {"queryId": f"q{number}"},
        }  # fmt: skip
        entry = query_entry("?", answer)
        if number == 2:
            entry["query"]["version"] = 7
        spool.append("queries", encoded(entry))
    spool.append("of-a-newer-version", b"{}")
    spool.append("queries", encoded({**entry, "query": {**entry["query"], "queryId": "q5"}}))
    spool.close()
    async with entered(place.records.service()), entered(place.sidecar()):
        assert (await place.until_recorded()).lost == 2
        assert recorded(place.records.client().audited()) == dict.fromkeys(["q1", "q3", "q4", "q5"], 1)
        assert "query.version of q2 must be a text" in place.log.read_text()


async def test_the_token_may_be_away_or_renewed(place: Pod) -> None:
    token = place.records.folder / "sidecar" / "token"
    right = token.read_text()
    load = Load(place.url)
    async with entered(place.records.service()), entered(place.sidecar()):
        token.rename(token.with_name("right"))
        async with load.running():
            await until(lambda: len(load.answered) > 5)
        assert (await place.state()).spooled == len(load.answered)
        token.write_text("wrong")
        await until(lambda: "answered 401" in place.log.read_text() or "spooled" in place.log.read_text())
        assert (await place.state()).spooled == len(load.answered)
        token.write_text(right)
        await place.until_recorded()
        assert recorded(place.records.client().audited()) == dict.fromkeys(load.answered, 1)


async def test_a_client_finds_its_question_in_the_list_and_the_ledger_at_once(place: Pod) -> None:
    async with entered(place.records.service()), entered(place.sidecar()), aiohttp.ClientSession(place.url) as client:
        async with client.post("/api/oqt/query", json={"question": "Vem är du?"}) as answer:
            body = await answer.json()
        async with client.get("/api/oqt/queries?limit=1") as answer:
            listed = await answer.json()
        assert list(listed) == ["success", "queries", "count", "timestamp"]
        (query,) = listed["queries"]
        assert query["id"] == query["queryId"] == body["queryId"]
        assert query["question"] == "Vem är du?"
        for key in ("response", "confidence", "metadata", "model", "version"):
            assert query[key] == body[key]
        assert query["createdAt"].keys() == query["updatedAt"].keys() == {"_seconds", "_nanoseconds"}
        async with client.get("/api/oqt/ledger/verify") as answer:
            assert await answer.json() == {
                "success": True, "valid": True, "totalBlocks": 2, "verifiedBlocks": 2, "invalidBlocks": [],
                "integrity": 100,
            }  # fmt: skip
        async with client.get("/api/oqt/ledger/stats") as answer:
            stats = await answer.json()
        assert list(stats) == ["success", "totalBlocks", "typeBreakdown", "latestBlock"]
        assert stats["typeBreakdown"] == {"genesis": 1, "query": 1}
        assert stats["latestBlock"].keys() == {"blockNumber", "hash", "timestamp", "type"}


async def test_nothing_is_entered_into_an_older_copy_of_the_ledger_and_all_of_it_once_that_is_settled(
    on_disk: Place, tmp_path: Path
) -> None:
    model = with_micro(**NEVER)
    with on_disk.service():
        async with learning(on_disk, tmp_path / "pod", model=model) as item:
            said = {"type": names.RECORDS_AVAILABLE, "status": "False", "reason": names.LEDGER_ROLLED_BACK}
            model["status"]["conditions"] = [said]
            item.cluster.put("oneseekmodels", model)
            await item.deps.cluster.informer.until(lambda informer: ledger_held(informer.model) or None, seconds=10)
            status, body, _ = await item.json("POST", "/api/oqt/query", json={"question": "Vem är du?"})
            assert status == 200, "nobody waits for the ledger"
            status, taught, _ = await item.json("POST", "/api/oqt/micro-train", json=LESSON)
            assert (status, "the records are an older copy" in taught["message"]) == (503, True)
            await asyncio.sleep(0.5)
            assert item.deps.recorder is not None
            assert item.deps.recorder.spooled == 1
            assert len(on_disk.client().audited()) == 1, "the genesis block alone"
            model["status"]["conditions"] = [said | {"status": "True", "reason": "Recorded"}]
            item.cluster.put("oneseekmodels", model)
            async with asyncio.timeout(20):
                while item.deps.recorder.spooled:  # noqa: ASYNC110 - another task sends
                    await asyncio.sleep(0.02)
            assert recorded(on_disk.client().audited()) == {body["queryId"]: 1}
            assert (await item.json("POST", "/api/oqt/micro-train", json=LESSON))[0] == 200


async def test_with_records_away_the_routes_answer_as_the_old_service_without_its_database(place: Pod) -> None:
    async with entered(place.sidecar()), aiohttp.ClientSession(place.url) as client:
        async with client.get("/api/oqt/queries") as answer:
            body = await answer.json()
            assert (answer.status, body.pop("timestamp")[-1]) == (200, "Z")
            message = "No queries found or Firebase unavailable"
            assert body == {"success": True, "queries": [], "count": 0, "message": message}
        async with client.get("/api/oqt/ledger/verify") as answer:
            assert answer.status == 200
            assert await answer.json() == {
                "success": True, "valid": False, "error": "No blocks found", "totalBlocks": 0,
            }  # fmt: skip
        async with client.get("/api/oqt/ledger/stats") as answer:
            assert answer.status == 500
            assert await answer.json() == {"success": False, "error": "Failed to get ledger stats"}


async def test_the_limit_is_read_as_the_old_service_read_it(place: Pod) -> None:
    asked = {"": 50, "0": 50, "many": 50, "7": 7, "7.9": 7, " 3x": 3, "100": 100, "5000": 100, "-1": None}
    load = Load(place.url, rate=300)
    async with (
        entered(place.records.service()),
        entered(place.sidecar()),
        aiohttp.ClientSession(place.url) as client,
    ):
        async with load.running():
            await until(lambda: len(load.answered) > 110)
        for limit, count in asked.items():
            async with client.get("/api/oqt/queries", params={"limit": limit}) as answer:
                body = await answer.json()
            if count is None:
                assert (answer.status, body) == (400, {"success": False, "error": "Invalid limit parameter"})
            else:
                assert (body["count"], len(body["queries"])) == (count, count), limit
        async with client.get("/api/oqt/ledger/verify") as answer:
            body = await answer.json()
        assert (body["valid"], body["verifiedBlocks"]) == (True, len(load.answered) + 1), "past 100 blocks too"
