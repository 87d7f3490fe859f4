"""What people ask for by annotation: done once, said how it ended, and no self-heal undoes it."""

from __future__ import annotations

import copy
import json
from datetime import timedelta
from typing import Any

import pytest

from oneseek_core import names
from support.choices import answers, dna_of, status_of, trained
from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.world import World
from support.world.api_server import Crash
from support.world.nodes import failed

DAY = timedelta(days=1)
REFUSED = [
    pytest.param(
        {"rollback": "OneSeek-7B-Zero.v9.0"}, names.NO_SUCH_VERSION, "there is no certified version", id="unknown"
    ),
    pytest.param({"promote": "candidate"}, names.NO_CANDIDATE, "no candidate waits", id="no-candidate"),
    pytest.param({"release": "all"}, names.NOT_QUARANTINED, "it is empty", id="nothing-to-release"),
    pytest.param({"reset": "yes"}, names.NOT_CONFIRMED, "needs RESET", id="reset-unconfirmed"),
]


@pytest.mark.parametrize(("asked", "reason", "sentence"), REFUSED)
async def test_a_request_that_cannot_be_followed_is_refused_with_its_reason(
    asked: dict[str, str], reason: str, sentence: str
) -> None:
    world = await trained(1)
    before = answers(world)
    world.annotate_as_user("OneSeekModel", "zero", **asked)
    await settle(world)
    request = status_of(world)["request"]
    assert (request["outcome"], request["reason"]) == ("Refused", reason)
    assert sentence in request["message"]
    assert answers(world) == before
    assert world.objects[("OneSeekModel", "team", "zero")]["metadata"]["annotations"] == {}
    assert any(why == reason for _, why, _ in world.events)


async def test_without_a_previous_version_rollback_says_what_to_name() -> None:
    world = await trained(1)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    request = status_of(world)["request"]
    assert (request["outcome"], request["reason"]) == ("Refused", names.NO_PREVIOUS_VERSION)


async def test_a_pin_refuses_promote_and_reset() -> None:
    world = await trained(2)
    world.apply_as_user(model_manifest(version=dna_of(world, "second")))
    for asked in ({"promote": dna_of(world, "first")}, {"reset": "RESET"}):
        world.annotate_as_user("OneSeekModel", "zero", **asked)
        await settle(world)
        assert status_of(world)["request"]["reason"] == names.PINNED_BY_GIT
    assert answers(world) == dna_of(world, "second")


