"""Which colour answers, which is being tried, which is let go. Pure.

The Service's selector is the truth about who answers; the status follows it. So a crash between the flip and the
status write ends in the same place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import CandidateRef, OneSeekModel, Quarantined, Version, VersionRef
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_operator.build import serving as build
from oneseek_operator.build.serving import Colour
from oneseek_operator.conditions import Verdict, timestamp
from oneseek_operator.decide import proof, telling
from oneseek_operator.decide import versions as versions_of
from oneseek_operator.decide.actions import Action, Apply, Scale
from oneseek_operator.decide.jobs import Trouble
from oneseek_operator.decide.letting_go import left_behind, let_go, stopping, taken_again
from oneseek_operator.decide.seen import Endpoint, Seen, wanted_replicas
from oneseek_operator.decide.selection import QUARANTINE_LIMIT, Choice, choose
from oneseek_operator.decide.views import PodView
from oneseek_operator.settings import Settings

__all__ = ["Endpoint", "Plan", "Seen", "asking", "plan"]

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
    colour: str | None
    replicas: int
    selector: str | None
    verified: tuple[bool, str, str] | None
    candidate_ready: tuple[bool, str, str] | None
    again_after: float | None
    events: tuple[tuple[bool, str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Aim:
    """The choice as colours: what should answer, and what is tried out beside it until a person promotes it."""

    choice: Choice
    target: Colour
    preview: Colour | None


def _colour(model: OneSeekModel, version: Version | None, settings: Settings) -> Colour:
    dna, digest = (version.dna, version.digest) if version else (None, None)
    return build.colour_of(model, settings, dna=dna, digest=digest)


def _aim(model: OneSeekModel, versions: Sequence[Version], settings: Settings) -> _Aim:
    choice = choose(model, versions)
    waiting = choice.waiting if wanted_replicas(model) else None
    preview = _colour(model, waiting, settings) if waiting else None
    return _Aim(choice, _colour(model, choice.version, settings), preview)


def asking(seen: Seen, settings: Settings, now: datetime) -> tuple[Mapping[str, Sequence[Probe]], Collection[str]]:
    """What the pods of which colour are to be asked now; and the colours whose pods need only be looked at once ready."""
    model, serving = seen.model, seen.serving
    aim = _aim(model, versions_of.barred(seen.versions, model.status.quarantine), settings)
    candidates = [aim.preview] if aim.preview else []
    if serving not in (None, aim.target.name) and (aim.choice.is_forward or _is_same_version(model, aim.target)):
        candidates.append(aim.target)
    questions: dict[str, Sequence[Probe]] = {}
    for colour in candidates:
        known = model.status.candidate
        if known and known.dna == colour.dna and known.proved_at:
            continue
        ready = [pod for pod in seen.pods_of(colour.name) if pod.ready]
        if ready and len(ready) >= wanted_replicas(model):
            questions[colour.name] = proof.probes_of(model, settings)
    if serving and model.spec.promotion.probes and proof.is_watched(model, now):
        questions[serving] = model.spec.promotion.probes
    return questions, {aim.target.name, *([aim.preview.name] if aim.preview else [])}


def _is_same_version(model: OneSeekModel, colour: Colour) -> bool:
    return colour.dna == (model.status.current.dna if model.status.current else None)


def plan(seen: Seen, settings: Settings, now: datetime) -> Plan:
    """Bring the wanted colour up, flip to it when it has proved itself, let the others go."""
    model = seen.model
    aim, quarantine, rejected = _settled(seen, settings, now)
    known = model.model_copy(update={"status": model.status.model_copy(update={"quarantine": quarantine})})
    seen = replace(seen, model=known, versions=tuple(versions_of.barred(seen.versions, quarantine)))
    target, preview, zero = aim.target, aim.preview, not wanted_replicas(model)
    before: list[Action] = []
    after: list[Action] = []
    current, previous = model.status.current, model.status.previous
    candidate: CandidateRef | None = None
    serving, ready = seen.serving, True
    if serving is None:
        before += [*_bring_up(seen, target), _service(seen, target.name, now)]
        serving = target.name
    elif serving != target.name and not (zero and aim.choice.is_forward):
        before += _bring_up(seen, target)
        candidate, ready = _tried(seen, aim, target, settings, now)
        if ready and not (seen.records_away and _is_promotion(aim.choice, current, target)):
            before.append(_service(seen, target.name, now))
            after += [*left_behind(seen, target.name), *taken_again(seen, target.name)]
            serving, candidate = target.name, None
        else:
            before += _scaled(seen, serving)
    elif serving != target.name:
        before += _scaled(seen, serving)
    else:
        before += _bring_up(seen, target)
        after += taken_again(seen, target.name)
        if seen.service and seen.service.type != model.spec.serving.service_type:
            before.append(Apply(build.service(model, colour=target.name, flipped_at=seen.service.flipped_at)))
        if preview:
            before += _bring_up(seen, preview)
            candidate, ready = _tried(seen, aim, preview, settings, now)
    if serving == target.name and seen.confirms(target.name, target.dna) and not _is_same_version(model, target):
        previous = _left_behind(current, previous, target, quarantine)
        current = _reference(target, now)
    going, letting_go = let_go(
        seen,
        keep={serving} if zero else {target.name, serving, *([preview.name] if preview else [])},
        serving=serving,
        now=now,
    )
    after += going
    speaking, events = stopping(seen)
    rolling = target if serving != target.name and not zero else (preview if preview and not ready else None)
    verdict = telling.verdict(
        seen,
        aim.choice,
        now,
        serving=serving,
        current=current,
        rolling=rolling,
        proved=ready,
        rejected=rejected,
    )
    watched = proof.is_watched(model, now) or not _is_same_version(model, target)
    busy = serving != seen.serving or rolling is not None or letting_go or speaking or verdict.state == "Working"
    looks = [_POLL] if busy else [float(model.spec.certification.verify_interval_seconds)]
    return Plan(
        verdict=verdict,
        choice=aim.choice,
        before=tuple(before),
        after=tuple(after),
        quarantine=quarantine,
        versions=versions_of.with_states(seen.versions, _roles(current, previous, candidate), rejected),
        current=current,
        previous=previous,
        candidate=candidate,
        colour=serving,
        replicas=sum(item.replicas for item in seen.deployments if item.colour == serving),
        selector=build.selector_text(model, serving),
        verified=telling.verified(seen, serving),
        candidate_ready=telling.candidate_ready(seen, candidate, preview, ready=ready),
        again_after=min([*looks, *([_WATCH_POLL] if watched else [])]),
        events=events,
    )


def _settled(seen: Seen, settings: Settings, now: datetime) -> tuple[_Aim, list[Quarantined], dict[str, str]]:
    """The aim once every version that cannot be it is out, and why those are."""
    model, quarantine, rejected = seen.model, quarantined(seen, now), dict(seen.missed)
    while True:
        known = model.model_copy(update={"status": model.status.model_copy(update={"quarantine": quarantine})})
        versions = versions_of.barred(seen.versions, quarantine)
        aim = _aim(known, [item for item in versions if item.dna not in rejected or item.dna in seen.missed], settings)
        failed = _failed(seen, aim, settings, now)
        if failed is None:
            return aim, quarantine, rejected
        dna, why = failed
        rejected[dna] = f"{why.reason}: {why.message}"
        quarantine = _with(quarantine, dna, why, now)


def _failed(seen: Seen, aim: _Aim, settings: Settings, now: datetime) -> tuple[str, Trouble] | None:
    """A version that is tried and will not come up; never the one that answers, whose new template just waits."""
    for colour in (aim.target, aim.preview):
        if colour is None or colour.dna is None or colour.name == seen.serving or seen.serving is None:
            continue
        if _is_same_version(seen.model, colour):
            continue
        if why := proof.given_up(seen, colour, settings, now):
            return colour.dna, why
    return None


def _tried(
    seen: Seen, aim: _Aim, colour: Colour, settings: Settings, now: datetime
) -> tuple[CandidateRef | None, bool]:
    """The colour as candidate, and whether it may be flipped to."""
    wanted = wanted_replicas(seen.model)
    candidate = _candidate(colour, seen.model.status.candidate, now)
    back = not aim.choice.is_forward and colour is aim.target and not _is_same_version(seen.model, colour)
    known = candidate is not None and candidate.proved_at is not None
    if back or known:
        serving = [pod for pod in seen.pods_of(colour.name) if pod.ready and seen.endpoint(pod).serves(colour.dna)]
        current = seen.model.status.current
        held = seen.confirms(seen.serving or "", current.dna if current else None)
        return candidate, len(serving) >= (wanted if held else min(wanted, 1))
    done = proof.proved(seen, colour, proof.probes_of(seen.model, settings))
    if done and candidate:
        candidate = candidate.model_copy(update={"proved_at": timestamp(now)})
    return candidate, done


def quarantined(seen: Seen, now: datetime) -> list[Quarantined]:
    """The quarantine, with every version that a verifier refuses now, or that fails while it is watched.

    A damaged base model condemns no version; a deleted version needs no quarantine.
    """
    deleted = {item.dna for item in seen.versions if item.state == names.STATE_DELETED}
    known = [item for item in seen.model.status.quarantine if item.dna not in deleted]
    for pod in seen.pods:
        dna, why = _dna_of(seen, pod), proof.refusal(seen, pod)
        if dna is not None and why is not None and why.reason != names.BASE_DIGEST_DIFFERS:
            known = _with(known, dna, why, now)
    current = seen.model.status.current
    if current and proof.is_watched(seen.model, now) and _dna_of_colour(seen, seen.serving) == current.dna:
        failed = proof.watch_failure(seen, current, now)
        if failed:
            known = _with(known, current.dna, Trouble(failed.reason, f"while it was watched: {failed.message}"), now)
    return known


def _with(known: list[Quarantined], dna: str, why: Trouble, now: datetime) -> list[Quarantined]:
    if dna in {item.dna for item in known} or len(known) >= QUARANTINE_LIMIT:
        return known
    return [*known, Quarantined(dna=dna, reason=why.reason, message=why.message[:256], since=timestamp(now))]


def _dna_of(seen: Seen, pod: PodView) -> str | None:
    return _dna_of_colour(seen, pod.labels.get(names.LABEL_COLOUR))


def _dna_of_colour(seen: Seen, colour: str | None) -> str | None:
    return next((item.dna for item in seen.deployments if item.colour == colour), None)


def _left_behind(
    current: VersionRef | None, previous: VersionRef | None, target: Colour, quarantine: Sequence[Quarantined]
) -> VersionRef | None:
    """The last version that served, is not the new one and is not in quarantine."""
    out = {item.dna for item in quarantine} | {target.dna}
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


def _reference(colour: Colour, now: datetime) -> VersionRef | None:
    if colour.dna is None or colour.digest is None:
        return None
    return VersionRef(dna=colour.dna, digest=colour.digest, since=timestamp(now))


def _candidate(colour: Colour, old: CandidateRef | None, now: datetime) -> CandidateRef | None:
    if old and old.dna == colour.dna:
        return old
    fresh = _reference(colour, now)
    return CandidateRef(**fresh.model_dump()) if fresh else None


def _service(seen: Seen, colour: str, now: datetime) -> Action:
    return Apply(build.service(seen.model, colour=colour, flipped_at=timestamp(now)))


def _bring_up(seen: Seen, target: Colour) -> list[Action]:
    """The target's Deployment, if it is missing or has another number of replicas."""
    wanted = wanted_replicas(seen.model)
    there = next((item for item in seen.deployments if item.colour == target.name), None)
    if there and there.replicas == wanted and not there.terminating:
        return []
    return [Apply(build.deployment(seen.model, target, replicas=wanted))]


def _scaled(seen: Seen, colour: str) -> list[Action]:
    """The colour that answers has as many pods as the spec asks for while another one is on its way."""
    wanted = wanted_replicas(seen.model)
    return [
        Scale(item.name, wanted)
        for item in seen.deployments
        if item.colour == colour and item.replicas != wanted and not item.terminating
    ]


def _is_promotion(choice: Choice, current: VersionRef | None, target: Colour) -> bool:
    """Whether a flip would be a promotion, which waits for the ledger; going back never waits."""
    return choice.is_forward and target.dna is not None and (current is None or current.dna != target.dna)
