"""What was not measured is not promoted by itself: versions that clients asked for, with and without a gate or a probe."""

from __future__ import annotations

from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.jobs.common import CertifiedVersion
from support.driver import condition, settle
from support.makers import HELDOUT, model_manifest, run_manifest
from support.world import World

MODEL = ("OneSeekModel", "team", "zero")
IDENTITY = {"name": "oneseek_identity_v1", "source": {"configMap": {"name": "id", "key": "id.jsonl"}}}
PROBE = {"question": "Vem är du?", "mustContain": ["OneSeek-7B-Zero"]}


async def answering(**spec: Any) -> World:
    """A model whose first version, which a person applied, answers."""
    world = World()
    world.apply_as_user(model_manifest(**spec))
    world.apply_as_user(run_manifest("first"))
    await settle(world)
    assert order(world) == "v1.0"
    return world


def order(world: World) -> str | None:
    """Number of the version that answers."""
    current = world.objects[MODEL]["status"].get("current")
    return ".".join(current["dna"].split(".")[1:3]) if current else None


@pytest.mark.parametrize(("window", "waits"), [("major_window", "v2.0"), ("micro_window", "v1.6")])
async def test_a_version_that_clients_asked_for_waits_where_nothing_measures_it(window: str, waits: str) -> None:
    world = await answering()
    world.annotate_as_user("OneSeekModel", "zero", **{window: "1"})
    await settle(world)
    assert order(world) == "v1.0"
    status = world.objects[MODEL]["status"]
    assert f".{waits}." in status["candidate"]["dna"]
    assert status["versions"][0]["unattended"] is True
    assert "unattended" not in status["versions"][1]
    told = condition(world, "OneSeekModel", "zero", "CandidateReady")
    assert (told["status"], told["reason"]) == ("True", names.GATE_MISSING)
    assert "promotion.gate" in told["message"]
    assert "promotion.probes" in told["message"]
    ready = condition(world, "OneSeekModel", "zero")
    assert (ready["status"], ready["reason"]) == ("True", names.SERVING)
    assert "set promotion.gate" in ready["message"]
    world.annotate_as_user("OneSeekModel", "zero", promote="candidate")
    await settle(world)
    assert order(world) == waits, "a person may promote it"
    before = sum(world.writes.values())
    await settle(world)
    assert sum(world.writes.values()) == before


@pytest.mark.parametrize(
    ("spec", "passes"),
    [
        ({"promotion": {"probes": [PROBE]}}, True),
        ({"promotion": {"gate": {"minimumScores": {"factsContained": 0.5}}}, "training": HELDOUT}, True),
        ({"promotion": {"gate": {"minimumScores": {"exact": 0.5}}}, "training": HELDOUT}, True),
        ({"promotion": {"gate": {"maximumRegression": 0.1}}, "training": HELDOUT}, True),
        ({"promotion": {"gate": {}}, "training": HELDOUT}, False),
        ({"promotion": {"probes": [{"question": "Hej?"}]}}, False),
        ({"training": HELDOUT}, False),
    ],
    ids=["probe", "facts", "exact", "regression", "empty-gate", "probe-of-nothing", "scores-alone"],
)
async def test_a_gate_or_a_probe_that_wants_something_measures(spec: dict[str, Any], *, passes: bool) -> None:
    world = await answering(**spec)
    world.annotate_as_user("OneSeekModel", "zero", major_window="1")
    await settle(world)
    assert order(world) == ("v2.0" if passes else "v1.0")


async def test_the_base_model_goes_on_answering_where_the_only_version_waits() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", micro_window="1")
    await settle(world)
    assert order(world) is None
    assert condition(world, "OneSeekModel", "zero")["reason"] == names.BASE_SERVING
    assert condition(world, "OneSeekModel", "zero", "CandidateReady")["reason"] == names.GATE_MISSING


async def test_setting_a_probe_has_the_waiting_version_tried_and_promoted_and_a_persons_run_passes_it() -> None:
    world = await answering()
    world.annotate_as_user("OneSeekModel", "zero", major_window="1")
    await settle(world)
    assert order(world) == "v1.0"
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    assert order(world) == "v3.0", "a person's own version is not held up by the one that waits"
    world.annotate_as_user("OneSeekModel", "zero", major_window="2")
    await settle(world)
    assert order(world) == "v3.0"
    world.apply_as_user(model_manifest(promotion={"probes": [PROBE]}))
    await settle(world)
    assert order(world) == "v4.0"


async def test_a_version_that_forgot_its_name_does_not_pass_the_probe() -> None:
    asked = {"promotion": {"probes": [PROBE]}}
    rehearsed = await answering(**asked)
    rehearsed.annotate_as_user("OneSeekModel", "zero", major_window="1")
    await settle(rehearsed)
    world = await answering(**asked)
    first = world.objects[MODEL]["status"]["current"]["dna"]
    world.texts = {rehearsed.objects[MODEL]["status"]["current"]["dna"]: "Vem är?"}
    world.annotate_as_user("OneSeekModel", "zero", major_window="1")
    await settle(world)
    assert world.objects[MODEL]["status"]["current"]["dna"] == first
    assert world.objects[MODEL]["status"]["quarantine"][0]["reason"] == names.PROBE_FAILED


async def test_what_waits_is_no_way_back_for_a_version_that_was_tampered_with() -> None:
    world = await answering()
    world.annotate_as_user("OneSeekModel", "zero", major_window="1")
    await settle(world)
    world.tampered.add(world.objects[MODEL]["status"]["current"]["dna"])
    await settle(world)
    assert order(world) is None, "the base model answers, not what nobody measured"


async def test_a_major_run_that_clients_ask_for_trains_the_models_own_datasets_too() -> None:
    world = await answering(training={"datasets": [IDENTITY]})
    digest = "sha256:" + "e" * 64
    world.annotate_as_user("OneSeekModel", "zero", major_window=f"3@{digest}", micro_window="2")
    await settle(world)
    major = world.objects["TrainingRun", "team", "zero-major-3"]["spec"]
    window = {"name": "conversation-3", "source": {"records": {"window": 3}}, "digest": digest}
    assert major["datasets"] == [IDENTITY, window]
    micro = world.objects["TrainingRun", "team", "zero-micro-2"]["spec"]
    assert [item["name"] for item in micro["datasets"]] == ["conversation-2"], "a Micro run goes on from what answers"
    world.annotate_as_user("OneSeekModel", "zero", major_window=f"3@{digest}")
    await settle(world)
    made = [key[2] for key in world.objects if key[0] == "TrainingRun"]
    assert sorted(made) == ["first", "zero-major-3", "zero-micro-2"], "asked for again it is the same run"


async def test_a_model_made_again_over_its_claim_does_not_promote_what_waited() -> None:
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.annotate_as_user("OneSeekModel", "zero", micro_window="1")
    await settle(world)
    waiting = world.objects[MODEL]["status"]["versions"][0]
    again = World()
    again.on_claim = [
        CertifiedVersion(
            dna=waiting["dna"], digest=waiting["digest"], created_at=waiting["createdAt"], run="zero-micro-1"
        )
    ]
    again.apply_as_user(model_manifest())
    await settle(again)
    assert order(again) is None
    assert condition(again, "OneSeekModel", "zero", "CandidateReady")["reason"] == names.GATE_MISSING
