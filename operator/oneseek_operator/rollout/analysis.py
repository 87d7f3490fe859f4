"""The analysis of versions: when a candidate passed, when it failed, and when a version that serves must go back. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import Quarantined, Version, VersionRef
from oneseek_core.serving.analysis import AnalysisRequest
from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.observe.model import Endpoint, Snapshot, wanted_replicas
from oneseek_operator.observe.pod_failures import Problem, container_failure, container_problem, not_made
from oneseek_operator.observe.pods import ContainerView, PodView
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout import analysis_run
from oneseek_operator.settings import Settings
from oneseek_operator.versions import quarantine

__all__ = ["candidate_failure", "colour_problem", "passed_analysis", "quarantined", "swap_failure"]

_CANDIDATE_RESTARTS = 3  # after which a candidate has failed
_WATCHED_RESTARTS = 2  # after which a version that serves goes back: clients are waiting
_UNREADY_SECONDS = 30.0  # a watched version without a ready pod for so long goes back


def passed_analysis(snapshot: Snapshot, target: Colour, request: AnalysisRequest) -> bool:
    """Whether every wanted pod is ready, reports the DNA, and passed the analysis.

    A version that serves already and only has a new serving template need not pass: it was judged before.
    """
    enough = ("Passed",) if target.dna != snapshot.current_dna else ("Passed", "Failed")
    wanted = wanted_replicas(snapshot.model)
    pods = [pod for pod in snapshot.pods_of(target.name) if pod.ready]
    if not wanted or len(pods) < wanted:
        return False
    endpoints = [snapshot.endpoint(pod) for pod in pods]
    results = [analysis_run.found(endpoint, request) for endpoint in endpoints]
    return all(endpoint.serves(target.dna) for endpoint in endpoints) and all(
        result is not None and result.phase in enough for result in results
    )


def candidate_failure(snapshot: Snapshot, target: Colour, settings: Settings, now: datetime) -> Problem | None:
    """Why a candidate will not serve, once that is certain."""
    request = analysis_run.of_candidate(snapshot.model, settings, target.dna)
    if failed := swap_failure(snapshot, target.name, target.dna):
        return failed
    for pod in snapshot.pods_of(target.name):
        failed = (
            _crashed(pod, _CANDIDATE_RESTARTS)
            or _serves_another(snapshot, pod, target.dna, names.PROBE_FAILED)
            or _failed_analysis(snapshot.endpoint(pod), request)
        )
        if failed:
            return failed
    candidate = snapshot.model.status.candidate
    if candidate is None or candidate.dna != target.dna or candidate.proved_at:
        return None
    deadline = snapshot.model.spec.promotion.progress_deadline_seconds or settings.candidate_deadline_seconds
    if (now - datetime.fromisoformat(candidate.since)).total_seconds() < deadline:
        return None
    problem = colour_problem(snapshot, target.name)
    text = problem.message if problem else analysis_run.running(snapshot, target.name)
    text = text or "its preview did not answer as it must"
    return Problem(names.PROBE_FAILED, f"not proved within {deadline} s: {text}")


def swap_failure(snapshot: Snapshot, colour: str, dna: str | None) -> Problem | None:
    """Why a pod of the colour could not swap to `dna`, if it reports that."""
    for _, swap in snapshot.swaps_of(colour):
        if swap.phase == "Failed" and swap.dna == dna:
            return Problem(swap.reason or names.PROBE_FAILED, swap.message or "it could not be taken over")
    return None


def _failed_analysis(endpoint: Endpoint, request: AnalysisRequest) -> Problem | None:
    result = analysis_run.found(endpoint, request)
    if result is None or result.phase != "Failed":
        return None
    return Problem(result.reason or names.PROBE_FAILED, result.message or "an answer was wrong")


def _serves_another(snapshot: Snapshot, pod: PodView, dna: str | None, reason: str) -> Problem | None:
    """Whether a ready pod reports another version than `dna`; a swap that is under way does not count."""
    state = snapshot.endpoint(pod).state
    if state is None or not state.ready or state.dna == dna or not _swap_is_done(state, dna):
        return None
    return Problem(reason, f"pod {pod.name} reports {state.dna or 'the base model'}")


def _swap_is_done(state: SidecarState, dna: str | None) -> bool:
    return state.swap is None or (state.swap.dna == dna and state.swap.phase == "Done")


def _crashed(pod: PodView, restarts: int) -> Problem | None:
    for container in pod.containers:
        if container.restarts >= restarts and container.exit_code:
            return _engine_failure(container, pod, f"its {container.name}")
    return None


def _engine_failure(container: ContainerView, pod: PodView, what: str) -> Problem:
    failed = container_failure(container, what=what, pod=pod.name)
    return Problem(names.ENGINE_FAILED if failed.reason == names.JOB_FAILED else failed.reason, failed.message)


def _verifier_refusal(snapshot: Snapshot, pod: PodView) -> Problem | None:
    """Why the pod's verifier refuses what it serves, or is to serve."""
    verdict = snapshot.endpoint(pod).verdict
    if verdict and verdict.checked_at and not verdict.ok:
        return Problem(verdict.reason, verdict.message)
    for container in pod.containers:
        if container.name == "verify" and container.exit_code in names.FINAL_EXIT_CODES:
            return container_failure(container, what="the verifier", pod=pod.name)
    return None


