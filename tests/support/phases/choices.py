"""A model of which people choose the version: pins in Git, requests, promotion by hand."""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from support.choices import Texts, dna_of
from support.driver import settle
from support.makers import HELDOUT, model_manifest, run_manifest
from support.phases.phase import Means, Phases
from support.phases.scenes import (
    IMPORT_JOB,
    IMPORTS,
    LONG_AGO,
    MODEL,
    let_candidates_load,
    two_versions,
    world_of,
)
from support.world import World

__all__ = ["PHASES"]

PHASES = Phases()


@PHASES.add("model-suspended", "`suspend`", Means.STOPPED)
async def _() -> World:
    world = await two_versions()
    world.apply_as_user(model_manifest(suspend=True))
    await settle(world)
    return world


@PHASES.add("model-waiting-for-promotion", "`promotion.mode: Manual`: a candidate has proved itself", Means.WAITS)
async def _() -> World:
    return await world_of(model_manifest(promotion={"mode": "Manual"}), run_manifest())


@PHASES.add("model-gate-missing", "clients asked for a version, and nothing measures it", Means.WAITS)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest())
    world.annotate_as_user("OneSeekModel", "zero", major_window="1")
    await settle(world)
    return world


@PHASES.add("model-probe-failed", "the newest version answered its probe wrongly; the old one answers", Means.DONE)
async def _() -> World:
    promotion = {"probes": [{"question": "Vem är du?", "mustContain": ["OneSeek"]}]}
    world = await world_of(model_manifest(promotion=promotion), run_manifest("first"))
    world.texts = Texts("Jag är ChatGPT.", but={None, dna_of(world, "first")})
    world.apply_as_user(run_manifest("second"))
    await settle(world)
    return world


@PHASES.add(
    "model-watch-failed", "the newest version failed while it was watched; the old one answers again", Means.DONE
)
async def _() -> World:
    world = await two_versions()
    world.counts[dna_of(world, "second")] = (100, 30)
    await settle(world)
    return world


@PHASES.add(
    "model-quarantine-full", "the quarantine is full: nothing is promoted by itself", Means.NEEDS_A_PERSON, answers=True
)
async def _() -> World:
    world = await world_of(model_manifest(), run_manifest())
    held = {"reason": names.ROLLED_BACK, "message": "by hand", "since": LONG_AGO}
    world.objects[MODEL]["status"]["quarantine"] = [
        {"dna": f"OneSeek-7B-Zero.v0.{number}", **held} for number in range(64)
    ]
    await settle(world)
    return world


async def _pinned(run: str, **spec: Any) -> World:
    world = await two_versions(**spec)
    world.apply_as_user(model_manifest(version=dna_of(world, run), **spec))
    await settle(world)
    return world


@PHASES.add("model-pinned", "the version that Git pins answers", Means.DONE)
async def _() -> World:
    return await _pinned("first")


@PHASES.add("model-pin-rolling-out", "Git pins another version; it is being brought up", Means.UNDER_WAY, answers=True)
async def _() -> World:
    world = await two_versions()
    let_candidates_load(world)
    world.apply_as_user(model_manifest(version=dna_of(world, "first")))
    await settle(world)
    return world


UNKNOWN = "OneSeek-7B-Zero.v9.0.sv.dsIdentity.00000000.00000000"


@PHASES.add("model-pin-unknown", "Git pins what is no version of this model", Means.NEEDS_A_PERSON)
async def _() -> World:
    return await world_of(model_manifest(version=UNKNOWN))


@PHASES.add("model-pin-coming-in", "Git pins a version that an import is taking in", Means.UNDER_WAY)
async def _() -> World:
    return await world_of(model_manifest(version=UNKNOWN, imports=IMPORTS), hold=IMPORT_JOB)


@PHASES.add("model-pin-rejected", "Git pins a version that missed the gate", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = World()
    world.scores = {"first": 0.9, "second": 0.6}
    spec: dict[str, Any] = {"training": HELDOUT, "promotion": {"gate": {"maximumRegression": 0.1}}}
    world.apply_as_user(model_manifest(**spec))
    for name in ("first", "second"):
        world.apply_as_user(run_manifest(name))
        await settle(world)
    world.apply_as_user(model_manifest(version=dna_of(world, "second"), **spec))
    await settle(world)
    return world


@PHASES.add("model-pin-rolled-back", "rolled back while Git still pins the version that was left", Means.NEEDS_A_PERSON)
async def _() -> World:
    world = await _pinned("second")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    return world


@PHASES.add(
    "model-pin-released",
    "rolled back, then released: Git wins, and its version is being brought up",
    Means.UNDER_WAY,
    answers=True,
)
async def _() -> World:
    world = await _pinned("second")
    second = dna_of(world, "second")
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    let_candidates_load(world)
    world.annotate_as_user("OneSeekModel", "zero", release=second)
    await settle(world)
    return world


@PHASES.add(
    "model-rolling-back", "a rollback is under way; the version to leave answers", Means.UNDER_WAY, answers=True
)
async def _() -> World:
    world = await two_versions(promotion={"strategy": "BlueGreen"})  # another way it would be done at once
    let_candidates_load(world)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    return world


@PHASES.add("model-rolled-back", "a rollback has been carried out", Means.DONE)
async def _() -> World:
    world = await two_versions()
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    await settle(world)
    return world


@PHASES.add("model-request-refused", "a request was refused; nothing has changed", Means.DONE)
async def _() -> World:
    world = await two_versions()
    world.annotate_as_user("OneSeekModel", "zero", reset="yes")
    await settle(world)
    return world


@PHASES.add("model-reset-waits", "a reset waits for the ledger", Means.UNDER_WAY, answers=True)
async def _() -> World:
    world = await two_versions()
    world.records_away = True
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    return world


@PHASES.add("model-reset", "a reset has been carried out: the base model answers", Means.DONE)
async def _() -> World:
    world = await two_versions()
    world.annotate_as_user("OneSeekModel", "zero", reset="RESET")
    await settle(world)
    return world
