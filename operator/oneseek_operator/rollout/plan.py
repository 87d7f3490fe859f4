"""Which colour answers, which is being tried, which is let go. Pure.

The Service's selector is the truth about who answers; the status follows it once everybody else hands over. So a crash
between the flip and the status write ends in the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import CandidateRef, Quarantined, StrategyUse, Version, VersionRef
from oneseek_operator.actions import Action
from oneseek_operator.conditions import Verdict, timestamp
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.observe.pods import PodView
from oneseek_operator.observe.rollout import Snapshot, wanted_replicas
from oneseek_operator.resources import serving as build
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout import analysis as proof
from oneseek_operator.rollout import analysis_run, bluegreen, handover, hotswap, status, strategy, takeover
from oneseek_operator.rollout import previous as beside
from oneseek_operator.rollout.bluegreen import Aim, Move, is_same_version
from oneseek_operator.rollout.drain import let_go, stopping
from oneseek_operator.rollout.handover import Takeover
from oneseek_operator.rollout.strategy import ChosenStrategy
from oneseek_operator.settings import Settings
from oneseek_operator.versions import states as versions_of
from oneseek_operator.versions.selection import QUARANTINE_LIMIT, Choice, choose, left_by_rollback, with_room

__all__ = ["Plan", "plan", "quarantined"]

_POLL = 1.0  # seconds between looks at sidecars while a rollout or a drain is under way
_WATCH_POLL = 5.0  # and while a new version is watched


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, and what the status says."""

    verdict: Verdict
    choice: Choice
    before: tuple[Action, ...]
    after: tuple[Action, ...]
    quarantine: list[Quarantined]
    versions: list[Version]
    current: VersionRef | None
    previous: VersionRef | None
    candidate: CandidateRef | None
    strategy: StrategyUse | None
    colour: str | None
    replicas: int
    selector: str | None
    verified: tuple[bool, str, str] | None
    candidate_ready: tuple[bool, str, str] | None
    again_after: float | None
    asks_service: bool
    events: tuple[tuple[bool, str, str], ...] = ()


def _colour(snapshot: Snapshot, version: Version | None, settings: Settings) -> Colour:
    """The colour that serves the version: one that does already, else a new one of a name that nobody has."""
    model = snapshot.model
    dna, digest = (version.dna, version.digest) if version else (None, None)
    fresh = build.colour_of(model, settings, dna=dna, digest=digest)
    if not fresh.shape:
        return fresh
    same = [
        item for item in snapshot.deployments if item.shape == fresh.shape and item.dna == dna and not item.terminating
    ]
    taken, name, number = {item.colour for item in snapshot.deployments}, fresh.key, 0
    if same:
        name = min(same, key=lambda item: (item.colour != snapshot.serving, item.colour)).colour
    else:
        while name in taken:  # it was made for this version and has taken over another one since
            number += 1
            name = names.short_hash(fresh.key, str(number))
    return build.colour_of(model, settings, dna=dna, digest=digest, name=name)


def _aim(snapshot: Snapshot, versions: Sequence[Version], settings: Settings) -> Aim:
    choice = choose(snapshot.model, versions)
    waiting = choice.waiting if wanted_replicas(snapshot.model) else None
    preview = _colour(snapshot, waiting, settings) if waiting else None
    return Aim(choice, _colour(snapshot, choice.version, settings), preview)


