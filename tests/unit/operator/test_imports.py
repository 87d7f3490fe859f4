"""Versions from elsewhere over the simulated cluster: taken in once, refused with a reason, never in anybody's way."""

from __future__ import annotations

from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.dna import Dna
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_operator.resources import imports as build
from support.driver import condition, round_trip, settle
from support.ledgers import transition
from support.makers import DIGEST, SETTINGS, model_manifest, run_manifest
from support.world import World
from support.world.api_server import Crash
from support.world.nodes import failed

PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE\n-----END PUBLIC KEY-----\n"
CREATED = "2026-01-01T00:00:00.000Z"
PATH, IMAGE = {"path": "imports/three"}, {"image": "registry.example/versions:v3"}


def version(major: int, digit: str = "3", **more: Any) -> CertifiedVersion:
    dna = Dna("OneSeek-7B-Zero", major, 0, "sv", ("Identity",), digit * 8, "a" * 8)
    told = {"dna": str(dna), "digest": "sha256:" + digit * 64, "created_at": CREATED, "run": "elsewhere"}
    return CertifiedVersion(**told | more)


def importing(*entries: dict[str, str], **spec: Any) -> dict[str, Any]:
    return model_manifest(imports=list(entries), **spec)


def world_with(**holds: CertifiedVersion) -> World:
    world = World()
    world.importable = {f"path imports/{name}": item for name, item in holds.items()}
    return world


def status(world: World) -> dict[str, Any]:
    found: dict[str, Any] = world.objects[("OneSeekModel", "team", "zero")]["status"]
    return found


def import_jobs(world: World) -> list[str]:
    return sorted(name for kind, _, name in world.objects if kind == "Job" and "-import-" in name)


async def test_an_imported_version_is_known_promoted_and_in_the_ledger_once() -> None:
    world = world_with(three=version(3))
    world.apply_as_user(importing(PATH))
    await settle(world)
    assert [(item["dna"], item["state"], item["run"]) for item in status(world)["versions"]] == [
        (version(3).dna, "Current", "elsewhere")
    ]
    assert status(world)["counters"] == {"major": 3, "micro": 0}
    assert [(row["source"], row["state"], row["dna"]) for row in status(world)["imports"]] == [
        ("path imports/three", "Imported", version(3).dna)
    ]
    told = condition(world, "OneSeekModel", "zero", names.IMPORTED)
    assert (told["status"], told["reason"], version(3).dna in told["message"]) == ("True", "Imported", True)
    assert [entry.type for entry in world.ledger.values()] == ["import", "promote"]
    entry = next(iter(world.ledger.values()))
    assert (entry.dna, entry.digest) == (version(3).dna, version(3).digest)
    assert entry.reason.startswith("path imports/three, signed by key ffff")
    assert ("zero", "Imported") in [event[:2] for event in world.events]
    assert all(count == 1 for count in world.created_jobs.values())
    before = sum(world.writes.values())
    for _ in range(10):
        await round_trip(world)
    assert sum(world.writes.values()) == before, "idle costs nothing"


async def test_a_training_run_afterwards_gets_a_number_above_the_imported() -> None:
    world = world_with(three=version(3))
    world.apply_as_user(importing(PATH))
    await settle(world)
    world.apply_as_user(run_manifest())
    await settle(world)
    assert status(world)["current"]["dna"].startswith("OneSeek-7B-Zero.v4.0.")


async def test_a_refused_import_is_told_and_the_model_goes_on() -> None:
    world = world_with(three=version(3))
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    world.apply_as_user(importing(PATH))
    name = "zero-import-" + names.short_hash("path imports/three")
    world.job_failures[name] = failed(names.SIGNATURE_UNTRUSTED, "made with the key 0a1b…, which is not trusted", 15)
    await settle(world)
    told = condition(world, "OneSeekModel", "zero", names.IMPORTED)
    assert (told["status"], told["reason"]) == ("False", names.SIGNATURE_UNTRUSTED)
    assert "path imports/three is refused: made with the key 0a1b…" in told["message"]
    assert f"kubectl delete job {name}" in told["message"]
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.SERVING
    assert condition(world, "OneSeekModel", "zero")["status"] == "True"
    assert [event[1] for event in world.events].count(names.SIGNATURE_UNTRUSTED) == 1
    assert "import" not in {entry.type for entry in world.ledger.values()}
    assert world.created_jobs[name] == 1, "not tried again by itself"


