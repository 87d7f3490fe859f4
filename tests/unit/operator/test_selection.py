"""Which version answers beside rollbacks: pins, promotion by hand, probes, the watch, the quarantine, suspension."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oneseek_core import names
from support.choices import Texts, answers, dna_of, status_of, trained
from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest

DAY = timedelta(days=1)


async def test_a_pin_chooses_a_version_and_auto_goes_back_to_the_newest() -> None:
    world = await trained(3)
    second, third = dna_of(world, "second"), dna_of(world, "third")
    world.apply_as_user(model_manifest(version=second))
    await settle(world)
    assert answers(world) == second
    assert status_of(world)["previous"]["dna"] == third
    world.apply_as_user(model_manifest(version="auto"))
    await settle(world)
    assert answers(world) == third


async def test_a_pin_that_names_nothing_says_so_and_leaves_what_answers() -> None:
    world = await trained(1)
    unknown = "OneSeek-7B-Zero.v9.0.sv.dsIdentity.00000000.00000000"
    world.apply_as_user(model_manifest(version=unknown))
    await settle(world)
    assert answers(world) == dna_of(world, "first")
    stalled = condition(world, "OneSeekModel", "zero", "Stalled")
    assert stalled["reason"] == names.PINNED_VERSION_UNKNOWN
    assert unknown in stalled["message"]


async def test_in_manual_mode_a_proved_candidate_waits_until_it_is_promoted() -> None:
    world = await trained(0, promotion={"mode": "Manual"})
    await settle(world)
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    dna = dna_of(world, "first")
    status = status_of(world)
    assert answers(world) is None
    assert (status["candidate"]["dna"], status["versions"][0]["state"]) == (dna, "Candidate")
    assert "provedAt" in status["candidate"]
    told = condition(world, "OneSeekModel", "zero", "CandidateReady")
    assert (told["status"], told["reason"]) == ("True", names.WAITING_FOR_PROMOTION)
    assert condition(world, "OneSeekModel", "zero", "Reconciling") == {}, "it waits for a person, nothing is under way"
    asked = sum(world.analysed.values())
    for _ in range(10):
        await round_trip(world)
    assert sum(world.analysed.values()) == asked, "what has proved itself is not asked again"
    world.annotate_as_user("OneSeekModel", "zero", promote="candidate", requested_by="ada")
    await settle(world)
    assert answers(world) == dna
    assert status_of(world)["request"]["outcome"] == "Succeeded"
    promoted = next(item for item in world.ledger.values() if item.type == "promote")
    assert (promoted.actor.name, promoted.to) == ("ada", dna)


async def test_promoting_an_older_version_by_name_holds_until_a_newer_one_is_certified() -> None:
    world = await trained(2)
    first = dna_of(world, "first")
    world.annotate_as_user("OneSeekModel", "zero", promote=first)
    await settle(world)
    assert answers(world) == first
    assert status_of(world)["quarantine"] == []
    world.apply_as_user(run_manifest("third"))
    await settle(world)
    assert answers(world) == dna_of(world, "third")


async def test_a_quarantined_version_is_not_promoted_until_it_is_released() -> None:
    world = await trained(2)
    second = dna_of(world, "second")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", promote=second)
    await settle(world)
    assert status_of(world)["request"]["reason"] == names.VERSION_QUARANTINED
    world.annotate_as_user("OneSeekModel", "zero", release=second)
    await settle(world)
    assert answers(world) == second
    assert [item.type for item in world.ledger.values()][-3:] == ["rollback", "release", "promote"]


async def test_suspending_scales_to_zero_and_keeps_the_version() -> None:
    world = await trained(2)
    second = dna_of(world, "second")
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    assert not [key for key in world.objects if key[0] == "Pod" and "zero-" in key[2] and key[2].endswith("-0")]
    ready = condition(world, "OneSeekModel", "zero")
    assert (ready["status"], ready["reason"]) == ("False", names.SUSPENDED)
    assert status_of(world)["current"]["dna"] == second
    world.apply_as_user(run_manifest("third"))
    await settle(world)
    assert condition(world, "TrainingRun", "third")["reason"] == names.SUSPENDED
    world.apply_as_user(model_manifest(suspend=False))
    await settle(world)
    assert condition(world, "OneSeekModel", "zero")["status"] == "True"
    assert answers(world) == dna_of(world, "third")


async def test_a_rollback_while_suspended_is_what_answers_after_resuming() -> None:
    world = await trained(2)
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert status_of(world)["request"]["outcome"] == "Succeeded"
    world.apply_as_user(model_manifest(suspend=False))
    await settle(world)
    assert answers(world) == status_of(world)["current"]["dna"] == dna_of(world, "first")


async def test_a_wrong_answer_to_a_probe_rejects_the_candidate_at_once() -> None:
    probe = {"question": "Vem är du?", "mustContain": ["OneSeek"]}
    world = await trained(1, promotion={"probes": [probe]})
    first = dna_of(world, "first")

    world.texts = Texts("Jag är ChatGPT.", but={None, first})
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    status = status_of(world)
    assert answers(world) == first
    second = next(item for item in status["versions"] if item["run"] == "second")
    assert second["state"] == "Rejected"
    assert "lacks 'OneSeek'" in second["reason"]
    assert [item.type for item in world.ledger.values()][-1] == "reject"
    assert any(reason == "Rejected" and "ChatGPT" in message for _, reason, message in world.events)


async def test_a_new_template_of_what_answers_takes_over_whatever_it_says() -> None:
    world = await trained(1)
    world.texts = {None: "", dna_of(world, "first"): ""}
    before = status_of(world)["colour"]
    world.apply_as_user(
        model_manifest(serving={"engine": {"nodeSelector": {"gpu": "yes"}}}, promotion={"watch": {"seconds": 0}})
    )
    await settle(world)
    assert status_of(world)["colour"] != before
    assert answers(world) == dna_of(world, "first")
    assert status_of(world)["quarantine"] == []


async def test_a_watched_version_whose_answers_fail_goes_back_by_itself() -> None:
    world = await trained(2)
    first, second = dna_of(world, "first"), dna_of(world, "second")
    world.counts[second] = (100, 30)
    await settle(world)
    status = status_of(world)
    assert answers(world) == first
    assert [(item["dna"], item["reason"]) for item in status["quarantine"]] == [(second, names.WATCH_FAILED)]
    assert "30 of its 100 answers" in status["quarantine"][0]["message"]
    assert [item.type for item in world.ledger.values()][-2:] == ["quarantine", "rollback"]


async def test_once_the_watch_is_over_errors_are_somebody_elses_business() -> None:
    world = await trained(2)
    second = dna_of(world, "second")
    long_ago = (datetime.now(UTC) - DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    status_of(world)["current"]["since"] = long_ago
    world.counts[second] = (100, 30)
    await settle(world)
    assert answers(world) == second


async def test_what_a_person_went_back_to_is_not_watched() -> None:
    world = await trained(2)
    first = dna_of(world, "first")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    world.counts[first] = (100, 100)
    await settle(world)
    assert answers(world) == first


async def test_a_full_quarantine_stops_automatic_promotion() -> None:
    world = await trained(1)
    held = {"reason": "RolledBack", "message": "by hand", "since": "2026-01-01T00:00:00Z"}
    status_of(world)["quarantine"] = [{"dna": f"OneSeek-7B-Zero.v0.{n}", **held} for n in range(64)]
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert answers(world) == dna_of(world, "first")


@pytest.mark.parametrize("how", ["tampered", "rollback"])
async def test_a_full_quarantine_takes_what_must_not_answer_and_gives_up_what_nobody_could_choose(how: str) -> None:
    world = await trained(2)
    first, second = dna_of(world, "first"), dna_of(world, "second")
    held = {"reason": "RolledBack", "message": "by hand", "since": "2026-01-01T00:00:00Z"}
    status_of(world)["quarantine"] = [{"dna": f"OneSeek-7B-Zero.v0.{n}", **held} for n in range(64)]
    if how == "tampered":
        world.tampered.add(second)
    else:
        world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert answers(world) == first
    barred = [item["dna"] for item in status_of(world)["quarantine"]]
    assert (len(barred), barred[0], barred[-1]) == (64, "OneSeek-7B-Zero.v0.1", second)
