"""When a new version has proved itself, when it is given up, and when one that answers must go back. Pure."""

from __future__ import annotations

from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import VersionRef
from oneseek_core.serving.analysis import AnalysisRequest
from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.observe.pod_failures import Problem, container_failure, container_problem, not_made
from oneseek_operator.observe.pods import PodView
from oneseek_operator.observe.rollout import Endpoint, Snapshot, wanted_replicas
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout import analysis_run
from oneseek_operator.rollout.hotswap import failure
from oneseek_operator.settings import Settings

__all__ = ["given_up", "problem", "proved", "refusal", "watch_failure"]

_CRASHES = 3  # restarts after which a candidate is given up
_WATCHED_CRASHES = 2  # and after which one that answers goes back: its clients are waiting
_UNREADY_SECONDS = 30.0  # a watched version that no pod serves for so long goes back


def proved(snapshot: Snapshot, target: Colour, request: AnalysisRequest) -> bool:
    """Whether every wanted pod is ready, reports the DNA, and answered every question rightly.

    What answers already and only has a new serving template must answer, whatever it says: it was judged before.
    """
    current = snapshot.model.status.current
    enough = ("Passed",) if target.dna != (current.dna if current else None) else ("Passed", "Failed")
    wanted = wanted_replicas(snapshot.model)
    pods = [pod for pod in snapshot.pods_of(target.name) if pod.ready]
    if not wanted or len(pods) < wanted:
        return False
    endpoints = [snapshot.endpoint(pod) for pod in pods]
    results = [analysis_run.found(endpoint, request) for endpoint in endpoints]
    return all(endpoint.serves(target.dna) for endpoint in endpoints) and all(
        result is not None and result.phase in enough for result in results
    )


def _failed(endpoint: Endpoint, request: AnalysisRequest) -> Problem | None:
    result = analysis_run.found(endpoint, request)
    if result is None or result.phase != "Failed":
        return None
    return Problem(result.reason or names.PROBE_FAILED, result.message or "an answer was wrong")


def given_up(snapshot: Snapshot, target: Colour, settings: Settings, now: datetime) -> Problem | None:
    """Why a candidate will not come up, once that is certain."""
    request = analysis_run.of_candidate(snapshot.model, settings, target.dna)
    if failed := failure(snapshot, target.name, target.dna):
        return failed
    for pod in snapshot.pods_of(target.name):
        if failed := _crashed(pod, _CRASHES):
            return failed
        state = snapshot.endpoint(pod).state
        if state and state.ready and state.dna != target.dna and _settled(state, target.dna):
            return Problem(names.PROBE_FAILED, f"pod {pod.name} reports {state.dna or 'the base model'}")
        if failed := _failed(snapshot.endpoint(pod), request):
            return failed
    candidate = snapshot.model.status.candidate
    if candidate is None or candidate.dna != target.dna or candidate.proved_at:
        return None
    deadline = snapshot.model.spec.promotion.progress_deadline_seconds or settings.candidate_deadline_seconds
    if (now - datetime.fromisoformat(candidate.since)).total_seconds() < deadline:
        return None
    why = problem(snapshot, target.name)
    text = (
        why.message if why else analysis_run.running(snapshot, target.name) or "its preview did not answer as it must"
    )
    return Problem(names.PROBE_FAILED, f"not proved within {deadline} s: {text}")


def _crashed(pod: PodView, times: int) -> Problem | None:
    for container in pod.containers:
        if container.restarts >= times and container.exit_code:
            failed = container_failure(container, what=f"its {container.name}", pod=pod.name)
            return Problem(names.ENGINE_FAILED if failed.reason == names.JOB_FAILED else failed.reason, failed.message)
    return None


def refusal(snapshot: Snapshot, pod: PodView) -> Problem | None:
    """What the pod's verifier says against what it serves, or is to serve."""
    verdict = snapshot.endpoint(pod).verdict
    if verdict and verdict.checked_at and not verdict.ok:
        return Problem(verdict.reason, verdict.message)
    for container in pod.containers:
        if container.name == "verify" and container.exit_code in names.FINAL_EXIT_CODES:
            return container_failure(container, what="the verifier", pod=pod.name)
    return None


def watch_failure(snapshot: Snapshot, current: VersionRef, now: datetime) -> Problem | None:
    """Why the watched version must go back, if it must."""
    watch, asked = snapshot.model.spec.promotion.watch, analysis_run.of_watched(snapshot.model, current.dna)
    pods = snapshot.pods_of(snapshot.serving or "")
    requests = errors = 0
    for pod in pods:
        if failed := _crashed(pod, _WATCHED_CRASHES):
            return failed
        endpoint = snapshot.endpoint(pod)
        state = endpoint.state
        if state and state.ready and state.dna != current.dna and _settled(state, current.dna):
            return Problem(names.WATCH_FAILED, f"pod {pod.name} reports {state.dna or 'the base model'}")
        if asked and (wrong := _failed(endpoint, asked)):
            return wrong
        if state:
            requests += state.requests
            errors += state.errors
    if requests >= watch.minimum_requests and errors > requests * watch.maximum_error_rate:
        return Problem(names.WATCH_FAILED, f"{errors} of its {requests} answers were server errors")
    if pods and all(not pod.ready and _unready_for(pod, now) > _UNREADY_SECONDS for pod in pods):
        why = problem(snapshot, snapshot.serving or "")
        return Problem(
            names.WATCH_FAILED, why.message if why else f"no pod of it is ready for {_UNREADY_SECONDS:.0f} s"
        )
    return None


def _settled(state: SidecarState, dna: str | None) -> bool:
    """Whether the pod says that it has done what it was told: one that still swaps answers with another version meanwhile."""
    return state.swap is None or (state.swap.dna == dna and state.swap.phase == "Done")


def _unready_for(pod: PodView, now: datetime) -> float:
    return (now - datetime.fromisoformat(pod.ready_since)).total_seconds() if pod.ready_since else 0.0


def problem(snapshot: Snapshot, colour: str) -> Problem | None:
    """What keeps a colour from answering, if a pod can tell."""
    for pod in snapshot.pods_of(colour):
        if pod.unschedulable:
            message = f"no node takes pod {pod.name}: {pod.unschedulable}"
            return Problem(names.UNSCHEDULABLE, message, since=pod.created)
        if held := container_problem(pod):
            return held
        for container in pod.containers:
            if container.restarts and container.exit_code:
                failed = container_failure(container, what=f"the {container.name}", pod=pod.name)
                reason = names.ENGINE_FAILED if failed.reason == names.JOB_FAILED else failed.reason
                return Problem(reason, failed.message)
        endpoint = snapshot.endpoint(pod)
        if pod.ready and endpoint.error:
            return Problem(names.PROBE_FAILED, f"pod {pod.name}: {endpoint.error}")
    there = next((item for item in snapshot.deployments if item.colour == colour), None)
    return not_made(there.failed_create, [], f"Deployment {there.name!r}", made="") if there else None