@pytest.mark.parametrize("how", ["last-applied", "apply-manager", "helm"])
async def test_a_request_in_a_manifest_is_refused_once_and_does_nothing(how: str) -> None:
    world = await trained(2)
    second = dna_of(world, "second")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    meta = world.objects[("OneSeekModel", "team", "zero")]["metadata"]
    fields = {"f:metadata": {"f:annotations": {"f:oneseek.io/rollback": {}}}}
    if how == "last-applied":
        applied = {"metadata": {"annotations": {"oneseek.io/rollback": "previous"}}}
        meta["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = json.dumps(applied)
    else:
        entry = (
            {"manager": "helm", "operation": "Update"} if how == "helm" else {"manager": "flux", "operation": "Apply"}
        )
        meta["managedFields"] = [{**entry, "fieldsV1": fields}]
    await settle(world)
    request = status_of(world)["request"]
    assert (request["outcome"], request["reason"]) == ("Refused", names.REQUEST_IN_MANIFEST)
    writes, events = sum(world.writes.values()), len(world.events)
    for _ in range(20):
        await round_trip(world)
    assert (sum(world.writes.values()), len(world.events)) == (writes, events)
    assert answers(world) == second
    # A request by hand still works beside it, and its outcome stays to be read.
    world.annotate_as_user("OneSeekModel", "zero", release="all")
    await settle(world)
    assert status_of(world)["request"]["verb"] == "release"


async def test_a_reset_leaves_the_base_model_the_ledger_and_the_counters() -> None:
    world = await trained(3)
    world.hold_jobs.add("fourth-train")
    world.apply_as_user(run_manifest("fourth"))
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET", requested_by="ada")
    await settle(world)
    status = status_of(world)
    assert status["request"]["outcome"] == "Succeeded", status["request"]
    assert answers(world) is None
    assert {item["state"] for item in status["versions"]} == {"Deleted"}
    assert (status["quarantine"], status["counters"]) == ([], {"major": 3, "micro": 0})
    assert "current" not in status
    assert "previous" not in status
    assert condition(world, "TrainingRun", "fourth")["reason"] == names.MODEL_RESET
    assert ("Job", "team", "fourth-train") not in world.objects
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING
    kinds = [item.type for item in world.ledger.values()]
    assert kinds[-2:] == ["rollback", "reset"]
    assert list(world.ledger.values())[-1].actor.name == "ada"
    world.apply_as_user(run_manifest("fifth"))
    await settle(world)
    assert dna_of(world, "fifth").startswith("OneSeek-7B-Zero.v4.0."), "numbers are never reused"
    assert answers(world) == dna_of(world, "fifth")


async def test_a_reset_waits_until_a_stopped_run_seals_nothing_any_more() -> None:
    world = await trained(1)
    world.hold_jobs.add("second-certify")
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    template = world.objects[("Job", "team", "second-certify")]["spec"]["template"]
    labels = template["metadata"]["labels"] | {"batch.kubernetes.io/job-name": "second-certify"}
    meta = {"name": "second-certify-pod", "namespace": "team", "uid": "p", "labels": labels}
    pod = {"kind": "Pod", "metadata": meta, "spec": template["spec"], "status": {"phase": "Running"}}
    world.objects[("Pod", "team", "second-certify-pod")] = pod
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    assert ("Job", "team", "second-certify") not in world.objects
    request = status_of(world)["request"]
    assert (request["outcome"], "second-certify-pod" in request["message"]) == ("Pending", True)
    assert not [name for name in world.created_jobs if name.startswith("zero-reset-")]
    del world.objects[("Pod", "team", "second-certify-pod")]
    await settle(world)
    assert status_of(world)["request"]["outcome"] == "Succeeded"


async def test_a_crash_as_a_reset_stops_a_run_leaves_no_job_of_it_at_work() -> None:
    prepared = await trained(1)
    prepared.hold_jobs.add("second-train")
    prepared.apply_as_user(run_manifest("second"))
    await settle(prepared)
    prepared.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    for at in range(1, 9):
        world = copy.deepcopy(prepared)
        world.crash_at, world.crash_after_effect = sum(world.writes.values()) + at, True
        with pytest.raises(Crash):
            await settle(world)
        await settle(world)
        assert status_of(world)["request"]["outcome"] == "Succeeded", f"crash at write {at}"
        assert ("Job", "team", "second-train") not in world.objects, f"crash at write {at}"


async def test_with_the_ledger_away_a_reset_and_a_promotion_wait_and_a_rollback_does_not() -> None:
    world = await trained(2)
    world.records_away = True
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert status_of(world)["request"]["outcome"] == "Succeeded"
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    assert status_of(world)["request"]["outcome"] == "Pending"
    assert condition(world, "OneSeekModel", "zero", "Reconciling")["reason"] == names.RECORDS_UNAVAILABLE
    assert answers(world) == dna_of(world, "first")
    world.records_away = False
    await settle(world)
    assert status_of(world)["request"]["outcome"] == "Succeeded"
    assert answers(world) is None


@pytest.mark.parametrize(
    ("verb", "value"), [("reset", "RESET"), ("acknowledge-ledger", "0" * 64), ("promote", "candidate")]
)
async def test_a_rollback_does_not_stand_behind_a_request_that_waits_for_the_ledger(verb: str, value: str) -> None:
    world = await trained(2)
    world.records_away = True
    if verb == "promote":
        world.apply_as_user(model_manifest(promotion={"mode": "Manual"}))
        world.apply_as_user(run_manifest("third"))
        await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", **{verb: value})
    await settle(world)
    assert (status_of(world)["request"]["verb"], status_of(world)["request"]["outcome"]) == (verb, "Pending")
    world.annotate_as_user("OneSeekModel", "zero", rollback=dna_of(world, "first"))
    await settle(world)
    assert (status_of(world)["request"]["verb"], status_of(world)["request"]["outcome"]) == ("rollback", "Succeeded")
    assert answers(world) == dna_of(world, "first")
    assert ("zero", "Superseded") in {event[:2] for event in world.events}
    world.records_away = False
    await settle(world)
    assert answers(world) == dna_of(world, "first")


async def test_retrying_a_failed_run_goes_on_where_it_failed() -> None:
    world = World()
    world.job_failures["first-train"] = {"exitCode": 1, "reason": "Error", "message": "no space"}
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    assert condition(world, "TrainingRun", "first", "Stalled")
    world.annotate_as_user("TrainingRun", "first", retry="true", requested_by="ada")
    await settle(world)
    run = world.objects[("TrainingRun", "team", "first")]["status"]
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED
    assert (run["request"]["outcome"], run["attempts"]) == ("Succeeded", 2)
    assert world.created_jobs["first-prepare"] == 1, "data that was prepared is kept"
    world.annotate_as_user("TrainingRun", "first", retry="true")
    await settle(world)
    run = world.objects[("TrainingRun", "team", "first")]["status"]
    assert (run["request"]["outcome"], run["request"]["reason"]) == ("Refused", names.NOT_FINISHED)
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED


ASKED = [
    pytest.param({"rollback": "previous"}, id="rollback"),
    pytest.param({"promote": "FIRST"}, id="promote"),
    pytest.param({"reset": "RESET"}, id="reset"),
]


def outcome(world: World) -> dict[str, Any]:
    status = status_of(world)
    return {
        "answers": answers(world),
        "request": {key: status["request"][key] for key in ("verb", "outcome", "reason")},
        "states": [(item["run"], item["state"]) for item in status["versions"]],
        "quarantine": [(item["dna"], item["reason"]) for item in status["quarantine"]],
        "ledger": [item.type for item in world.ledger.values()],
        "notes": world.objects[("OneSeekModel", "team", "zero")]["metadata"].get("annotations", {}),
    }


async def test_a_run_that_is_retried_while_another_is_under_way_waits_for_its_turn() -> None:
    world = await trained(0)
    world.job_failures["first-prepare"] = failed(names.DATASET_NOT_FOUND, "no such key")
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.job_failures.clear()
    world.hold_jobs.add("second-train")
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    world.annotate_as_user("TrainingRun", "first", retry="true")
    await settle(world)
    told = condition(world, "TrainingRun", "first")
    assert (told["reason"], "'second'" in told["message"]) == (names.QUEUED, True)
    assert world.objects[("TrainingRun", "team", "first")]["status"]["request"]["outcome"] == "Succeeded"
    assert world.created_jobs["first-prepare"] == 1, "preparing would remove what the other run trains on"
    world.hold_jobs.clear()
    await settle(world)
    reasons = [condition(world, "TrainingRun", name)["reason"] for name in ("first", "second")]
    assert reasons == [names.CERTIFIED, names.CERTIFIED]
    assert len({dna_of(world, "first"), dna_of(world, "second")}) == 2


async def test_a_run_whose_staging_another_run_has_removed_starts_from_the_beginning() -> None:
    world = await trained(0)
    world.job_failures["first-certify"] = failed(names.STORAGE_FULL, "no room", 21)
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.job_failures.clear()
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    world.annotate_as_user("TrainingRun", "first", retry="true")
    await settle(world)
    run = world.objects[("TrainingRun", "team", "first")]["status"]
    assert condition(world, "TrainingRun", "first")["reason"] == names.CERTIFIED
    assert [world.created_jobs[f"first-{step}"] for step in ("prepare", "train", "certify")] == [2, 2, 2]
    assert run["dna"].startswith("OneSeek-7B-Zero.v2.0."), "numbers are not given twice"


@pytest.mark.parametrize("after", [False, True], ids=["before-the-effect", "after-the-effect"])
@pytest.mark.parametrize("asked", ASKED)
async def test_a_crash_at_any_write_of_a_request_ends_in_the_same_place(asked: dict[str, str], *, after: bool) -> None:
    prepared = await trained(2)

    async def story(crash_at: int | None) -> tuple[World, int]:
        world = copy.deepcopy(prepared)
        start = sum(world.writes.values())
        what = {key: dna_of(world, "first") if value == "FIRST" else value for key, value in asked.items()}
        world.annotate_as_user("OneSeekModel", "zero", **what)
        if crash_at is not None:
            world.crash_at, world.crash_after_effect = start + crash_at, after
        try:
            await settle(world)
        except Crash:
            await settle(world)
        return world, sum(world.writes.values()) - start

    reference, total = await story(None)
    assert reference.objects
    assert total >= 5
    for at in range(1, total + 1):
        world, _ = await story(at)
        assert outcome(world) == outcome(reference), f"crash at write {at}"
