"""Which colour answers, which is being tried, which is let go. Pure.

The Service's selector is the truth about who answers; the status follows it. So a crash between the flip and the
status write ends in the same place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel, Quarantined, Version, VersionRef
from oneseek_core.job_contract import ProbeAnswer, SidecarState, VerifyReport
from oneseek_operator.build import serving as build
from oneseek_operator.build.serving import Colour
from oneseek_operator.conditions import Verdict, find, timestamp
from oneseek_operator.decide import versions as versions_of
from oneseek_operator.decide.actions import Action, Apply, Delete, Drain
from oneseek_operator.decide.jobs import Trouble, container_failure, container_trouble, lasts
from oneseek_operator.decide.views import DeploymentView, PodView, ServiceView
from oneseek_operator.settings import Settings

__all__ = ["Endpoint", "Plan", "Seen", "colour_for", "plan"]

_CRASHED = (names.ENGINE_FAILED, names.OUT_OF_MEMORY)
_CRASHES = 3  # restarts after which a candidate is given up
_QUARANTINE_LIMIT = 64
_POLL = 1.0  # seconds between looks at sidecars while a rollout or a drain is under way
_SETTLE_SECONDS = 5  # after a flip: kube-proxies need a moment before old pods may go


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a pod's sidecar said, or why it said nothing; `probe` only where one was asked for."""

    state: SidecarState | None = None
    probe: ProbeAnswer | None = None
    error: str = ""
    verdict: VerifyReport | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """The part of the world a rollout looks at."""

    model: OneSeekModel
    versions: tuple[Version, ...]
    deployments: tuple[DeploymentView, ...]
    pods: tuple[PodView, ...]
    service: ServiceView | None
    endpoints: Mapping[str, Endpoint]
    records_away: str = ""  # why the ledger cannot be written, if it cannot
    missed: Mapping[str, str] = field(default_factory=dict)  # versions that miss the gate, and why

    def pods_of(self, colour: str) -> list[PodView]:
        """Pods of a colour that are not on their way out."""
        return [pod for pod in self.pods if pod.labels.get(names.LABEL_COLOUR) == colour and not pod.terminating]


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, and what the status says."""

    verdict: Verdict
    before: tuple[Action, ...]
    after: tuple[Action, ...]
    quarantine: list[Quarantined]
    versions: list[Version]
    current: VersionRef | None
    previous: VersionRef | None
    candidate: VersionRef | None
    colour: str | None
    replicas: int
    selector: str | None
    verified: tuple[bool, str, str] | None
    again_after: float | None
    events: tuple[tuple[bool, str, str], ...] = ()


def colour_for(model: OneSeekModel, versions: Sequence[Version], settings: Settings) -> Colour:
    """The colour of the newest version that may answer, else of the base model."""
    version = versions_of.newest(versions)
    return build.colour_of(
        model, settings, dna=version.dna if version else None, digest=version.digest if version else None
    )


def plan(seen: Seen, settings: Settings, now: datetime) -> Plan:
    """Bring the wanted colour up, flip to it when it has proved itself, let the others go."""
    model = seen.model
    quarantine = quarantined(seen, now)
    seen = replace(seen, versions=tuple(versions_of.barred(seen.versions, quarantine)))
    target = colour_for(model, seen.versions, settings)
    rejected: dict[str, str] = dict(seen.missed)
    serving_colour = seen.service.colour if seen.service else None
    # What answers already is no bad version because a changed template of it does not come up.
    new = target.dna if model.status.current is None or model.status.current.dna != target.dna else None
    if serving_colour not in (None, target.name) and new and (why := _given_up(seen, target, settings, now)):
        rejected[new] = f"{why.reason}: {why.message}"
        left = [item for item in seen.versions if item.dna != new]
        target = colour_for(model, left, settings)
    before: list[Action] = []
    after: list[Action] = []
    current, previous, candidate = model.status.current, model.status.previous, None
    flipped = False
    if serving_colour is None:
        before += _bring_up(seen, target)
        before.append(Apply(build.service(model, colour=target.name, flipped_at=timestamp(now))))
        serving_colour = target.name
    elif serving_colour != target.name:
        before += _bring_up(seen, target)
        candidate = _reference(target, model.status.candidate, now)
        if _proved(seen, target) and not (seen.records_away and _is_promotion(current, target, quarantine)):
            before.append(Apply(build.service(model, colour=target.name, flipped_at=timestamp(now))))
            serving_colour, candidate, flipped = target.name, None, True
            # A flip does not move kept-alive connections; their pods are told at once.
            after += [Drain(pod.ip) for pod in seen.pods if _is_left_behind(pod, target.name)]
    else:
        before += _bring_up(seen, target)
        if seen.service and seen.service.type != model.spec.serving.service_type:
            before.append(Apply(build.service(model, colour=target.name, flipped_at=seen.service.flipped_at)))
    serving = target if serving_colour == target.name else None
    confirmed = serving is not None and _confirmed(seen, target)
    if confirmed and (current.dna if current else None) != target.dna:
        previous = _left_behind(current, previous, target, quarantine)
        current = _reference(target, None, now)
    let_go, letting_go = _let_go(seen, keep={target.name, serving_colour}, serving=serving_colour, now=now)
    after += let_go
    verdict = _verdict(seen, target, serving_colour, now, candidate=candidate, current=current, rejected=rejected)
    stopping, events = _stopping(seen)
    busy = serving_colour != target.name or letting_go or flipped or stopping or verdict.state == "Working"
    replicas = sum(item.replicas for item in seen.deployments if item.colour == serving_colour)
    return Plan(
        verdict=verdict,
        before=tuple(before),
        after=tuple(after),
        quarantine=quarantine,
        versions=versions_of.with_states(seen.versions, _roles(current, previous, candidate), rejected),
        current=current,
        previous=previous,
        candidate=candidate if candidate and candidate.dna else None,
        colour=serving_colour,
        replicas=replicas,
        selector=build.selector_text(model, serving_colour),
        verified=_verified(seen, serving_colour),
        again_after=_POLL if busy else float(model.spec.certification.verify_interval_seconds),
        events=events,
    )


def quarantined(seen: Seen, now: datetime) -> list[Quarantined]:
    """The quarantine, with every version in it that a verifier refuses now; a damaged base model condemns no version."""
    known = list(seen.model.status.quarantine)
    for pod in seen.pods:
        dna = _dna_of(seen, pod)
        why = _refusal(seen, pod)
        if dna is None or why is None or why.reason == names.BASE_DIGEST_DIFFERS:
            continue
        if dna not in {item.dna for item in known} and len(known) < _QUARANTINE_LIMIT:
            known.append(Quarantined(dna=dna, reason=why.reason, message=why.message[:256], since=timestamp(now)))
    return known


def _dna_of(seen: Seen, pod: PodView) -> str | None:
    colour = pod.labels.get(names.LABEL_COLOUR)
    return next((item.dna for item in seen.deployments if item.colour == colour), None)


def _refusal(seen: Seen, pod: PodView) -> Trouble | None:
    """What the pod's verifier says against what it serves, or is to serve."""
    endpoint = seen.endpoints.get(pod.name)
    if endpoint and endpoint.verdict and endpoint.verdict.checked_at and not endpoint.verdict.ok:
        return Trouble(endpoint.verdict.reason, endpoint.verdict.message)
    for container in pod.containers:
        if container.name == "verify" and container.exit_code in names.FINAL_EXIT_CODES:
            return container_failure(container, what="the verifier", pod=pod.name)
    return None


