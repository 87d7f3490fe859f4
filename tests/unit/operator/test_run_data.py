"""Rows that were not trained: counted in the status, told in an Event, entered into the ledger, given to certify."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import DataCounts, RowCount
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_operator.observe.run import rows_text
from oneseek_operator.run.data import rows_events
from support.driver import condition, settle
from support.makers import HELDOUT, model_manifest, run_manifest
from support.world import World
from support.world.nodes import DIGEST


def request_of(world: World, job: str) -> dict[str, Any]:
    main = world.objects[("Job", "team", job)]["spec"]["template"]["spec"]["containers"][0]
    found: dict[str, Any] = json.loads(next(item["value"] for item in main["env"] if item["name"] == names.REQUEST_ENV))
    return found


async def story(world: World) -> dict[str, Any]:
    world.apply_as_user(model_manifest(training=HELDOUT))
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    status: dict[str, Any] = world.objects[("TrainingRun", "team", "first")]["status"]
    return status


async def test_rows_left_out_or_cut_are_counted_told_and_entered_with_their_reasons() -> None:
    world = World()
    world.left_out = {"prepare": {names.LEFT_OUT_HELD_OUT: 4}, "train": {names.LEFT_OUT_TOO_LONG: 2}}
    world.cut = 1
    status = await story(world)
    assert status["data"] == {
        "rows": 7,
        "trained": 1,
        "cut": 1,
        "leftOut": [{"reason": "HeldOutQuestion", "rows": 4}, {"reason": "PromptTooLong", "rows": 2}],
    }
    text = "6 of 7 rows left out (4 HeldOutQuestion, 2 PromptTooLong); 1 answer cut"
    told = [message for name, reason, message in world.events if (name, reason) == ("first", names.ROWS_LEFT_OUT)]
    assert told == [f"1 rows trained; {text} at maximumLength=512; see status.data"]
    assert condition(world, "TrainingRun", "first")["message"].endswith(text)
    trained = next(entry for entry in world.ledger.values() if entry.type == "train")
    assert trained.reason == f"1 samples; {text}"


async def test_certify_is_told_what_the_jobs_that_measured_it_reported() -> None:
    world = World()
    world.left_out = {"train": {names.LEFT_OUT_TOO_LONG: 2}}
    await story(world)
    asked = CertifyRequest.model_validate(request_of(world, "first-certify"))
    assert asked.samples == 1, "what train learnt from, not the 3 rows that prepare read"
    assert asked.data is not None
    assert asked.data.trained == 1
    assert (asked.weights_digest, asked.report_digest, asked.scores_digest) == (DIGEST, DIGEST, DIGEST)


async def test_where_every_row_was_trained_whole_nothing_is_said_of_it() -> None:
    world = World()
    status = await story(world)
    assert status["data"] == {"rows": 3, "trained": 3, "cut": 0, "leftOut": []}
    assert names.ROWS_LEFT_OUT not in [reason for _, reason, _ in world.events]
    assert next(entry for entry in world.ledger.values() if entry.type == "train").reason == "3 samples"


async def test_a_run_evaluated_by_the_release_before_is_certified_with_the_digest_of_its_scores() -> None:
    world = World()
    world.hold_jobs.add("first-certify")
    status = await story(world)
    assert status["scores"]["questions"] == 24
    del status["resolved"]["scoresDigest"]
    world.remove(world.objects[("Job", "team", "first-certify")])
    world.hold_jobs.clear()
    await settle(world)
    assert request_of(world, "first-certify")["scoresDigest"] == DIGEST
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (None, ""),
        (DataCounts(rows=2, trained=2, cut=0), ""),
        (DataCounts(rows=2, trained=2, cut=2), "; 2 answers cut"),
        (DataCounts(rows=2, left_out=[RowCount(reason="NoAnswer", rows=1)]), "; 1 of 2 rows left out (1 NoAnswer)"),
    ],
)
def test_the_sentence_names_what_there_is(data: DataCounts | None, text: str) -> None:
    assert rows_text(data) == text
    if data is not None:
        assert bool(rows_events(data, 512)) is bool(text)
