"""Ten ways for a new version to be bad: the old one goes on answering, and everything says why."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.resources import serving
from support.driver import condition, round_trip, settle
from support.makers import SETTINGS, model_manifest, run_manifest
from support.world import World
from support.world.nodes import failed

Bad = Callable[[World, str], None]
UNREADY = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}


def ended(world: World, dna: str, container: str, ending: dict[str, Any], *, restarts: int) -> None:
    """The version's pods have a container that ended so, `restarts` times over."""
    state = {"name": container, "restartCount": restarts, "state": {}, "lastState": {"terminated": ending}}
    world.pod_statuses[dna] = UNREADY | {"initContainerStatuses": [state]}


def crash_at_start(world: World, dna: str) -> None:
    ended(world, dna, "engine", {"exitCode": 1, "message": "no kernel image for this GPU"}, restarts=3)


def out_of_memory(world: World, dna: str) -> None:
    ended(world, dna, "engine", {"exitCode": 137, "reason": "OOMKilled"}, restarts=3)


def wrong_hash(world: World, dna: str) -> None:
    ending = failed(names.FILE_CHANGED, "adapter_model.safetensors has another digest", names.ExitCode.BAD_ARTIFACT)
    ended(world, dna, "verify", ending, restarts=0)


def wrong_base(world: World, dna: str) -> None:
    ending = failed(names.BASE_DIFFERS, "it was trained on another base model", names.ExitCode.DIGEST_DIFFERS)
    ended(world, dna, "verify", ending, restarts=0)


def hang(world: World, dna: str) -> None:
    world.unanswered[dna] = "the engine has not answered yet"


def slow(world: World, dna: str) -> None:
    world.unanswered[dna] = "the engine has not answered yet"


def wrong_dna(world: World, dna: str) -> None:
    world.unanswered[dna] = f"the engine answered as 'another'; {dna} was asked"


def never_ready(world: World, dna: str) -> None:
    world.pod_statuses[dna] = UNREADY


def empty_answers(world: World, dna: str) -> None:
    world.texts[dna] = "  "


def reports_another(world: World, dna: str) -> None:
    world.sidecar_overrides[dna] = SidecarState(
        dna=f"{dna}x", base_name="tiny", ready=True, draining=True, open_connections=0
    )


WAYS = [
    pytest.param(crash_at_start, names.ENGINE_FAILED, "no kernel image", id="crash at start"),
    pytest.param(hang, names.PROBE_FAILED, "has not answered yet", id="hang"),
    pytest.param(wrong_hash, names.FILE_CHANGED, "another digest", id="wrong hash"),
    pytest.param(wrong_dna, names.PROBE_FAILED, "answered as 'another'", id="wrong DNA in answers"),
    pytest.param(reports_another, names.PROBE_FAILED, "reports OneSeek", id="wrong DNA reported"),
    pytest.param(never_ready, names.PROBE_FAILED, "its preview did not answer", id="never ready"),
    pytest.param(out_of_memory, names.OUT_OF_MEMORY, "memory", id="out of memory"),
    pytest.param(empty_answers, names.PROBE_FAILED, "empty answer", id="empty answers"),
    pytest.param(slow, names.PROBE_FAILED, "not proved within 900 s", id="slow"),
    pytest.param(wrong_base, names.BASE_DIFFERS, "another base model", id="wrong base"),
]


async def second_dna() -> str:
    """The DNA that a model's second run gets in this world."""
    world = World()
    world.apply_as_user(model_manifest())
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    dna: str = world.objects[("TrainingRun", "team", "second")]["status"]["dna"]
    return dna


def late(world: World) -> None:
    """A long time passes for the candidate that is being tried."""
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    if "candidate" in status:
        status["candidate"]["since"] = (datetime.now(UTC) - timedelta(days=1)).isoformat()


@pytest.mark.parametrize("mode", ["Automatic", "Manual"])
async def test_what_keeps_a_candidate_from_proving_itself_is_its_condition(mode: str) -> None:
    dna = await second_dna()
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.apply_as_user(model_manifest(promotion={"mode": mode}))
    ended(world, dna, "engine", {"exitCode": 1, "message": "no kernel image for this GPU"}, restarts=1)
    world.apply_as_user(run_manifest("second"))
    for _ in range(12):
        await round_trip(world)
    told = condition(world, "OneSeekModel", "zero", names.CANDIDATE_READY)
    assert (told["status"], told["reason"]) == ("False", names.ENGINE_FAILED)
    assert "no kernel image" in told["message"]