def _verified(seen: Seen, colour: str) -> tuple[bool, str, str] | None:
    """Whether what answers is what was certified; None until a verifier has said so."""
    verdicts = [seen.endpoints[pod.name].verdict for pod in seen.pods_of(colour) if pod.name in seen.endpoints]
    said = [item for item in verdicts if item is not None and item.checked_at]
    if not said:
        return None
    bad = next((item for item in said if not item.ok), None)
    return (False, bad.reason, bad.message) if bad else (True, "Verified", "what serves is what was certified")


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


def _reference(colour: Colour, old: VersionRef | None, now: datetime) -> VersionRef | None:
    if colour.dna is None or colour.digest is None:
        return None
    if old and old.dna == colour.dna:
        return old
    return VersionRef(dna=colour.dna, digest=colour.digest, since=timestamp(now))


def _bring_up(seen: Seen, target: Colour) -> list[Action]:
    """The target's Deployment, if it is missing or has another number of replicas."""
    wanted = seen.model.spec.serving.replicas
    there = next((item for item in seen.deployments if item.colour == target.name), None)
    if there and there.replicas == wanted and not there.terminating:
        return []
    return [Apply(build.deployment(seen.model, target, replicas=wanted))]


def _serves(endpoint: Endpoint | None, dna: str | None) -> bool:
    return endpoint is not None and endpoint.state is not None and endpoint.state.ready and endpoint.state.dna == dna


def _confirmed(seen: Seen, target: Colour) -> bool:
    """Whether a ready pod's sidecar itself reports the target's DNA."""
    return any(pod.ready and _serves(seen.endpoints.get(pod.name), target.dna) for pod in seen.pods_of(target.name))


def _proved(seen: Seen, target: Colour) -> bool:
    """Whether every wanted pod is ready, reports the DNA and answered the probe."""
    wanted = seen.model.spec.serving.replicas
    pods = [pod for pod in seen.pods_of(target.name) if pod.ready]
    if not wanted or len(pods) < wanted:
        return False
    for pod in pods:
        endpoint = seen.endpoints.get(pod.name)
        if endpoint is None or not _serves(endpoint, target.dna) or endpoint.probe is None:
            return False
        if endpoint.probe.dna != target.dna:
            return False
    return True


def _given_up(seen: Seen, target: Colour, settings: Settings, now: datetime) -> Trouble | None:
    """Why a candidate will not come up, once that is certain."""
    for pod in seen.pods_of(target.name):
        for container in pod.containers:
            if container.restarts >= _CRASHES and container.exit_code:
                trouble = container_failure(container, what=f"its {container.name}", pod=pod.name)
                reason = names.ENGINE_FAILED if trouble.reason == names.JOB_FAILED else trouble.reason
                return Trouble(reason, trouble.message)
    candidate = seen.model.status.candidate
    if candidate is None or candidate.dna != target.dna:
        return None
    age = (now - datetime.fromisoformat(candidate.since)).total_seconds()
    if age < settings.candidate_deadline_seconds:
        return None
    why = _trouble(seen, target.name)
    text = why.message if why else "its preview did not answer as it must"
    return Trouble(names.PROBE_FAILED, f"not proved within {settings.candidate_deadline_seconds} s: {text}")


def _trouble(seen: Seen, colour: str) -> Trouble | None:
    """What keeps a colour from answering, if a pod can tell."""
    for pod in seen.pods_of(colour):
        if pod.unschedulable:
            message = f"no node takes pod {pod.name}: {pod.unschedulable}"
            return Trouble(names.UNSCHEDULABLE, message, since=pod.created)
        if trouble := container_trouble(pod):
            return trouble
        for container in pod.containers:
            if container.restarts and container.exit_code:
                failed = container_failure(container, what=f"the {container.name}", pod=pod.name)
                reason = names.ENGINE_FAILED if failed.reason == names.JOB_FAILED else failed.reason
                return Trouble(reason, failed.message)
        endpoint = seen.endpoints.get(pod.name)
        if pod.ready and endpoint and endpoint.error:
            return Trouble(names.PROBE_FAILED, f"pod {pod.name}: {endpoint.error}")
    return None


def _is_promotion(current: VersionRef | None, target: Colour, quarantine: Sequence[Quarantined]) -> bool:
    """Whether a flip would be a promotion, which waits for the ledger; going back from a bad version never waits."""
    if target.dna is None or (current and current.dna == target.dna):
        return False
    return current is None or current.dna not in {item.dna for item in quarantine}


def _is_left_behind(pod: PodView, colour: str) -> bool:
    other = pod.labels.get(names.LABEL_COLOUR)
    return bool(other) and other != colour and bool(pod.ip) and not pod.terminating


def _let_go(seen: Seen, *, keep: set[str], serving: str, now: datetime) -> tuple[list[Action], bool]:
    """Old colours: tell them to close connections; remove one when none is open, or its time is over.

    One with answers that the records service does not have yet is kept on, for at most SPOOL_SECONDS.
    """
    actions: list[Action] = []
    flipped_at = seen.service.flipped_at if seen.service else ""
    old = [item for item in seen.deployments if item.colour not in keep and not item.terminating]
    if not flipped_at or (seen.service and seen.service.colour != serving):
        return [], bool(old)  # the flip is being made in this very step
    age = (now - datetime.fromisoformat(flipped_at)).total_seconds()
    for deployment in old:
        open_connections = spooled = 0
        for pod in seen.pods_of(deployment.colour):
            endpoint = seen.endpoints.get(pod.name)
            if endpoint is None or endpoint.state is None:
                continue
            if not endpoint.state.draining:
                actions.append(Drain(pod.ip))
                open_connections += 1  # look again once it has been told
            open_connections += endpoint.state.open_connections
            spooled += endpoint.state.spooled
        warm = seen.model.spec.promotion.keep_warm_seconds
        unneeded = open_connections == 0 or age >= warm
        if age >= _SETTLE_SECONDS and unneeded and (spooled == 0 or age >= warm + names.SPOOL_SECONDS):
            actions.append(Delete("Deployment", deployment.name))
    return actions, bool(old)


def _stopping(seen: Seen) -> tuple[bool, tuple[tuple[bool, str, str], ...]]:
    """Whether pods on their way out still speak; and an Event for each that gives answers up, which it says once."""
    events = []
    speaking = False
    for pod in seen.pods:
        endpoint = seen.endpoints.get(pod.name)
        if not pod.terminating or endpoint is None or endpoint.state is None:
            continue
        speaking = True
        if count := endpoint.state.abandoned:
            sentence = (
                f"pod {pod.name} ended with {count} answered questions that the records service did not take within "
                f"{names.SPOOL_SECONDS // 60} minutes; they are in no ledger"
            )
            events.append((True, names.ANSWERS_NOT_RECORDED, sentence))
    return speaking, tuple(events)


def _verdict(
    seen: Seen,
    target: Colour,
    serving_colour: str,
    now: datetime,
    *,
    candidate: VersionRef | None,
    current: VersionRef | None,
    rejected: Mapping[str, str],
) -> Verdict:
    model = seen.model
    if model.spec.serving.replicas == 0:
        return Verdict("Waiting", names.SCALED_TO_ZERO, "spec.serving.replicas is 0: nothing answers")
    progress, stuck = None, False
    if serving_colour != target.name:
        why = _trouble(seen, target.name)
        what = candidate.dna if candidate else "the base model's new serving template"
        if why is None and seen.records_away and _proved(seen, target):
            why = Trouble(names.RECORDS_UNAVAILABLE, f"it waits for the ledger: {seen.records_away}")
        progress = (
            (why.reason, f"rolling out {what}: {why.message}") if why else (names.ROLLING_OUT, f"rolling out {what}")
        )
        # A new version is given up after a while; a changed template of what answers is given up only by a person.
        changed = candidate is None or (current is not None and candidate.dna == current.dna)
        stuck = changed and why is not None and (lasts(why, now) or why.reason in _CRASHED)
    if serving_colour == target.name:
        answers = _confirmed(seen, target)
    else:
        dna = current.dna if current else None
        answers = any(pod.ready and _serves(seen.endpoints.get(pod.name), dna) for pod in seen.pods_of(serving_colour))
    if answers:
        text = f"{current.dna} answers" if current else f"the base model {model.spec.base_model.name} answers"
        if model.status.quarantine:
            text += "; in quarantine: " + "; ".join(
                f"{item.dna} ({item.reason})" for item in model.status.quarantine[-3:]
            )
        if rejected:
            text += "; rejected: " + "; ".join(f"{dna} ({why})" for dna, why in rejected.items())
        return Verdict("Ready", names.SERVING if current else names.BASE_SERVING, text, progress, stuck=stuck)
    why = _trouble(seen, serving_colour)
    ready = find(model.status.conditions, names.READY)
    crashed = why is not None and why.reason in _CRASHED
    if why:
        return Verdict("Failed" if crashed or lasts(why, now) else "Working", why.reason, why.message)
    restarting = ready is not None and ready.status == "True"
    return Verdict(
        "Working", names.STARTING_ENGINE, "the engine is starting again" if restarting else "the engine is starting"
    )