async def test_a_refused_import_is_tried_again_when_its_job_is_deleted() -> None:
    world = world_with(three=version(3))
    name = "zero-import-" + names.short_hash("path imports/three")
    world.job_failures[name] = failed(names.SIGNATURE_UNTRUSTED, "not trusted", 15)
    world.apply_as_user(importing(PATH))
    await settle(world)
    world.job_failures.clear()
    world.remove(world.objects[("Job", "team", name)])
    await settle(world)
    assert condition(world, "OneSeekModel", "zero", names.IMPORTED)["status"] == "True"
    assert status(world)["current"]["dna"] == version(3).dna
    world.remove(world.objects[("Job", "team", name)])
    await settle(world)
    assert world.created_jobs[name] == 2, "what was imported is not imported again"


async def test_a_refused_import_is_tried_again_when_other_keys_are_trusted_and_only_then() -> None:
    world = world_with(three=version(3))
    name = "zero-import-" + names.short_hash("path imports/three")
    world.job_failures[name] = failed(names.SIGNATURE_UNTRUSTED, "not trusted", 15)
    world.apply_as_user(importing(PATH))
    await settle(world)
    world.job_failures.clear()
    world.apply_as_user(importing(PATH, serving={"replicas": 1}))
    await settle(world)
    assert world.created_jobs[name] == 1, "another change of the spec tells nothing about keys"
    world.apply_as_user(importing(PATH, certification={"trustedKeys": [PUBLIC_KEY]}))
    await settle(world)
    assert world.created_jobs[name] == 2
    assert condition(world, "OneSeekModel", "zero", names.IMPORTED)["status"] == "True"
    assert status(world)["current"]["dna"] == version(3).dna
    world.apply_as_user(importing(PATH))
    await settle(world)
    assert world.created_jobs[name] == 2, "what was imported is not imported again"


async def test_an_import_into_a_full_outbox_pushes_nothing_out_and_is_told() -> None:
    world = world_with(three=version(3))
    world.apply_as_user(model_manifest())
    await settle(world)
    world.records_away = True
    waiting = [transition(f"key-{number}").to_wire() for number in range(32)]
    world.apply_as_user(importing(PATH))
    status(world)["outbox"] = waiting
    await settle(world)
    assert [item["idempotencyKey"] for item in status(world)["outbox"]] == [f"key-{n}" for n in range(32)]
    assert [event[1] for event in world.events].count(names.OUTBOX_FULL) == 1
    assert status(world)["imports"][0]["state"] == "Imported"


async def test_a_changed_entry_is_another_import_and_the_old_job_goes() -> None:
    world = world_with(three=version(3), four=version(4, "4"))
    world.job_failures["zero-import-" + names.short_hash("path imports/three")] = failed(names.FILE_CHANGED, "x", 15)
    world.apply_as_user(importing(PATH))
    await settle(world)
    world.apply_as_user(importing({"path": "imports/four"}))
    await settle(world)
    assert import_jobs(world) == ["zero-import-" + names.short_hash("path imports/four")]
    assert [row["state"] for row in status(world)["imports"]] == ["Imported"]
    world.apply_as_user(model_manifest())
    await settle(world)
    assert import_jobs(world) == []
    assert "imports" not in status(world) or status(world)["imports"] == []
    assert condition(world, "OneSeekModel", "zero", names.IMPORTED) == {}
    assert status(world)["current"]["dna"] == version(4, "4").dna, "a version stays when its entry goes"


async def test_an_entry_that_is_removed_while_its_job_works_leaves_no_unknown_version() -> None:
    world = world_with(three=version(3))
    name = "zero-import-" + names.short_hash("path imports/three")
    world.hold_jobs.add(name)
    world.apply_as_user(importing(PATH))
    await settle(world)
    world.apply_as_user(model_manifest())
    await settle(world)
    assert import_jobs(world) == [name], "a Job at work is let end"
    world.hold_jobs.clear()
    await settle(world)
    assert [item["dna"] for item in status(world)["versions"]] == [version(3).dna]
    assert import_jobs(world) == []
    assert [entry.type for entry in world.ledger.values()] == ["import", "promote"]


