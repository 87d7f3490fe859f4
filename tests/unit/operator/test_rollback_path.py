"""The files that a rollback passes, from the annotation's event to the patch of the Service: a newcomer reads these."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from types import FrameType, ModuleType, SimpleNamespace
from typing import Any, cast

import pytest

from oneseek_operator.deps import Deps
from oneseek_operator.handlers import daemons
from oneseek_operator.requests import model as requests
from oneseek_operator.resources import serving
from oneseek_operator.rollout import plan, strategy
from support.choices import trained
from support.makers import SETTINGS

PATH = [
    "handlers/daemons.py",
    "reconcile/model.py",
    "model/decide.py",
    "requests/model.py",
    "requests/annotations.py",
    "rollout/plan.py",
    "versions/selection.py",
    "rollout/strategy.py",
    "rollout/bluegreen.py",
    "resources/serving.py",
    "reconcile/apply.py",
    "clients/kubernetes.py",
]
# What decides: the request is found, written down and followed, a version and a strategy are chosen, the Service flips.
DECISIONS: list[tuple[ModuleType, str, Callable[[Any], bool]]] = [
    (requests, "find_request", lambda found: found is not None),
    (requests, "accepted", lambda _: True),
    (requests, "act", lambda status: status.request is not None and status.request.reason == "RollingOut"),
    (plan, "choose", lambda choice: choice.why == "rollback"),
    (strategy, "choose_strategy", lambda _: True),
    (plan, "blue_green", lambda _: True),
    (serving, "service", lambda _: True),
]


class Passed:
    """The operator's files on the call stacks of the decisions, in the order in which control first reaches them."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def add(self, file: str) -> None:
        _, found, path = file.partition("oneseek_operator/")
        if found and path not in self.files:
            self.files.append(path)

    def stack(self) -> None:
        frame: FrameType | None = sys._getframe(1)
        files = []
        while frame:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        for file in reversed(files):
            self.add(file)

    def watched(self, function: Any, counts: Callable[[Any], bool]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            result = function(*args, **more)
            if counts(result):
                self.stack()
                self.add(function.__code__.co_filename)
            return result

        return call


async def test_a_rollback_passes_twelve_files_from_the_annotation_to_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, passed, flipped = await trained(2, promotion={"strategy": "BlueGreen"}), Passed(), asyncio.Event()
    apply, port, key = world.apply, cast("Any", world), ("OneSeekModel", "team", "zero")
    deps = Deps(settings=SETTINGS, cluster=port, sidecars=port, records=port, authority=port, now=world.clock)
    deps.contacts[key] = world.contacts
    monkeypatch.setattr(deps.followers, "follow", lambda *_: None)
    for module, name, counts in DECISIONS:
        monkeypatch.setattr(module, name, passed.watched(getattr(module, name), counts))
    passed.add(daemons.model_changed.__code__.co_filename)  # the event; it sets the flag that the loop waits for

    async def patched(manifest: dict[str, Any]) -> None:
        if (manifest["kind"], manifest["metadata"]["name"]) == ("Service", "zero"):
            passed.stack()
            passed.add("oneseek_operator/clients/kubernetes.py")  # the simulated cluster stands in its place
            flipped.set()
        await apply(manifest)

    monkeypatch.setattr(world, "apply", patched)
    world.annotate_as_user("OneSeekModel", "zero", rollback="previous")
    model, memo = world.objects[key], SimpleNamespace(deps=deps)
    loop = asyncio.create_task(
        daemons.keep_model("team", "zero", body=cast("Any", model), stopped=cast("Any", []), memo=memo)
    )
    async with asyncio.timeout(60):
        while not flipped.is_set():
            event = {"namespace": "team", "name": "zero", "body": cast("Any", model), "memo": memo}
            await daemons.model_changed(type="MODIFIED", **event)
            world.tick()
            await asyncio.sleep(0.01)
    loop.cancel()
    assert passed.files == PATH
