"""What reaches the ledger: every transition once, whatever it refuses, and what waits while it is away."""

from __future__ import annotations

import itertools

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_operator.model import ledger
from oneseek_operator.reconcile.model import reconcile as reconcile_model
from support.driver import condition, round_trip, settle
from support.ledgers import transition
from support.makers import HELDOUT, SETTINGS, model_manifest, run_manifest
from support.world import World


async def test_every_transition_is_in_the_ledger_once() -> None:
    world = World()
    world.scores = {"first": 0.9, "second": 0.1}
    gate = {"gate": {"minimumScores": {"factsContained": 0.5}}}
    world.apply_as_user(model_manifest(training=HELDOUT, promotion=gate))
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    dna = world.objects[("OneSeekModel", "team", "zero")]["status"]["current"]["dna"]
    world.tampered.add(dna)
    await settle(world)
    steps = [entry.type for entry in world.ledger.values()]
    assert steps == [
        "train",
        "evaluate",
        "certify",
        "promote",
        "train",
        "evaluate",
        "certify",
        "reject",
        "quarantine",
        "rollback",
    ]
    promoted = next(entry for entry in world.ledger.values() if entry.type == "promote")
    assert (promoted.from_, promoted.to, promoted.object.kind) == (None, dna, "OneSeekModel")
    trained = next(entry for entry in world.ledger.values() if entry.type == "train")
    assert (trained.object.kind, trained.object.name) == ("TrainingRun", "first")
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["outbox"] == []
    assert status["ledger"]["height"] == len(world.ledger) + 1


async def test_a_transition_that_the_ledger_refuses_holds_no_other_back_and_is_said() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.refused_transitions = {"train"}
    world.apply_as_user(run_manifest())
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert [entry.type for entry in world.ledger.values()] == ["certify", "promote"]
    assert [item["type"] for item in status["outbox"]] == ["train"], "never dropped in silence"
    recorded = condition(world, "OneSeekModel", "zero", "RecordsAvailable")
    assert (recorded["status"], recorded["reason"]) == ("False", names.TRANSITION_REFUSED)
    assert "train" in recorded["message"]
    world.refused_transitions = set()
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", "RecordsAvailable")["reason"] == "Recorded"
    assert world.objects[("OneSeekModel", "team", "zero")]["status"]["outbox"] == []


def test_a_full_outbox_keeps_the_oldest_and_names_what_it_drops() -> None:
    entries = [transition(f"k{number}") for number in range(ledger.OUTBOX_LIMIT + 2)]
    kept, dropped = ledger.outbox(entries[:-3], ["k0"], entries[-3:])
    assert [item.idempotency_key for item in (kept[0], kept[-1])] == ["k1", f"k{ledger.OUTBOX_LIMIT}"]
    assert [item.idempotency_key for item in dropped] == [f"k{ledger.OUTBOX_LIMIT + 1}"]


async def test_records_in_firestore_without_an_image_for_them_are_said_and_serving_goes_on() -> None:
    world = World()
    firestore = {"projectID": "team-records", "emulatorHost": "emulator:8080"}
    world.apply_as_user(model_manifest(records={"firestore": firestore}))
    await settle(world)
    told = condition(world, "OneSeekModel", "zero", "RecordsAvailable")
    assert (told["status"], told["reason"]) == ("False", names.RECORDS_UNAVAILABLE)
    assert "set the chart's images.firestore" in told["message"]
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "the base model answers"
    assert ("StatefulSet", "team", "zero-records") not in world.objects


async def test_answered_questions_that_raise_the_ledgers_head_write_no_status() -> None:
    world = World()
    world.apply_as_user(model_manifest(promotion={"mode": "Manual"}))
    world.apply_as_user(run_manifest())
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["candidate"]["dna"], "it waits to be promoted, and the ledger is asked while it does"
    heights = itertools.count(100)

    async def rising() -> LedgerHead:
        return LedgerHead(height=next(heights), head="1" * 64)

    world.head = rising  # type: ignore[method-assign]
    before = sum(world.writes.values())
    for _ in range(10):
        await round_trip(world)
    assert next(heights) > 100, "it was asked"
    assert sum(world.writes.values()) == before


async def test_a_ledger_that_never_answered_is_asked_again_though_nothing_waits_for_it() -> None:
    world = World()
    world.records_away = True
    world.apply_as_user(model_manifest())
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", "RecordsAvailable")["status"] == "False"
    assert world.objects[("OneSeekModel", "team", "zero")]["status"]["outbox"] == []
    told = await reconcile_model(
        "team", "zero", cluster=world, sidecars=world, records=world, authority=world, settings=SETTINGS
    )
    assert told is not None
    assert told <= 10


async def test_with_the_ledger_away_serving_goes_on_and_promotion_waits() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.records_away = True
    world.apply_as_user(run_manifest())
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert "current" not in status
    assert condition(world, "OneSeekModel", "zero")["status"] == "True", "the base model answers"
    assert condition(world, "OneSeekModel", "zero", "Reconciling")["reason"] == names.RECORDS_UNAVAILABLE
    assert condition(world, "OneSeekModel", "zero", "RecordsAvailable")["status"] == "False"
    assert [item["type"] for item in status["outbox"]] == ["train", "certify"]
    world.records_away = False
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["current"]["dna"].startswith("OneSeek-7B-Zero.v1.0.")
    assert [entry.type for entry in world.ledger.values()] == ["train", "certify", "promote"]


async def test_with_the_ledger_away_going_back_from_a_bad_version_does_not_wait() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    before = world.objects[("OneSeekModel", "team", "zero")]["status"]
    world.records_away = True
    world.tampered.add(before["current"]["dna"])
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["current"]["dna"] == before["previous"]["dna"]
    assert [item["type"] for item in status["outbox"]] == ["quarantine", "rollback"]
