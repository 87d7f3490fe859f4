"""Whole stories, every status that was ever written: nobody who looks at any moment is told that it is done too early."""

from __future__ import annotations

import copy
from itertools import groupby
from typing import Any

import pytest

from oneseek_core.dna import Dna
from oneseek_core.jobs.common import CertifiedVersion
from support.driver import settle
from support.makers import model_manifest, run_manifest
from support.readers import ask
from support.world import World
from support.world.api_server import Object

Key = tuple[str, str, str]
MODEL, RUN = ("OneSeekModel", "team", "zero"), ("TrainingRun", "team", "first")


class Filmed(World):
    """A world that keeps every state of our objects, as a watch would show them."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: dict[Key, list[Object]] = {MODEL: [], RUN: []}

    def _keep(self, key: Key) -> None:
        if key in self.frames:
            self.frames[key].append(copy.deepcopy(self.objects[key]))

    def apply_as_user(self, manifest: Object) -> Object:
        applied = super().apply_as_user(manifest)
        self._keep((manifest["kind"], manifest["metadata"]["namespace"], manifest["metadata"]["name"]))
        return applied

    async def replace_status(self, kind: str, current: Object, status: Object) -> None:
        await super().replace_status(kind, current, status)
        self._keep((kind, current["metadata"]["namespace"], current["metadata"]["name"]))

    def reel(self, key: Key) -> list[Object]:
        """What was filmed of an object since it was asked for last."""
        frames, self.frames[key] = self.frames[key], []
        return frames


def verdicts(frames: list[Object]) -> list[tuple[str, str]]:
    """What kstatus and Argo CD said, one after the other, without repetitions."""
    said: list[dict[str, Any]] = ask(frames)
    return [pair for pair, _ in groupby((item["kstatus"]["status"], item["argo"]["status"]) for item in said)]


UNDER_WAY, DONE = ("InProgress", "Progressing"), ("Current", "Healthy")
NEEDS_A_PERSON = ("Failed", "Degraded")


async def test_a_model_is_done_once_when_its_base_answers() -> None:
    world = Filmed()
    world.apply_as_user(model_manifest())
    await settle(world)
    frames = world.reel(MODEL)
    assert len(frames) > 3
    assert verdicts(frames) == [UNDER_WAY, DONE]


async def test_a_run_is_done_once_when_it_is_certified() -> None:
    world = Filmed()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    frames = world.reel(RUN)
    assert len(frames) > 5
    assert verdicts(frames) == [UNDER_WAY, DONE]


@pytest.mark.parametrize(
    "change", [{"serving": {"engine": {"nodeSelector": {"gpu": "yes"}}}}, {"serving": {"serviceType": "NodePort"}}]
)
async def test_a_changed_spec_is_done_once_when_it_is_carried_out(change: Object) -> None:
    world = Filmed()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    world.reel(MODEL)
    world.apply_as_user(model_manifest(**change))
    await settle(world)
    assert verdicts(world.reel(MODEL)) == [UNDER_WAY, DONE]


async def test_an_import_is_done_once_when_its_version_answers() -> None:
    dna = str(Dna("OneSeek-7B-Zero", 3, 0, "sv", ("Identity",), "3" * 8, "a" * 8))
    world = Filmed()
    world.importable = {
        "path imports/three": CertifiedVersion(
            dna=dna, digest="sha256:" + "3" * 64, created_at="2026-01-01T00:00:00.000Z", run="elsewhere"
        )
    }
    world.apply_as_user(model_manifest())
    await settle(world)
    world.reel(MODEL)
    world.apply_as_user(model_manifest(imports=[{"path": "imports/three"}]))
    await settle(world)
    frames = world.reel(MODEL)
    assert frames[-1]["status"]["current"]["dna"] == dna
    assert verdicts(frames) == [UNDER_WAY, DONE]


async def two_versions() -> tuple[Filmed, str, str]:
    """A model whose second version answers; both DNAs."""
    world = Filmed()
    world.apply_as_user(model_manifest())
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    world.reel(MODEL)
    first, second = (world.objects[("TrainingRun", "team", name)]["status"]["dna"] for name in ("first", "second"))
    return world, first, second


async def test_a_promotion_by_commit_is_done_once_when_the_pinned_version_answers() -> None:
    world, first, _ = await two_versions()
    world.apply_as_user(model_manifest(version=first))
    await settle(world)
    frames = world.reel(MODEL)
    assert frames[-1]["status"]["current"]["dna"] == first
    assert verdicts(frames) == [UNDER_WAY, DONE]


async def test_import_and_promotion_in_one_commit_are_done_once_and_nobody_is_called() -> None:
    dna = str(Dna("OneSeek-7B-Zero", 3, 0, "sv", ("Identity",), "3" * 8, "a" * 8))
    world, _, _ = await two_versions()
    world.importable = {
        "path imports/three": CertifiedVersion(
            dna=dna, digest="sha256:" + "3" * 64, created_at="2026-01-01T00:00:00.000Z", run="elsewhere"
        )
    }
    world.apply_as_user(model_manifest(version=dna, imports=[{"path": "imports/three"}]))
    await settle(world)
    frames = world.reel(MODEL)
    assert frames[-1]["status"]["current"]["dna"] == dna
    assert verdicts(frames) == [UNDER_WAY, DONE]


async def test_a_rollback_against_git_calls_a_person_and_a_release_lets_git_win() -> None:
    world, _, second = await two_versions()
    world.apply_as_user(model_manifest(version=second))
    await settle(world)
    world.reel(MODEL)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    assert verdicts(world.reel(MODEL)) == [UNDER_WAY, NEEDS_A_PERSON]
    world.annotate_as_user("OneSeekModel", "zero", release=second)
    await settle(world)
    frames = world.reel(MODEL)
    assert frames[-1]["status"]["current"]["dna"] == second
    assert verdicts(frames) == [UNDER_WAY, DONE]


async def test_a_retried_run_is_under_way_from_the_moment_it_is_taken_in() -> None:
    world = Filmed()
    world.job_failures["first-train"] = {"exitCode": 1, "reason": "Error", "message": "no space"}
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    assert verdicts(world.reel(RUN)) == [UNDER_WAY, NEEDS_A_PERSON]
    world.annotate_as_user("TrainingRun", "first", retry="true")
    await settle(world)
    assert verdicts(world.reel(RUN)) == [UNDER_WAY, DONE]


async def test_a_reset_is_done_once_when_everything_is_gone() -> None:
    world, _, _ = await two_versions()
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    frames = world.reel(MODEL)
    assert frames[-1]["status"]["request"]["outcome"] == "Succeeded"
    assert verdicts(frames) == [UNDER_WAY, DONE]