async def test_one_job_at_a_time_changes_the_tree() -> None:
    world = world_with(three=version(3), four=version(4, "4"))
    world.apply_as_user(importing(PATH, {"path": "imports/four"}))
    await round_trip(world)
    for _ in range(30):
        running = [key for key, item in world.objects.items() if key[0] == "Job" and "status" not in item]
        assert len([key for key in running if "-import-" in key[2] or "-tree-" in key[2]]) <= 1
        await round_trip(world)
    assert [row["state"] for row in status(world)["imports"]] == ["Imported", "Imported"]
    assert status(world)["current"]["dna"] == version(4, "4").dna


async def test_an_import_waits_for_a_run_that_seals() -> None:
    world = world_with(three=version(3))
    world.hold_jobs.add("first-certify")
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    world.apply_as_user(importing(PATH))
    await settle(world)
    assert import_jobs(world) == []
    assert condition(world, "OneSeekModel", "zero", names.IMPORTED)["reason"] == names.IMPORTING
    world.hold_jobs.clear()
    await settle(world)
    assert len(status(world)["versions"]) == 2


async def test_a_suspended_model_imports_nothing() -> None:
    world = world_with(three=version(3))
    world.apply_as_user(importing(PATH, suspend=True))
    await settle(world)
    assert import_jobs(world) == []
    assert condition(world, "OneSeekModel", "zero", names.IMPORTED)["reason"] == names.SUSPENDED


async def test_an_imported_version_that_misses_the_gate_is_rejected_and_stays() -> None:
    scores = Scores(questions=4, facts_contained=0.2, exact=0.0)
    world = world_with(three=version(3, scores=scores))
    heldout = {"name": "heldout", "source": {"configMap": {"name": "heldout", "key": "heldout.jsonl"}}}
    gate = {"gate": {"minimumScores": {"factsContained": 0.5}}}
    world.apply_as_user(importing(PATH, promotion=gate, training={"evaluation": {"dataset": heldout}}))
    await settle(world)
    (found,) = status(world)["versions"]
    assert (found["state"], found["scores"]["factsContained"]) == ("Rejected", 0.2)
    assert "current" not in status(world)
    assert condition(world, "OneSeekModel", "zero", names.IMPORTED)["status"] == "True"
    assert [entry.type for entry in world.ledger.values()] == ["import", "reject"]


async def test_a_job_whose_report_is_lost_is_asked_again() -> None:
    world = world_with(three=version(3))
    name = "zero-import-" + names.short_hash("path imports/three")
    world.hold_jobs.add(name)
    world.apply_as_user(importing(PATH))
    await settle(world)
    world.hold_jobs.clear()
    world.tick()
    world.objects.pop(("Pod", "team", f"{name}-pod"))
    await settle(world)
    assert status(world)["current"]["dna"] == version(3).dna
    assert world.created_jobs[name] == 2


async def test_an_image_that_cannot_be_pulled_is_said_while_the_model_serves() -> None:
    world = World()
    name = "zero-import-" + names.short_hash(f"image {IMAGE['image']}")
    world.hold_jobs.add(name)
    world.apply_as_user(importing(IMAGE))
    await settle(world)
    job = world.objects[("Job", "team", name)]
    assert [item["name"] for item in job["spec"]["template"]["spec"]["initContainers"]] == ["copy-0"]
    waiting = {
        "name": "copy-0",
        "restartCount": 0,
        "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}},
    }
    labels = job["spec"]["template"]["metadata"]["labels"] | {"batch.kubernetes.io/job-name": name}
    owner = {"kind": "Job", "uid": job["metadata"]["uid"], "controller": True}
    meta = {"name": "p", "namespace": "team", "uid": "p", "labels": labels, "ownerReferences": [owner]}
    world.objects[("Pod", "team", "p")] = {
        "kind": "Pod", "metadata": meta, "spec": job["spec"]["template"]["spec"],
        "status": {"phase": "Pending", "initContainerStatuses": [waiting]},
    }  # fmt: skip
    await settle(world)
    told = condition(world, "OneSeekModel", "zero", names.IMPORTED)
    assert (told["status"], told["reason"], "not found" in told["message"]) == ("False", names.IMAGE_UNAVAILABLE, True)
    assert condition(world, "OneSeekModel", "zero")["status"] == "True"