def plan(snapshot: Snapshot, settings: Settings, now: datetime) -> Plan:
    """Bring the wanted colour up, flip to it when it has proved itself, let the others go."""
    model = snapshot.model
    aim, quarantine, rejected = _settled(snapshot, settings, now)
    known = model.model_copy(update={"status": model.status.model_copy(update={"quarantine": quarantine})})
    snapshot = replace(snapshot, model=known, versions=tuple(versions_of.barred(snapshot.versions, quarantine)))
    zero = not wanted_replicas(model)
    way, used = _way(snapshot, aim, now)
    move = bluegreen.move(bluegreen.Situation(snapshot, aim, way, settings, now))
    target, preview, serving, candidate = move.target, move.preview, move.serving, move.candidate
    to = _takeover(snapshot, move)
    takeover_state = takeover.progress(snapshot, to, now, flips=serving != snapshot.serving or move.swapped, zero=zero)
    # Where the status changes who may answer, all must have been told first; else who was not told is told again.
    strict = not takeover_state.done or quarantine != model.status.quarantine
    told, lost = handover.orders(snapshot, to), handover.replaced(snapshot, to, now) if strict else []
    current, previous = model.status.current, model.status.previous
    moved = takeover_state.done and not zero and (current.dna if current else None) != to.dna
    if moved:
        current = takeover.reference(snapshot, target, to.dna, now)
    stands = _standing(model, snapshot, to, current, now)
    if moved:
        previous = _left_behind(model.status.current, previous, to.dna, stands)
    snapshot = replace(snapshot, versions=tuple(versions_of.barred(snapshot.versions, stands)))
    if previous is None or previous.dna in {item.dna for item in stands}:
        previous = versions_of.served_before(snapshot.versions, current)
    kept = {target.name, serving, *([preview.name] if preview else [])}
    going, letting_go = let_go(
        snapshot,
        keep={serving} if zero else kept,
        serving=serving,
        now=now,
    )
    if not takeover_state.done:
        going, letting_go = [], True  # who was left behind is needed until it is certain who answers
    before = [
        *(told if strict else []),
        *(item for item, _ in lost),
        *beside.withdrawn(snapshot, to.barred),
        *move.before,
    ]
    after = [
        *move.after,
        *([] if strict else told),
        *analysis_run.orders(
            snapshot, settings, candidates=_untried(snapshot, move), watched=_watched(snapshot, move, now)
        ),
    ]
    after += beside.told(snapshot, serving=serving, current=current, previous=previous, going=going)
    after += [*going, *hotswap.orphans(model, snapshot.wanted, snapshot.deployments, kept=kept)]
    speaking, events = stopping(snapshot)
    rolling = None if zero else move.rolling
    if not takeover_state.done and serving == target.name:
        rolling, tried = rolling or target, model.status.candidate
        candidate = candidate or (tried if tried and tried.dna == target.dna else None)
    verdict = status.verdict(
        snapshot,
        aim.choice,
        now,
        serving=serving,
        takeover_state=takeover_state,
        current=current,
        rolling=rolling,
        proved=move.ready,
        rejected=rejected,
        held=move.held,
    )
    watched = analysis_run.is_watched(model, now) or not is_same_version(model, target)
    busy = serving != snapshot.serving or rolling is not None or letting_go or speaking or verdict.state == "Working"
    looks = [_POLL] if busy else [float(model.spec.certification.verify_interval_seconds)]
    if takeover_state.is_flipped:
        looks.append(takeover.soon(snapshot, now))
    return Plan(
        verdict=verdict,
        choice=aim.choice,
        before=tuple(before),
        after=tuple(after),
        quarantine=stands,
        versions=versions_of.with_states(
            versions_of.served(snapshot.versions, current), _roles(current, previous, candidate), rejected
        ),
        current=current,
        previous=previous,
        candidate=candidate,
        strategy=used,
        colour=serving if takeover_state.done else model.status.colour,
        replicas=sum(item.replicas for item in snapshot.deployments if item.colour == serving),
        selector=build.selector_text(model, serving),
        verified=status.verified(snapshot, serving),
        candidate_ready=status.candidate_ready(
            snapshot, aim.choice, candidate, preview=preview, rolling=rolling, ready=move.ready, held=move.held
        ),
        again_after=min([*looks, *([_WATCH_POLL] if watched else [])]),
        asks_service=takeover_state.asks_service,
        events=(*events, *((True, names.POD_NOT_TOLD, text) for _, text in lost)),
    )