def _watch_failure(snapshot: Snapshot, current: VersionRef, now: datetime) -> Problem | None:
    """Why the watched version must go back, if it must."""
    watch, request = snapshot.model.spec.promotion.watch, analysis_run.of_watched(snapshot.model, current.dna)
    pods = snapshot.pods_of(snapshot.serving or "")
    requests = errors = 0
    for pod in pods:
        failed = _crashed(pod, _WATCHED_RESTARTS) or _serves_another(snapshot, pod, current.dna, names.WATCH_FAILED)
        endpoint = snapshot.endpoint(pod)
        if failed := failed or (_failed_analysis(endpoint, request) if request else None):
            return failed
        if endpoint.state:
            requests += endpoint.state.requests
            errors += endpoint.state.errors
    if requests >= watch.minimum_requests and errors > requests * watch.maximum_error_rate:
        return Problem(names.WATCH_FAILED, f"{errors} of its {requests} answers were server errors")
    if pods and all(not pod.ready and _unready_for(pod, now) > _UNREADY_SECONDS for pod in pods):
        problem = colour_problem(snapshot, snapshot.serving or "")
        text = problem.message if problem else f"no pod of it is ready for {_UNREADY_SECONDS:.0f} s"
        return Problem(names.WATCH_FAILED, text)
    return None


def _unready_for(pod: PodView, now: datetime) -> float:
    return (now - datetime.fromisoformat(pod.ready_since)).total_seconds() if pod.ready_since else 0.0


def colour_problem(snapshot: Snapshot, colour: str) -> Problem | None:
    """What keeps a colour from answering, if a pod or its Deployment reports it."""
    for pod in snapshot.pods_of(colour):
        if pod.unschedulable:
            message = f"no node takes pod {pod.name}: {pod.unschedulable}"
            return Problem(names.UNSCHEDULABLE, message, since=pod.created)
        if problem := container_problem(pod):
            return problem
        for container in pod.containers:
            if container.restarts and container.exit_code:
                return _engine_failure(container, pod, f"the {container.name}")
        endpoint = snapshot.endpoint(pod)
        if pod.ready and endpoint.error:
            return Problem(names.PROBE_FAILED, f"pod {pod.name}: {endpoint.error}")
    there = snapshot.deployment_of(colour)
    return not_made(there.failed_create, [], f"Deployment {there.name!r}", made="") if there else None


def quarantined(snapshot: Snapshot, versions: Sequence[Version], now: datetime) -> list[Quarantined]:
    """The quarantine with every version that a verifier refuses now, or that fails while it is watched.

    A damaged base model puts no version into quarantine; a deleted version needs none.
    """
    deleted = {item.dna for item in versions if item.state == names.STATE_DELETED}
    known = [item for item in snapshot.model.status.quarantine if item.dna not in deleted]
    for pod in snapshot.pods:
        verdict, refusal = snapshot.endpoint(pod).verdict, _verifier_refusal(snapshot, pod)
        dna = verdict.dna if verdict and verdict.dna else snapshot.dna_of(pod.labels.get(names.LABEL_COLOUR))
        if dna is not None and refusal is not None and refusal.reason != names.BASE_DIGEST_DIFFERS:
            known = quarantine.with_version(known, dna, refusal, now, versions)
    if (watched := _watched_version(snapshot, now)) and (failed := _watch_failure(snapshot, watched, now)):
        problem = Problem(failed.reason, f"while it was watched: {failed.message}")
        known = quarantine.with_version(known, watched.dna, problem, now, versions)
    return known


def _watched_version(snapshot: Snapshot, now: datetime) -> VersionRef | None:
    """The serving version while it is watched: from the flip on, before the status names it."""
    status, dna = snapshot.model.status, snapshot.dna_of(snapshot.serving)
    if status.current and dna == status.current.dna:
        return status.current if analysis_run.is_watched(snapshot.model, now) else None
    candidate = status.candidate
    flipped = candidate is not None and candidate.proved_at is not None and dna == candidate.dna
    return candidate if flipped and snapshot.model.spec.promotion.watch.seconds else None
