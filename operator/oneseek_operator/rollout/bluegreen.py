"""One step of a rollout, by the way it is done: the first colour, beside the old one, within its pod, after it, or none. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import CandidateRef
from oneseek_operator.actions import Action, Apply, Delete, Scale
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.observe.rollout import Snapshot, wanted_replicas
from oneseek_operator.resources import serving as build
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout import analysis as proof
from oneseek_operator.rollout import analysis_run, hotswap
from oneseek_operator.rollout.strategy import ChosenStrategy
from oneseek_operator.settings import Settings
from oneseek_operator.versions.selection import Choice

__all__ = ["Aim", "Move", "Situation", "is_same_version", "move"]


@dataclass(frozen=True, slots=True)
class Aim:
    """The choice as colours: what should answer, and what is tried out beside it until a person promotes it."""

    choice: Choice
    target: Colour
    preview: Colour | None


@dataclass(frozen=True, slots=True)
class Situation:
    """What a step depends on; `way` only where something is rolled out."""

    snapshot: Snapshot
    aim: Aim
    way: ChosenStrategy | None
    settings: Settings
    now: datetime

    @property
    def waits(self) -> bool:
        """Whether the flip would be a promotion, which waits for the ledger; going back never waits."""
        target, current = self.aim.target, self.snapshot.model.status.current
        promotion = self.aim.choice.is_forward and target.dna is not None
        return bool(self.snapshot.records_away) and promotion and (current is None or current.dna != target.dna)


@dataclass(frozen=True, slots=True)
class Move:
    """What to do, which colour the Service selects afterwards, and how far the version is that is rolled out.

    `forward`: it is a promotion. `swapped`: that colour's pods are to answer with `target` from now on.
    """

    serving: str
    target: Colour
    preview: Colour | None
    before: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    candidate: CandidateRef | None = None
    ready: bool = True
    rolling: Colour | None = None
    held: Problem | None = None  # what it waits for, where no pod can say
    swapped: bool = False
    forward: bool = False


def move(at: Situation) -> Move:
    """The next step towards the aim."""
    return replace(_move(at), forward=at.aim.choice.is_forward)


def _move(at: Situation) -> Move:
    snapshot, target, way = at.snapshot, at.aim.target, at.way.name if at.way else None
    serving = snapshot.serving
    if serving is None:
        before = (*hotswap.bring_up(snapshot, target), _service(at, target.name))
        return Move(target.name, target, at.aim.preview, before=before)
    if serving == target.name:
        return _settled(at, serving)
    if way == "HotSwap":
        return _within(at, serving)
    if way == "Recreate":
        return _after(at, serving)
    if not wanted_replicas(snapshot.model) and at.aim.choice.is_forward:
        return Move(serving, target, at.aim.preview, before=_scaled(snapshot, serving), rolling=target)
    return _beside(at, serving)


def _beside(at: Situation, serving: str) -> Move:
    """BlueGreen."""
    snapshot, target = at.snapshot, at.aim.target
    up = tuple(hotswap.bring_up(snapshot, target))
    candidate, ready = _tried(at, target)
    if ready and not at.waits:
        return Move(target.name, target, at.aim.preview, before=(*up, _service(at, target.name)))
    return Move(
        serving,
        target,
        at.aim.preview,
        before=(*up, *_scaled(snapshot, serving)),
        candidate=candidate,
        ready=ready,
        rolling=target,
    )


def _within(at: Situation, serving: str) -> Move:
    """HotSwap."""
    snapshot, target = at.snapshot, _as_serving(at, at.aim.target, serving)
    known = _candidate(target, snapshot.model.status.candidate, at.now)
    back = not at.aim.choice.is_forward
    step = hotswap.step(snapshot, target, known, at.now, back=back, may_flip=not at.waits)
    return Move(
        serving,
        target,
        at.aim.preview,
        before=step.before,
        after=(*step.after, *_without_place(snapshot, target)),
        candidate=step.candidate,
        ready=step.ready,
        rolling=target,
        swapped=step.flipped,
    )


def _after(at: Situation, serving: str) -> Move:
    """Recreate. The Service moves last, so that a version that fails leads back to the old colour."""
    snapshot, target = at.snapshot, at.aim.target
    known = snapshot.model.status.candidate
    announced = (known is not None and known.dna == target.dna) or target.dna is None
    if at.waits or not announced:  # nothing is stopped for what may not take over; the ledger is asked once it is known
        waiting = Problem(names.RECORDS_UNAVAILABLE, f"it waits for the ledger: {snapshot.records_away}")
        return Move(
            serving,
            target,
            at.aim.preview,
            before=_scaled(snapshot, serving),
            candidate=_candidate(target, known, at.now),
            ready=False,
            rolling=target,
            held=waiting if at.waits else None,
        )
    stop = tuple(
        Scale(item.name, 0, item.uid) for item in snapshot.deployments if item.colour == serving and item.replicas
    )
    up = () if snapshot.pods_of(serving) else tuple(hotswap.bring_up(snapshot, target))
    candidate, ready = _tried(at, target)
    if ready:
        return Move(target.name, target, at.aim.preview, before=(*up, _service(at, target.name)), after=stop)
    return Move(
        serving,
        target,
        at.aim.preview,
        before=up,
        after=stop,
        candidate=candidate,
        ready=False,
        rolling=target,
    )


def _settled(at: Situation, serving: str) -> Move:
    """What should answer is selected; a version that waits for a person may be tried out beside it."""
    snapshot, target, preview, model = at.snapshot, at.aim.target, at.aim.preview, at.snapshot.model
    before = list(hotswap.bring_up(snapshot, target))
    if snapshot.service and snapshot.service.type != model.spec.serving.service_type:
        before.append(Apply(build.service(model, colour=target.name, flipped_at=snapshot.service.flipped_at)))
    after: list[Action] = []
    way = at.way.name if at.way and preview else None
    if way != "HotSwap":
        after += hotswap.reminders(snapshot, target.name, at.now)
    if preview is None:
        return Move(serving, target, None, before=tuple(before), after=tuple(after))
    candidate, held = _candidate(preview, model.status.candidate, at.now), None
    if way == "HotSwap":
        preview = _as_serving(at, preview, serving)
        step = hotswap.step(snapshot, preview, candidate, at.now, back=False, may_flip=False)
        after += [*step.after, *_without_place(snapshot, preview)]
        candidate, ready = step.candidate, step.ready
    elif way == "Recreate":
        after += _without_place(snapshot, preview)
        ready = False
        sentence = "it cannot be tried out: what answers would have to stop; promote it by name to have that done"
        held = Problem(names.NO_ROOM, sentence)
    else:
        before += hotswap.bring_up(snapshot, preview)
        candidate, ready = _tried(at, preview)
    return Move(
        serving,
        target,
        preview,
        before=tuple(before),
        after=tuple(after),
        candidate=candidate,
        ready=ready,
        rolling=None if ready or held else preview,
        held=held,
    )


def is_same_version(model: OneSeekModel, colour: Colour) -> bool:
    """Whether the colour serves what answers already, if in another way."""
    return colour.dna == (model.status.current.dna if model.status.current else None)


def _tried(at: Situation, colour: Colour) -> tuple[CandidateRef | None, bool]:
    """The colour as candidate, and whether it may be flipped to."""
    snapshot = at.snapshot
    wanted = wanted_replicas(snapshot.model)
    candidate = _candidate(colour, snapshot.model.status.candidate, at.now)
    back = not at.aim.choice.is_forward and colour is at.aim.target and not is_same_version(snapshot.model, colour)
    if is_same_version(snapshot.model, colour) and colour.name == snapshot.model.status.colour:
        back, candidate = True, None  # the status still names it: it answered until a flip that is taken back now
    known = candidate is not None and candidate.proved_at is not None
    if back or known:
        serving = [
            pod for pod in snapshot.pods_of(colour.name) if pod.ready and snapshot.endpoint(pod).serves(colour.dna)
        ]
        current = snapshot.model.status.current
        answers = current is None or current.dna not in {item.dna for item in snapshot.model.status.quarantine}
        held = answers and snapshot.confirms(snapshot.serving or "", current.dna if current else None)
        return candidate, len(serving) >= (wanted if held else min(wanted, 1))
    done = proof.proved(snapshot, colour, analysis_run.of_candidate(snapshot.model, at.settings, colour.dna))
    if done and candidate:
        candidate = candidate.model_copy(update={"proved_at": timestamp(at.now)})
    return candidate, done


def _candidate(colour: Colour, old: CandidateRef | None, now: datetime) -> CandidateRef | None:
    if old and old.dna == colour.dna:
        return old
    if colour.dna is None or colour.digest is None:
        return None
    return CandidateRef(dna=colour.dna, digest=colour.digest, since=timestamp(now))


def _as_serving(at: Situation, colour: Colour, serving: str) -> Colour:
    """The version under the name of the colour that takes it over."""
    return build.colour_of(at.snapshot.model, at.settings, dna=colour.dna, digest=colour.digest, name=serving)


def _without_place(snapshot: Snapshot, colour: Colour) -> list[Action]:
    """Colours of the version that never came up: another pod has it now."""
    return [
        Delete("Deployment", item.name, item.uid)
        for item in snapshot.deployments
        if item.colour != snapshot.serving and item.shape == colour.shape and item.dna == colour.dna and not item.ready
    ]


def _service(at: Situation, colour: str) -> Action:
    return Apply(build.service(at.snapshot.model, colour=colour, flipped_at=timestamp(at.now)))


def _scaled(snapshot: Snapshot, colour: str) -> tuple[Action, ...]:
    """The colour that answers has as many pods as the spec asks for while another one is on its way."""
    wanted = wanted_replicas(snapshot.model)
    return tuple(
        Scale(item.name, wanted, item.uid)
        for item in snapshot.deployments
        if item.colour == colour and item.replicas != wanted and not item.terminating
    )