def _takeover(snapshot: Snapshot, move: Move) -> Takeover:
    """Who is to answer once this step is done."""
    there = next((item for item in snapshot.deployments if item.colour == move.serving), None)
    stays = there is not None and move.serving == snapshot.serving and not move.swapped
    dna = there.dna if there and stays else move.target.dna
    trial = {move.target.name, *([move.preview.name] if move.preview else [])} - {move.serving}
    barred = frozenset(item.dna for item in snapshot.model.status.quarantine)
    if dna in barred:  # nobody answers until the target does
        return Takeover(move.target.dna, None, dna, trial=frozenset(trial), barred=barred)
    return Takeover(dna, move.serving, trial=frozenset(trial), barred=barred)


def _untried(snapshot: Snapshot, move: Move) -> list[tuple[str, str | None]]:
    """Colours, with their versions, whose pods have to prove themselves; those within a pod that answers do it by a swap."""
    known = snapshot.model.status.candidate
    found = [move.preview] if move.preview else []
    if snapshot.serving is not None and (move.forward or is_same_version(snapshot.model, move.target)):
        found.append(move.target)
    return [
        (colour.name, colour.dna)
        for colour in found
        if colour.name != move.serving and not (known and known.dna == colour.dna and known.proved_at)
    ]


def _watched(snapshot: Snapshot, move: Move, now: datetime) -> str:
    """The colour whose pods are asked again and again, if it is."""
    current = snapshot.model.status.current
    stays = move.serving == snapshot.serving and not move.swapped
    right = current is not None and _dna_of_colour(snapshot, snapshot.serving) == current.dna
    return move.serving if stays and right and analysis_run.is_watched(snapshot.model, now) else ""


def _standing(
    model: OneSeekModel, snapshot: Snapshot, to: Takeover, current: VersionRef | None, now: datetime
) -> list[Quarantined]:
    """The quarantine (`seen` has all of it) as it may stand in the status: without those who may answer somebody still.

    What a person went back from goes in once another version answers; until then it answers on, and nobody waits.
    """
    quarantine = snapshot.model.status.quarantine
    old = {item.dna for item in model.status.quarantine}
    stands = [item for item in quarantine if item.dna in old or not handover.may_answer(snapshot, to, item.dna, now)]
    left = left_by_rollback(model)
    version = next((item for item in snapshot.versions if item.dna == left), None)
    if version is None or left in {item.dna for item in quarantine} or version.state == names.STATE_DELETED:
        return stands
    if wanted_replicas(model):
        over = (current.dna if current else None) != left
    else:
        over = not any(handover.dna_of_pod(snapshot, pod) == left for pod in snapshot.pods)
    if not over:
        return stands
    request = model.status.request
    by = request.requested_by if request and request.verb == "rollback" else ""
    return _with(
        stands, version.dna, Problem(names.ROLLED_BACK, f"{by or 'somebody'} went back from it"), now, snapshot.versions
    )


def _settled(snapshot: Snapshot, settings: Settings, now: datetime) -> tuple[Aim, list[Quarantined], dict[str, str]]:
    """The aim once every version that cannot be it is out, and why those are."""
    model, quarantine, rejected = snapshot.model, quarantined(snapshot, now), dict(snapshot.missed)
    while True:
        known = model.model_copy(update={"status": model.status.model_copy(update={"quarantine": quarantine})})
        versions = versions_of.barred(snapshot.versions, quarantine)
        judged = replace(snapshot, model=known)
        aim = _aim(
            judged, [item for item in versions if item.dna not in rejected or item.dna in snapshot.missed], settings
        )
        failed = _failed(snapshot, aim, settings, now)
        if failed is None:
            return aim, quarantine, rejected
        dna, why = failed
        rejected[dna] = f"{why.reason}: {why.message}"
        quarantine = _with(quarantine, dna, why, now, snapshot.versions)


def _failed(snapshot: Snapshot, aim: Aim, settings: Settings, now: datetime) -> tuple[str, Problem] | None:
    """A version that is tried and will not come up; never the one that answers, whose new template just waits."""
    for colour in (aim.target, aim.preview):
        if colour is None or colour.dna is None or snapshot.serving is None or is_same_version(snapshot.model, colour):
            continue
        if why := hotswap.failure(snapshot, snapshot.serving, colour.dna):
            return colour.dna, why
        if colour.name == snapshot.serving:
            continue
        if why := proof.given_up(snapshot, colour, settings, now):
            return colour.dna, why
    return None


