"""What people ask for by annotation: done once, said how it ended, and no self-heal undoes it."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import canonical_json
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_operator.decide import bounds, letting_go
from support.driver import condition, round_trip, settle
from support.makers import model_manifest, run_manifest
from support.world import World
from support.world.api_server import Crash
from support.world.nodes import failed

DAY = timedelta(days=1)


def status_of(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.objects[("OneSeekModel", "team", "zero")]["status"]
    return found


def answers(world: World) -> str | None:
    """What the pod that the Service selects reports."""
    colour = world.objects[("Service", "team", "zero")]["spec"]["selector"][names.LABEL_COLOUR]
    item = world.objects[("Deployment", "team", f"zero-{colour}")]
    return item["metadata"]["annotations"][names.ANNOTATION_DNA] or None


def dna_of(world: World, run: str) -> str:
    found: str = world.objects[("TrainingRun", "team", run)]["status"]["dna"]
    return found


async def trained(count: int = 2, **spec: Any) -> World:
    """A model with `count` versions, each of which took over from the one before."""
    world = World()
    world.apply_as_user(model_manifest(**spec))
    for name in ("first", "second", "third")[:count]:
        world.apply_as_user(run_manifest(name))
        await settle(world)
    return world


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
        ("quarantine", "ada", False),
        ("rollback", "ada", False),
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
    monkeypatch.setattr(letting_go, "warm_seconds", lambda _: 3600)
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
        crowded.setattr(bounds, "LIMIT", len(canonical_json(status_of(world))) - 100)
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
    probes = sum(world.probes.values())
    for _ in range(10):
        await round_trip(world)
    assert sum(world.probes.values()) == probes, "what has proved itself is not asked again"
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

    class Texts(dict[Any, str]):
        def get(self, key: Any, default: Any = None) -> Any:
            return default if key in (None, first) else "Jag är ChatGPT."

    world.texts = Texts()
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
