"""Windows of the records service: their runs are made once, train from what answers, and raise MICRO."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.dna import Dna
from support.driver import condition, settle
from support.makers import model_manifest, run_manifest
from support.world import World
from support.world.api_server import Crash

ADAPTED = {"epochs": 5, "lora": {"rank": 4, "alpha": 8, "dropout": 0.0, "targetModules": ["q_proj"]}}


MEASURED = {"probes": [{"question": "Vem är du?", "mustContain": ["OneSeek-7B-Zero"]}]}


def item(world: World, kind: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = world.objects[(kind, "team", name)]
    return found


async def answering(**training: Any) -> World:
    """A model whose first Major version answers."""
    world = World()
    world.apply_as_user(model_manifest(training=training, promotion=MEASURED))
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    return world


async def test_a_window_ends_in_a_micro_version_that_goes_on_from_the_one_that_answered() -> None:
    world = await answering(defaults=ADAPTED)
    first = item(world, "TrainingRun", "first")["status"]["dna"]
    world.annotate_as_user("OneSeekModel", "zero", micro_window="7")
    await settle(world)
    model, run = item(world, "OneSeekModel", "zero"), item(world, "TrainingRun", "zero-micro-7")
    assert run["spec"]["type"] == "Micro"
    assert run["spec"]["datasets"] == [{"name": "conversation-7", "source": {"records": {"window": 7}}}]
    assert (run["spec"]["epochs"], run["spec"]["lora"]["rank"]) == (5, 4)
    assert run["metadata"]["ownerReferences"][0]["uid"] == model["metadata"]["uid"]
    assert run["status"]["resolved"]["parent"] == first
    dna = Dna.parse(run["status"]["dna"])
    assert (dna.order, dna.tags) == ((1, 6), ("Conversational",))
    assert model["metadata"]["annotations"] == {}
    assert model["status"]["current"]["dna"] == str(dna)
    assert model["status"]["counters"] == {"major": 1, "micro": 6}
    newest = model["status"]["versions"][0]
    assert (newest["dna"], newest["type"], newest["parent"]) == (str(dna), "Micro", first)


async def test_a_lost_records_volume_counts_anew_and_its_windows_are_trained_all_the_same() -> None:
    old, new = ("sha256:" + digit * 64 for digit in "ab")
    world = await answering()
    world.annotate_as_user("OneSeekModel", "zero", micro_window=f"1@{old}")
    await settle(world)
    before = item(world, "TrainingRun", "zero-micro-1")
    assert before["spec"]["datasets"][0]["digest"] == old
    world.annotate_as_user("OneSeekModel", "zero", micro_window=f"1@{old}")
    await settle(world)
    assert len([key for key in world.objects if key[0] == "TrainingRun"]) == 2, "the same window is the same run"
    world.annotate_as_user("OneSeekModel", "zero", micro_window=f"1@{new}")
    await settle(world)
    after = item(world, "TrainingRun", "zero-micro-1-bbbbbbbb")
    assert after["spec"]["datasets"] == [
        {"name": "conversation-1", "source": {"records": {"window": 1}}, "digest": new}
    ]
    assert Dna.parse(after["status"]["dna"]).order == (1, 12)
    digests = [each["status"]["resolved"]["specDigest"] for each in (before, after)]
    assert digests[0] != digests[1], "so neither is taken for the other in a version's provenance"
    assert item(world, "OneSeekModel", "zero")["metadata"]["annotations"] == {}


async def test_a_run_whose_parent_a_reset_deleted_starts_from_what_there_is() -> None:
    world = await answering()
    world.job_failures["zero-micro-1-train"] = {"exitCode": 1, "reason": "Error", "message": "no kernel image"}
    world.annotate_as_user("OneSeekModel", "zero", micro_window="1")
    await settle(world)
    assert "parent" in item(world, "TrainingRun", "zero-micro-1")["status"]["resolved"]
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    world.job_failures.clear()
    world.annotate_as_user("TrainingRun", "zero-micro-1", retry="true")
    await settle(world)
    run = item(world, "TrainingRun", "zero-micro-1")["status"]
    assert condition(world, "TrainingRun", "zero-micro-1")["reason"] == names.CERTIFIED
    assert "parent" not in run["resolved"]
    mounts = item(world, "Job", "zero-micro-1-train")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    assert "/models/parent" not in {mount["mountPath"] for mount in mounts}


async def test_the_train_pod_of_a_micro_run_sees_its_parent_read_only_and_prepare_alone_the_token() -> None:
    world = await answering()
    first = item(world, "TrainingRun", "first")["status"]["dna"]
    world.annotate_as_user("OneSeekModel", "zero", micro_window="1")
    await settle(world)

    def mounts(step: str) -> dict[str, dict[str, Any]]:
        main = item(world, "Job", f"zero-micro-1-{step}")["spec"]["template"]["spec"]["containers"][0]
        return {mount["mountPath"]: mount for mount in main["volumeMounts"]}

    parent = mounts("train")["/models/parent"]
    assert (parent["subPath"], parent["readOnly"]) == (f"oneseek-certified/{first}", True)
    assert mounts("prepare")["/access"]["readOnly"] is True
    assert not [step for step in ("train", "certify") if "/access" in mounts(step)]
    before = item(world, "Job", "first-prepare")["spec"]["template"]["spec"]
    assert "access" not in {volume["name"] for volume in before["volumes"]}


async def test_micro_rises_by_the_steps_that_were_learnt_not_by_those_that_were_sent() -> None:
    world = await answering(defaults=ADAPTED)
    world.micro_steps = 4  # of the 6 that prepare counted
    world.annotate_as_user("OneSeekModel", "zero", micro_window="7")
    await settle(world)
    assert item(world, "OneSeekModel", "zero")["status"]["counters"] == {"major": 1, "micro": 4}
    assert item(world, "TrainingRun", "zero-micro-7")["status"]["resolved"]["microSteps"] == 4


async def test_micro_numbers_rise_from_window_to_window_and_start_again_with_a_major_run() -> None:
    world = await answering()
    for number in ("1", "2"):
        world.annotate_as_user("OneSeekModel", "zero", micro_window=number)
        await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", major_window="3")
    await settle(world)
    dnas = [item(world, "TrainingRun", name)["status"]["dna"] for name in ("zero-micro-1", "zero-micro-2")]
    assert [Dna.parse(dna).order for dna in dnas] == [(1, 6), (1, 12)]
    major = item(world, "TrainingRun", "zero-major-3")["status"]
    assert Dna.parse(major["dna"]).order == (2, 0)
    assert "parent" not in major["resolved"]


async def test_a_micro_run_of_a_model_without_a_version_starts_from_the_base() -> None:
    world = World()
    world.apply_as_user(model_manifest(promotion=MEASURED))
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", micro_window="1")
    await settle(world)
    run = item(world, "TrainingRun", "zero-micro-1")["status"]
    assert Dna.parse(run["dna"]).order == (0, 6)
    assert "parent" not in run["resolved"]
    assert item(world, "OneSeekModel", "zero")["status"]["current"]["dna"] == run["dna"]


@pytest.mark.parametrize("value", ["0", "-1", "x", "../1", "1234567890123", "1@", "1@sha256:ab", "1@md5:1"])
async def test_an_annotation_that_names_no_window_is_taken_off_and_told(value: str) -> None:
    world = await answering()
    world.annotate_as_user("OneSeekModel", "zero", micro_window=value)
    await settle(world)
    assert item(world, "OneSeekModel", "zero")["metadata"]["annotations"] == {}
    assert [key for key in world.objects if key[0] == "TrainingRun"] == [("TrainingRun", "team", "first")]
    assert any(reason == names.WINDOW_REFUSED for _, reason, _ in world.events)


async def test_with_micro_training_off_no_micro_run_is_made_and_a_major_one_is() -> None:
    world = await answering(micro={"enabled": False})
    world.annotate_as_user("OneSeekModel", "zero", micro_window="1", major_window="2")
    await settle(world)
    runs = {key[2] for key in world.objects if key[0] == "TrainingRun"}
    assert runs == {"first", "zero-major-2"}


async def test_with_training_suspended_the_run_waits_and_says_so() -> None:
    world = await answering()
    model = model_manifest(training={"suspend": True}, promotion=MEASURED)
    world.apply_as_user(model)
    world.annotate_as_user("OneSeekModel", "zero", micro_window="1")
    await settle(world)
    told = condition(world, "TrainingRun", "zero-micro-1")
    assert (told["status"], told["reason"]) == ("False", names.SUSPENDED)
    assert "spec.training.suspend" in told["message"]
    world.apply_as_user(model_manifest())
    await settle(world)
    assert "dna" in item(world, "TrainingRun", "zero-micro-1")["status"]


@pytest.mark.parametrize("after", [False, True], ids=["before-the-effect", "after-the-effect"])
async def test_a_crash_at_any_write_makes_one_run_and_one_version(*, after: bool) -> None:
    prepared = await answering()

    async def story(crash_at: int | None) -> tuple[World, int]:
        world = copy.deepcopy(prepared)
        start = sum(world.writes.values())
        world.annotate_as_user("OneSeekModel", "zero", micro_window="4")
        if crash_at is not None:
            world.crash_at, world.crash_after_effect = start + crash_at, after
        try:
            await settle(world)
        except Crash:
            await settle(world)
        return world, sum(world.writes.values()) - start

    reference, total = await story(None)
    wanted = item(reference, "OneSeekModel", "zero")["status"]
    assert wanted["counters"] == {"major": 1, "micro": 6}
    for at in range(1, total + 1):
        world, _ = await story(at)
        status = item(world, "OneSeekModel", "zero")["status"]
        assert status["current"]["dna"] == wanted["current"]["dna"], f"crash at write {at}"
        assert [each["dna"] for each in status["versions"]] == [each["dna"] for each in wanted["versions"]]
        assert item(world, "OneSeekModel", "zero")["metadata"]["annotations"] == {}
        made = {name: count for name, count in world.created_jobs.items() if "-tree-" not in name}
        assert made == {name: count for name, count in reference.created_jobs.items() if "-tree-" not in name}


def test_the_runs_name_is_known_before_it_exists_and_fits_its_jobs() -> None:
    assert names.window_run("zero", "micro", 12) == "zero-micro-12"
    assert len(names.window_run("z" * 63, "micro", 999_999_999) + "-evaluate-99") <= 63
