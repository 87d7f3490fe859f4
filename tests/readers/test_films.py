"""Whole stories, every status that was ever written: nobody who looks at any moment is told that it is done too early."""

from __future__ import annotations

import copy
from itertools import groupby
from typing import Any

import pytest

from oneseek_core.dna import Dna
from oneseek_core.job_contract import CertifiedVersion
from oneseek_operator.decide import rollout
from support.driver import settle
from support.makers import model_manifest, run_manifest
from support.readers import ask
from support.world import Object, World

Key = tuple[str, str, str]
MODEL, RUN = ("OneSeekModel", "team", "zero"), ("TrainingRun", "team", "first")


@pytest.fixture(autouse=True)
def no_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulated cluster has no kube-proxy that needs a moment after a flip."""
    monkeypatch.setattr(rollout, "_SETTLE_SECONDS", 0)


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

    def cut(self, key: Key) -> list[Object]:
        """What was filmed of an object since the last cut."""
        frames, self.frames[key] = self.frames[key], []
        return frames


def verdicts(frames: list[Object]) -> list[tuple[str, str]]:
    """What kstatus and Argo CD said, one after the other, without repetitions."""
    said: list[dict[str, Any]] = ask(frames)
    return [pair for pair, _ in groupby((item["kstatus"]["status"], item["argo"]["status"]) for item in said)]


UNDER_WAY, DONE = ("InProgress", "Progressing"), ("Current", "Healthy")


async def test_a_model_is_done_once_when_its_base_answers() -> None:
    world = Filmed()
    world.apply_as_user(model_manifest())
    await settle(world)
    frames = world.cut(MODEL)
    assert len(frames) > 3
    assert verdicts(frames) == [UNDER_WAY, DONE]


async def test_a_run_is_done_once_when_it_is_certified() -> None:
    world = Filmed()
    world.apply_as_user(model_manifest())
    world.apply_as_user(run_manifest())
    await settle(world)
    frames = world.cut(RUN)
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
    world.cut(MODEL)
    world.apply_as_user(model_manifest(**change))
    await settle(world)
    assert verdicts(world.cut(MODEL)) == [UNDER_WAY, DONE]


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
    world.cut(MODEL)
    world.apply_as_user(model_manifest(imports=[{"path": "imports/three"}]))
    await settle(world)
    frames = world.cut(MODEL)
    assert frames[-1]["status"]["current"]["dna"] == dna
    assert verdicts(frames) == [UNDER_WAY, DONE]
