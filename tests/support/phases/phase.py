"""What a phase is, and how it is recorded."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from support.phases.scenes import MODEL, RUN
from support.world import World
from support.world.api_server import Object

__all__ = ["Means", "Phase", "Phases", "record"]

_COLOUR = "0123abcd"  # a colour is a hash of the pod template, which is nobody's business here
_POD = re.compile(r"(pod zero-|Job 'zero-tree-)[0-9a-f]{8}(?=[-'])")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Means(Enum):
    """What a phase is to somebody who waits for the object."""

    DONE = "done"
    UNDER_WAY = "under way"
    NEEDS_A_PERSON = "needs a person"
    WAITS = "waits to be promoted"
    STOPPED = "stopped on purpose"
    LEAVING = "being deleted"


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase: the object's key, how it comes about, what it means."""

    slug: str
    says: str
    means: Means
    bring_about: Callable[[], Awaitable[World]]
    key: tuple[str, str, str]
    answers: bool = False  # the model serves, whatever else is under way: Ready is True


class Phases(list[Phase]):
    """The phases of one module, in the order in which they stand there."""

    def add(
        self, slug: str, says: str, means: Means, *, answers: bool | None = None
    ) -> Callable[[Callable[[], Awaitable[World]]], Callable[[], Awaitable[World]]]:
        """Add one; decorates what brings it about."""
        key = RUN if slug.startswith("run-") else MODEL
        ready = means in (Means.DONE, Means.WAITS) if answers is None else answers

        def one(bring_about: Callable[[], Awaitable[World]]) -> Callable[[], Awaitable[World]]:
            self.append(Phase(slug, says, means, bring_about, key, ready))
            return bring_about

        return one


async def record(phase: Phase) -> Object:
    """The object in that phase, without what differs from one recording to the next or has no reader."""
    world = await phase.bring_about()
    found = copy.deepcopy(world.objects[phase.key])
    found["metadata"].pop("resourceVersion")
    if phase.key[0] == "TrainingRun":
        found["spec"].setdefault("type", "Major")  # as the schema does
    found["metadata"]["uid"] = f"uid-of-{phase.key[2]}"
    status = found.get("status", {})
    for name in ("outbox", "ledger", "counters", "jobs"):
        status.pop(name, None)
    if "resolved" in status:
        status["resolved"].pop("specDigest")
    if "strategy" in status:
        status["strategy"]["colour"] = _COLOUR
    if "request" in status:
        status["request"]["id"] = "0123456789abcdef"
    text = json.dumps(found)
    if colour := status.get("selector", "").partition("colour=")[2].partition(",")[0]:
        text = text.replace(colour, _COLOUR)
    steady: Object = json.loads(_POD.sub(rf"\g<1>{_COLOUR}", _MOMENT.sub("2026-01-01T00:00:00Z", text)))
    return steady