@pytest.mark.parametrize(("bad", "reason", "sentence"), WAYS)
async def test_a_bad_version_never_answers_and_everything_says_why(bad: Bad, reason: str, sentence: str) -> None:
    dna = await second_dna()
    world = World()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    old = world.objects[("OneSeekModel", "team", "zero")]["status"]["current"]
    service = world.objects[("Service", "team", "zero")]["spec"]["selector"]
    bad(world, dna)
    world.apply_as_user(run_manifest("second"))
    for _ in range(12):
        await round_trip(world)
        assert world.objects[("Service", "team", "zero")]["spec"]["selector"] == service, "nothing was flipped"
    late(world)
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["current"] == old
    assert world.objects[("Service", "team", "zero")]["spec"]["selector"] == service
    assert [(item["dna"], item["reason"]) for item in status["quarantine"]] == [(dna, reason)]
    assert sentence in status["quarantine"][0]["message"]
    assert len([key for key in world.objects if key[0] == "Deployment"]) == 1, "its pods are gone"
    ready = condition(world, "OneSeekModel", "zero")
    assert (ready["status"], ready["reason"]) == ("True", names.SERVING)
    assert f"{dna} ({reason})" in ready["message"]
    told = [message for _, why, message in world.events if why in ("Rejected", "Quarantined")]
    assert len(told) == 1
    assert reason in told[0]
    barred = [entry for entry in world.ledger.values() if entry.type in ("reject", "quarantine")]
    assert [(entry.dna, reason in entry.reason) for entry in barred] == [(dna, True)]
    assert [entry.type for entry in world.ledger.values()].count("promote") == 1


async def test_a_version_that_crashes_only_once_it_answers_goes_back() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    before = world.objects[("OneSeekModel", "team", "zero")]["status"]
    ended(world, before["current"]["dna"], "engine", {"exitCode": 139, "message": "core dumped"}, restarts=2)
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["current"]["dna"] == before["previous"]["dna"]
    assert status["quarantine"][0]["reason"] == names.ENGINE_FAILED
    assert "while it was watched" in status["quarantine"][0]["message"]
    assert [entry.type for entry in world.ledger.values()][-2:] == ["quarantine", "rollback"]


async def test_a_model_may_give_its_versions_less_time_than_the_operator_does() -> None:
    dna = await second_dna()
    world = World()
    world.apply_as_user(model_manifest(promotion={"progressDeadlineSeconds": 30}))
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    never_ready(world, dna)
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert status["candidate"]["dna"] == dna
    status["candidate"]["since"] = (datetime.now(UTC) - timedelta(seconds=31)).isoformat()
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert "not proved within 30 s" in status["quarantine"][0]["message"]


async def test_a_question_that_is_never_answered_holds_up_nothing_and_is_said_until_its_time_is_over() -> None:
    dna = await second_dna()
    world = World()
    world.apply_as_user(model_manifest(promotion={"progressDeadlineSeconds": 10}))
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    world.unanswered[dna] = "the engine has not answered for 60 s"
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert (status["candidate"]["dna"], status["quarantine"]) == (dna, [])
    told = condition(world, "OneSeekModel", "zero", "Reconciling")
    assert "the engine has not answered for 60 s" in told["message"]
    world.apply_as_user(model_manifest(promotion={"progressDeadlineSeconds": 10}, serving={"replicas": 2}))
    await settle(world)
    assert len(world.behind()) == 2, "what answers is scaled meanwhile"
    world.objects[("OneSeekModel", "team", "zero")]["status"]["candidate"]["since"] = "2026-01-01T00:00:00Z"
    await settle(world)
    status = world.objects[("OneSeekModel", "team", "zero")]["status"]
    assert "the engine has not answered for 60 s" in status["quarantine"][0]["message"]


def test_an_engine_image_of_ones_own_stands_in_for_ours_alone() -> None:
    manifest = model_manifest(serving={"engine": {"image": "registry.example/engine:1"}})
    manifest["metadata"]["uid"] = "uid-1"
    colour = serving.colour_of(OneSeekModel.model_validate(manifest), SETTINGS, dna=None, digest=None)
    spec = colour.template["spec"]
    images = {item["name"]: item["image"] for item in [*spec["initContainers"], *spec["containers"]]}
    assert images["engine"] == "registry.example/engine:1"
    assert set(images.values()) == {"registry.example/engine:1", SETTINGS.slim_image}
