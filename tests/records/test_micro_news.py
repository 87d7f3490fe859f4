"""What sockets are told once a Micro run has ended: a real sidecar, a real records service, a cluster that a test plays."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp

from oneseek_core import names
from support.learning import (
    ANALYSIS,
    LESSON,
    MICRO,
    NEVER,
    NEW,
    RAW,
    WITHIN,
    annotated,
    learning,
    operate,
    post,
    with_micro,
)
from support.legacy import Service
from support.records import Place

CHANNEL, OTHER = "/ws/training?runId=micro-training", "/ws/training?runId=someone-elses"
DIGEST = "b" * 64
LONG = "Why " + "so " * 60 + "long?"


async def opened(item: Service, path: str) -> aiohttp.ClientWebSocketResponse:
    socket = await item.client.ws_connect(path)
    assert (await socket.receive_json())["type"] == "initial_state"
    return socket


async def told(socket: aiohttp.ClientWebSocketResponse, last: str = "dna_updated") -> list[dict[str, Any]]:
    """What comes until an event of that kind has come."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(WITHIN):
        while not found or found[-1]["type"] != last:
            found.append(await socket.receive_json())
    return found


def run_ends(item: Service, state: str = "certified", *, window: int = 1) -> None:
    operate(item, f"demo-micro-{window}", "Micro", state=state, dna=NEW)


async def test_who_listens_for_micro_training_is_told_each_stage_of_each_question_then_the_new_dna(
    quiet: Service,
) -> None:
    await post(quiet, MICRO, LESSON)
    await post(quiet, MICRO, {"question": LONG, "rawResponses": RAW[:1]})
    await quiet.deps.recorder.records.due(b'{"policy":{"minimumQuestions":1,"debounceSeconds":0,"maximumPerHour":9}}')  # type: ignore[union-attr]
    listening, other = await opened(quiet, CHANNEL), await opened(quiet, OTHER)
    operate(quiet, "demo-micro-1", "Micro", state="running")
    run = await quiet.deps.cluster.informer.until(lambda seen: next(iter(seen.runs), None), seconds=WITHIN)
    assert run, "the run under way is seen"
    run_ends(quiet)
    first, second, analysed, dna = await told(listening)
    about = {"run_id": "micro-training", "model": NEW, "run": "demo-micro-1", "timestamp": first["timestamp"]}
    result = {"method": "raw_response_training", "samples_processed": 2, "updated": True}
    question = {"question": LESSON["question"], "language": "sv"}
    assert first == {"type": "stage1_complete", **about, **question, "samples": 2, "result": result}
    assert (second["type"], second["question"], second["language"]) == ("stage1_complete", LONG[:100], "en")
    assert (second["samples"], len(second["question"])) == (1, 100)
    given = {"consensus": ANALYSIS["consensus"], "bias": ANALYSIS["bias"], "fairness": None}
    result = {"method": "analyzed_data_training", "metricsUpdated": True, **given}
    assert analysed == {"type": "stage2_complete", **about, **question, "result": result}
    assert dna == {"type": "dna_updated", **about, "state": "certified", "dna_hash": DIGEST, "total_samples": 3}
    operate(quiet, "someone-elses-7", "Major", state="running")
    run = quiet.cluster.objects["trainingruns"]["someone-elses-7"]
    quiet.cluster.put("trainingruns", {**run, "metadata": {**run["metadata"], "name": "someone-elses"}})
    assert (await other.receive_json())["type"] == "epoch_end", "its own run's news, and none of micro-training before"


async def test_where_nobody_listens_for_them_every_socket_is_told(eager: Service) -> None:
    await post(eager, MICRO, LESSON)
    await annotated(eager, names.WINDOW_MICRO)
    sockets = [await opened(eager, OTHER), await opened(eager, OTHER)]
    operate(eager, "demo-micro-1", "Micro", state="running")
    await eager.deps.cluster.informer.until(lambda seen: seen.runs or None, seconds=WITHIN)
    run_ends(eager, "rejected")
    for socket in sockets:
        events = await told(socket)
        assert [event["type"] for event in events] == ["stage1_complete", "stage2_complete", "dna_updated"]
        assert events[-1]["state"] == "rejected", "trained all the same; and that the gate refused it is said"


async def test_runs_that_had_ended_before_or_that_fail_are_no_news(quiet: Service) -> None:
    socket = await opened(quiet, CHANNEL)
    run_ends(quiet, window=1)
    operate(quiet, "demo-micro-2", "Micro", state="running")
    await quiet.deps.cluster.informer.until(lambda seen: len(seen.runs) == 2 or None, seconds=WITHIN)
    failed = quiet.cluster.objects["trainingruns"]["demo-micro-2"]
    stalled = {"type": "Stalled", "status": "True", "reason": "Diverged", "message": "NaN loss"}
    quiet.cluster.put("trainingruns", {**failed, "status": {**failed["status"], "conditions": [stalled]}})
    operate(quiet, "demo-micro-3", "Micro", state="running")
    await quiet.deps.cluster.informer.until(lambda seen: len(seen.runs) == 3 or None, seconds=WITHIN)
    run_ends(quiet, window=3)
    (only,) = await told(socket)
    assert only["run"] == "demo-micro-3"


async def test_with_records_away_the_dna_is_told_all_the_same(place: Place, tmp_path: Path) -> None:
    async with learning(place, tmp_path / "pod", model=with_micro(**NEVER)) as item:
        socket = await opened(item, CHANNEL)
        operate(item, "demo-micro-1", "Micro", state="running")
        await item.deps.cluster.informer.until(lambda seen: seen.runs or None, seconds=WITHIN)
        run_ends(item)
        (only,) = await told(socket)
    assert (only["type"], only["model"], only["dna_hash"]) == ("dna_updated", NEW, DIGEST)