def quarantined(snapshot: Snapshot, now: datetime) -> list[Quarantined]:
    """The quarantine, with every version that a verifier refuses now, or that fails while it is watched.

    A damaged base model condemns no version; a deleted version needs no quarantine.
    """
    deleted = {item.dna for item in snapshot.versions if item.state == names.STATE_DELETED}
    known = [item for item in snapshot.model.status.quarantine if item.dna not in deleted]
    for pod in snapshot.pods:
        said = snapshot.endpoint(pod).verdict
        dna, why = (said.dna if said and said.dna else _dna_of(snapshot, pod)), proof.refusal(snapshot, pod)
        if dna is not None and why is not None and why.reason != names.BASE_DIGEST_DIFFERS:
            known = _with(known, dna, why, now, snapshot.versions)
    if (watched := _answering(snapshot, now)) and (failed := proof.watch_failure(snapshot, watched, now)):
        why = Problem(failed.reason, f"while it was watched: {failed.message}")
        known = _with(known, watched.dna, why, now, snapshot.versions)
    return known


def _answering(snapshot: Snapshot, now: datetime) -> VersionRef | None:
    """The version that answers, where it is watched: from the flip on, before the status names it."""
    current, candidate, dna = (
        snapshot.model.status.current,
        snapshot.model.status.candidate,
        _dna_of_colour(snapshot, snapshot.serving),
    )
    if current and dna == current.dna:
        return current if analysis_run.is_watched(snapshot.model, now) else None
    flipped = candidate is not None and candidate.proved_at is not None and dna == candidate.dna
    return candidate if flipped and snapshot.model.spec.promotion.watch.seconds else None


def _with(
    known: list[Quarantined], dna: str, why: Problem, now: datetime, versions: Sequence[Version]
) -> list[Quarantined]:
    if dna in {item.dna for item in known}:
        return known
    known = with_room(known, versions)
    if len(known) >= QUARANTINE_LIMIT:
        return known
    return [*known, Quarantined(dna=dna, reason=why.reason, message=why.message[:256], since=timestamp(now))]


def _dna_of(snapshot: Snapshot, pod: PodView) -> str | None:
    return _dna_of_colour(snapshot, pod.labels.get(names.LABEL_COLOUR))


def _dna_of_colour(snapshot: Snapshot, colour: str | None) -> str | None:
    return next((item.dna for item in snapshot.deployments if item.colour == colour), None)


def _left_behind(
    current: VersionRef | None, previous: VersionRef | None, new: str | None, quarantine: Sequence[Quarantined]
) -> VersionRef | None:
    """Of the two that the status names, the last that served, is not the new one and is not in quarantine."""
    out = {item.dna for item in quarantine} | {new}
    return next((item for item in (current, previous) if item and item.dna not in out), None)


def _roles(current: VersionRef | None, previous: VersionRef | None, candidate: VersionRef | None) -> dict[str, str]:
    roles = {}
    for reference, state in (
        (previous, names.STATE_PREVIOUS),
        (candidate, names.STATE_CANDIDATE),
        (current, names.STATE_CURRENT),
    ):
        if reference:
            roles[reference.dna] = state
    return roles


def _way(snapshot: Snapshot, aim: Aim, now: datetime) -> tuple[ChosenStrategy | None, StrategyUse | None]:
    """How what is rolled out takes over, and what the status says of it; without a rollout: of the one before."""
    told = snapshot.model.status.strategy
    if snapshot.serving is None or not wanted_replicas(snapshot.model):
        return None, told
    colour = aim.target if snapshot.serving != aim.target.name else aim.preview
    if colour is None:
        return None, told
    forward = aim.choice.is_forward or colour is aim.preview
    way = strategy.choose_strategy(strategy.situation(snapshot, colour, forward=forward, now=now))
    return way, strategy.strategy_use(way, colour)