async def done() -> World:
    world = world_with(three=version(3))
    world.apply_as_user(importing(PATH))
    await settle(world)
    return world


@pytest.mark.parametrize("after", [False, True], ids=["before-the-effect", "after-the-effect"])
async def test_a_crash_at_any_write_ends_in_the_same_place(*, after: bool) -> None:
    def ends(world: World) -> Any:
        found = status(world)
        return (
            [(item["dna"], item["state"]) for item in found["versions"]],
            [(row["source"], row["state"]) for row in found["imports"]],
            sorted((item["type"], item["status"], item["reason"]) for item in found["conditions"]),
            [entry.type for entry in world.ledger.values()],
            found["outbox"],
        )

    reference = await done()
    for at in range(1, sum(reference.writes.values()) + 1):
        world = world_with(three=version(3))
        world.crash_at, world.crash_after_effect = at, after
        world.apply_as_user(importing(PATH))
        with pytest.raises(Crash):
            await settle(world)
        await settle(world)
        assert ends(world) == ends(reference), f"crash at write {at}"
        assert all(count == 1 for count in world.created_jobs.values()), (at, world.created_jobs)


async def test_a_model_that_is_made_again_adopts_versions_and_numbers() -> None:
    world = World()
    world.on_claim = [version(7, "7"), version(3)]
    world.apply_as_user(model_manifest())
    await settle(world)
    assert [(item["dna"], item["state"]) for item in status(world)["versions"]] == [
        (version(7, "7").dna, "Current"),
        (version(3).dna, "Certified"),
    ]
    assert status(world)["counters"] == {"major": 7, "micro": 0}
    world.apply_as_user(run_manifest())
    await settle(world)
    assert status(world)["current"]["dna"].startswith("OneSeek-7B-Zero.v8.0.")


async def test_a_model_that_is_made_again_does_not_enter_what_it_adopted_as_imported() -> None:
    world = world_with(three=version(3))
    world.on_claim = [version(3)]
    world.apply_as_user(importing(PATH))
    await settle(world)
    assert [row["state"] for row in status(world)["imports"]] == ["Imported"]
    assert "it was there already" in status(world)["imports"][0]["message"]
    assert [entry.type for entry in world.ledger.values()] == ["promote"]


async def test_a_run_that_was_certified_before_keeps_the_scores_that_it_was_certified_with() -> None:
    scores = Scores(questions=4, facts_contained=0.8, exact=0.5)
    world = World()
    world.certified_before["first"] = version(3, run="first", scores=scores)
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    ready = condition(world, "TrainingRun", "first")
    assert (ready["status"], ready["reason"]) == ("True", names.ALREADY_CERTIFIED)
    run = world.objects[("TrainingRun", "team", "first")]["status"]
    assert (run["dna"], run["scores"]["factsContained"]) == (version(3).dna, 0.8)
    assert [item["scores"]["factsContained"] for item in status(world)["versions"]] == [0.8]
    assert not [name for name in world.created_jobs if "-train" in name]


def test_the_import_pod_sees_the_claim_and_public_keys_only() -> None:
    manifest = importing(IMAGE)
    manifest["metadata"] |= {"uid": "u-1"}
    manifest["status"] = {"baseModel": {"digest": DIGEST}}
    model = OneSeekModel.model_validate(manifest)
    spec = build.import_job(model, model.spec.imports[0], SETTINGS)["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert [volume for volume in spec["volumes"] if "secret" in volume] == []
    assert spec["initContainers"][0]["command"] == ["cp", "-R", "/models/.", "/import"]
    assert {item["mountPath"] for item in spec["initContainers"][0]["volumeMounts"]} == {"/import"}
