"""Going back by hand, to a version before or to the base model: what comes back, what never does, and for how long."""

from __future__ import annotations

from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import canonical_json
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_operator.model import status as model_status
from oneseek_operator.rollout import drain
from support.choices import answers, dna_of, status_of, trained
from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.world import World


async def test_a_rollback_brings_the_previous_version_back_and_quarantines_what_it_left() -> None:
    world = await trained()
    first, second = dna_of(world, "first"), dna_of(world, "second")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous", requested_by="ada")
    await settle(world)
    status = status_of(world)
    assert answers(world) == status["current"]["dna"] == first
    request = status["request"]
    assert (request["outcome"], request["dna"], request["requestedBy"]) == ("Succeeded", first, "ada")
    assert [(item["dna"], item["reason"]) for item in status["quarantine"]] == [(second, names.ROLLED_BACK)]
    assert world.objects[("OneSeekModel", "team", "zero")]["metadata"]["annotations"] == {}
    entries = list(world.ledger.values())[-2:]
    assert [(item.type, item.actor.name, item.actor.verified) for item in entries] == [
        ("quarantine", "ada", True),
        ("rollback", "ada", True),
    ]
    assert any(reason == "RequestSucceeded" for _, reason, _ in world.events)


async def test_previous_is_the_last_that_served_however_often_one_goes_back() -> None:
    world = await trained(3)
    first, second = dna_of(world, "first"), dna_of(world, "second")
    for moment, version in zip(("02", "01", "00"), status_of(world)["versions"], strict=True):
        version["servedAt"] = f"2026-01-01T00:{moment}:00Z"  # the three flips of this world take no time
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert (answers(world), status_of(world)["previous"]["dna"]) == (second, first)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert answers(world) == first
    assert "previous" not in status_of(world)


async def test_a_version_that_a_verifier_refuses_while_it_is_warm_is_previous_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain, "warm_seconds", lambda _: 3600)
    world = await trained(2, promotion={"strategy": "BlueGreen"})
    first = dna_of(world, "first")
    assert status_of(world)["previous"]["dna"] == first
    world.tampered.add(first)
    await settle(world)
    assert [item["dna"] for item in status_of(world)["quarantine"]] == [first]
    assert "previous" not in status_of(world)
    assert answers(world) == dna_of(world, "second")


async def test_a_crowded_status_that_has_no_room_for_old_versions_comes_to_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = await trained(3)
    entered = len(world.ledger)
    with monkeypatch.context() as crowded:
        crowded.setattr(model_status, "STATUS_LIMIT", len(canonical_json(status_of(world))) - 100)
        world.apply_as_user(model_manifest(serving={"replicas": 2}))
        await settle(world)
    assert dna_of(world, "first") not in {item["dna"] for item in status_of(world)["versions"]}
    world.apply_as_user(model_manifest(serving={"replicas": 1}))
    await settle(world)
    assert dna_of(world, "first") in {item["dna"] for item in status_of(world)["versions"]}, "there is room again"
    assert len(world.ledger) == entered


def made_again(world: World, **spec: Any) -> None:
    """`kubectl delete` of the model and `kubectl apply` of its manifest: its claim and its runs stay."""
    kept = status_of(world)["versions"]
    world.on_claim = [
        CertifiedVersion(dna=item["dna"], digest=item["digest"], created_at=item["createdAt"], run=item["run"])
        for item in kept
    ]
    world.remove(world.objects[("OneSeekModel", "team", "zero")])
    for key in [key for key, item in world.objects.items() if key[0] == "Pod" and key[2].startswith("zero-")]:
        del world.objects[key]
    world.apply_as_user(model_manifest(**spec))


async def test_a_rollback_holds_though_the_model_is_deleted_and_made_again() -> None:
    world = await trained(3)
    first, second, third = (dna_of(world, name) for name in ("first", "second", "third"))
    world.annotate_as_user("OneSeekModel", "zero", rollback=first, requested_by="ada")
    await settle(world)
    entered = [item.type for item in world.ledger.values()]
    made_again(world)
    await settle(world)
    status = status_of(world)
    assert answers(world) == status["current"]["dna"] == first, "not what was left, and nothing older than it either"
    assert [(item["dna"], item["reason"]) for item in status["quarantine"]] == [(third, names.ROLLED_BACK)]
    states = {item["dna"]: item["state"] for item in status["versions"]}
    assert states == {first: "Current", second: "Certified", third: "Quarantined"}
    assert [item.type for item in world.ledger.values()] == [*entered, "promote"], (
        "what was entered is not entered again"
    )
    world.apply_as_user(run_manifest("fourth"))
    await settle(world)
    assert answers(world) == dna_of(world, "fourth"), "a version certified later takes over"


async def test_what_was_released_is_free_when_the_model_is_made_again() -> None:
    world = await trained(2)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", release="all")
    await settle(world)
    made_again(world)
    await settle(world)
    assert (answers(world), status_of(world)["quarantine"]) == (dna_of(world, "second"), [])


async def test_in_manual_mode_a_model_that_is_made_again_answers_with_what_answered() -> None:
    world = await trained(1)
    manual = {"promotion": {"mode": "Manual"}}
    world.apply_as_user(model_manifest(**manual))
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert answers(world) == dna_of(world, "first")
    made_again(world, **manual)
    await settle(world)
    assert answers(world) == dna_of(world, "first")
    assert status_of(world)["candidate"]["dna"] == dna_of(world, "second"), "and that still waits for a person"


async def test_a_rollback_holds_however_often_the_manifest_is_applied_again() -> None:
    world = await trained()
    first, second = dna_of(world, "first"), dna_of(world, "second")
    pinned = model_manifest(version=second)
    world.apply_as_user(pinned)
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    for _ in range(30):
        world.apply_as_user(pinned)
        await round_trip(world)
    await settle(world)
    assert answers(world) == first
    ready = condition(world, "OneSeekModel", "zero")
    assert (ready["status"], ready["reason"]) == ("False", names.PINNED_VERSION_QUARANTINED)
    assert "release it" in ready["message"]
    world.annotate_as_user("OneSeekModel", "zero", release=second)
    await settle(world)
    assert answers(world) == second, "Git wins again once the quarantine is lifted"
    assert condition(world, "OneSeekModel", "zero")["status"] == "True"


async def test_after_a_rollback_only_versions_certified_later_are_promoted_by_themselves() -> None:
    world = await trained(3)
    first = dna_of(world, "first")
    world.annotate_as_user("OneSeekModel", "zero", rollback=first)
    await settle(world)
    assert answers(world) == first, "and not the second, which is newer but was known then"
    world.apply_as_user(run_manifest("fourth"))
    await settle(world)
    assert answers(world) == dna_of(world, "fourth")


async def test_another_pin_in_git_ends_a_rollback() -> None:
    world = await trained(3)
    first, second, third = (dna_of(world, name) for name in ("first", "second", "third"))
    world.apply_as_user(model_manifest(version=third))
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", rollback=first)
    await settle(world)
    assert answers(world) == first
    world.apply_as_user(model_manifest(version=second))
    await settle(world)
    assert answers(world) == second
    assert condition(world, "OneSeekModel", "zero")["status"] == "True"


async def test_going_back_to_the_base_model() -> None:
    world = await trained(1)
    world.annotate_as_user("OneSeekModel", "zero", rollback="base")
    await settle(world)
    assert answers(world) is None
    assert status_of(world)["request"]["outcome"] == "Succeeded"
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING
