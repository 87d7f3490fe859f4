"""When a new version has proved itself, when it is given up, and when one that answers must go back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import VersionRef
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_operator.build.serving import Colour
from oneseek_operator.decide.jobs import Trouble, container_failure, container_trouble, not_made
from oneseek_operator.decide.seen import Endpoint, Seen, wanted_replicas
from oneseek_operator.decide.swapping import failure
from oneseek_operator.decide.views import PodView
from oneseek_operator.settings import Settings

__all__ = ["given_up", "is_watched", "probes_of", "proved", "refusal", "time_left", "trouble", "watch_failure"]

_CRASHES = 3  # restarts after which a candidate is given up
_WATCHED_CRASHES = 2  # and after which one that answers goes back: its clients are waiting
_UNREADY_SECONDS = 30.0  # a watched version that no pod serves for so long goes back


def probes_of(model: OneSeekModel, settings: Settings) -> list[Probe]:
    """What a candidate is asked: always one generation, and what the spec wants to hear."""
    return [Probe(question=settings.probe_question), *model.spec.promotion.probes]


def proved(seen: Seen, target: Colour, probes: Sequence[Probe]) -> bool:
    """Whether every wanted pod is ready, reports the DNA, and answered every probe rightly.

    What answers already and only has a new serving template must answer, whatever it says: it was judged before.
    """
    current = seen.model.status.current
    new = target.dna != (current.dna if current else None)
    wanted = wanted_replicas(seen.model)
    pods = [pod for pod in seen.pods_of(target.name) if pod.ready]
    if not wanted or len(pods) < wanted:
        return False
    return all(
        seen.endpoint(pod).serves(target.dna) and not _missing(seen.endpoint(pod), probes, target.dna, new=new)
        for pod in pods
    )


def _missing(endpoint: Endpoint, probes: Sequence[Probe], dna: str | None, *, new: bool) -> bool:
    """Whether a probe has no answer yet, or a wrong one."""
    answers = [endpoint.answers.get(probe.question) for probe in probes]
    if any(answer is None or answer.dna != dna for answer in answers):
        return True
    return new and bool(_wrong(endpoint, probes, dna))


def _wrong(endpoint: Endpoint, probes: Sequence[Probe], dna: str | None) -> str:
    """What is wrong with the answers that there are; generation is greedy, so asking again changes nothing."""
    for probe in probes:
        answer = endpoint.answers.get(probe.question)
        if answer is None:
            continue
        if answer.dna != dna:
            return f"{probe.question!r} was answered by {answer.dna or 'the base model'}"
        if not answer.text.strip():
            return f"{probe.question!r} got an empty answer"
        lacking = [text for text in probe.must_contain if text.casefold() not in answer.text.casefold()]
        if lacking:
            return f"the answer to {probe.question!r} lacks {', '.join(map(repr, lacking))}: {answer.text[:120]!r}"
    return ""


def given_up(seen: Seen, target: Colour, settings: Settings, now: datetime) -> Trouble | None:
    """Why a candidate will not come up, once that is certain."""
    probes = probes_of(seen.model, settings)
    if failed := failure(seen, target.name, target.dna):
        return failed
    for pod in seen.pods_of(target.name):
        if failed := _crashed(pod, _CRASHES):
            return failed
        if wrong := _wrong(seen.endpoint(pod), probes, target.dna):
            return Trouble(names.PROBE_FAILED, wrong)
    candidate = seen.model.status.candidate
    if candidate is None or candidate.dna != target.dna or candidate.proved_at:
        return None
    if time_left(seen.model, settings, now) > 0:
        return None
    deadline = _deadline(seen.model, settings)
    why = trouble(seen, target.name)
    text = why.message if why else "its preview did not answer as it must"
    return Trouble(names.PROBE_FAILED, f"not proved within {deadline} s: {text}")


def _deadline(model: OneSeekModel, settings: Settings) -> int:
    return model.spec.promotion.progress_deadline_seconds or settings.candidate_deadline_seconds


def time_left(model: OneSeekModel, settings: Settings, now: datetime) -> float:
    """Seconds in which the candidate may still prove itself; all of them where there is none."""
    candidate = model.status.candidate
    age = (now - datetime.fromisoformat(candidate.since)).total_seconds() if candidate else 0.0
    return _deadline(model, settings) - age


def _crashed(pod: PodView, times: int) -> Trouble | None:
    for container in pod.containers:
        if container.restarts >= times and container.exit_code:
            failed = container_failure(container, what=f"its {container.name}", pod=pod.name)
            return Trouble(names.ENGINE_FAILED if failed.reason == names.JOB_FAILED else failed.reason, failed.message)
    return None


def refusal(seen: Seen, pod: PodView) -> Trouble | None:
    """What the pod's verifier says against what it serves, or is to serve."""
    verdict = seen.endpoint(pod).verdict
    if verdict and verdict.checked_at and not verdict.ok:
        return Trouble(verdict.reason, verdict.message)
    for container in pod.containers:
        if container.name == "verify" and container.exit_code in names.FINAL_EXIT_CODES:
            return container_failure(container, what="the verifier", pod=pod.name)
    return None


def is_watched(model: OneSeekModel, now: datetime) -> bool:
    """Whether what answers is so new that it goes back by itself if it fails.

    Not what a person went back to: there is nothing better to go to.
    """
    current, standing = model.status.current, model.status.selection
    if current is None or (standing and standing.verb == "rollback" and standing.dna == current.dna):
        return False
    return (now - datetime.fromisoformat(current.since)).total_seconds() < model.spec.promotion.watch.seconds


def watch_failure(seen: Seen, current: VersionRef, now: datetime) -> Trouble | None:
    """Why the watched version must go back, if it must."""
    watch, probes = seen.model.spec.promotion.watch, seen.model.spec.promotion.probes
    pods = seen.pods_of(seen.serving or "")
    requests = errors = 0
    for pod in pods:
        if failed := _crashed(pod, _WATCHED_CRASHES):
            return failed
        endpoint = seen.endpoint(pod)
        if endpoint.state and endpoint.state.ready and endpoint.state.dna != current.dna:
            return Trouble(names.WATCH_FAILED, f"pod {pod.name} reports {endpoint.state.dna or 'the base model'}")
        if wrong := _wrong(endpoint, probes, current.dna):
            return Trouble(names.PROBE_FAILED, wrong)
        if endpoint.state:
            requests += endpoint.state.requests
            errors += endpoint.state.errors
    if requests >= watch.minimum_requests and errors > requests * watch.maximum_error_rate:
        return Trouble(names.WATCH_FAILED, f"{errors} of its {requests} answers were server errors")
    if pods and all(not pod.ready and _unready_for(pod, now) > _UNREADY_SECONDS for pod in pods):
        why = trouble(seen, seen.serving or "")
        return Trouble(
            names.WATCH_FAILED, why.message if why else f"no pod of it is ready for {_UNREADY_SECONDS:.0f} s"
        )
    return None


def _unready_for(pod: PodView, now: datetime) -> float:
    return (now - datetime.fromisoformat(pod.ready_since)).total_seconds() if pod.ready_since else 0.0


def trouble(seen: Seen, colour: str) -> Trouble | None:
    """What keeps a colour from answering, if a pod can tell."""
    for pod in seen.pods_of(colour):
        if pod.unschedulable:
            message = f"no node takes pod {pod.name}: {pod.unschedulable}"
            return Trouble(names.UNSCHEDULABLE, message, since=pod.created)
        if held := container_trouble(pod):
            return held
        for container in pod.containers:
            if container.restarts and container.exit_code:
                failed = container_failure(container, what=f"the {container.name}", pod=pod.name)
                reason = names.ENGINE_FAILED if failed.reason == names.JOB_FAILED else failed.reason
                return Trouble(reason, failed.message)
        endpoint = seen.endpoint(pod)
        if pod.ready and endpoint.error:
            return Trouble(names.PROBE_FAILED, f"pod {pod.name}: {endpoint.error}")
    there = next((item for item in seen.deployments if item.colour == colour), None)
    return not_made(there.failed_create, [], f"Deployment {there.name!r}", made="") if there else None
