"""The analyses that pods run: a candidate's once, a watched version's again and again. Pure."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.promotion import Probe
from oneseek_core.serving.analysis import AnalysisRequest, AnalysisState
from oneseek_operator.actions import Analyse
from oneseek_operator.observe.model import Endpoint, Snapshot
from oneseek_operator.settings import Settings

__all__ = ["found", "is_watched", "of_candidate", "of_watched", "orders", "running"]

_REPEAT_SECONDS = 5.0  # between rounds while a version is watched


def of_candidate(model: OneSeekModel, settings: Settings, dna: str | None) -> AnalysisRequest:
    """The analysis of a candidate: one generation, and the probes of the spec."""
    first = Probe(question=settings.probe_question)
    return AnalysisRequest(dna=dna, probes=[first, *model.spec.promotion.probes])


def of_watched(model: OneSeekModel, dna: str | None) -> AnalysisRequest | None:
    """The repeated analysis of a watched version; None: no probes."""
    probes = model.spec.promotion.probes
    return AnalysisRequest(dna=dna, probes=probes, repeat_seconds=_REPEAT_SECONDS) if probes else None


def found(endpoint: Endpoint, request: AnalysisRequest) -> AnalysisState | None:
    """The pod's result for the request; None: it has not begun."""
    analysis = endpoint.state.analysis if endpoint.state else None
    return analysis if analysis and analysis.digest == request.digest else None


def running(snapshot: Snapshot, colour: str) -> str:
    """Which question a pod of the colour is at, and what it waits for; empty if no analysis runs."""
    for pod in snapshot.pods_of(colour):
        state = snapshot.endpoint(pod).state
        if state and state.analysis and state.analysis.phase == "Running" and state.analysis.message:
            return f"pod {pod.name}: {state.analysis.message}"
    return ""


def orders(
    snapshot: Snapshot, settings: Settings, *, candidates: Collection[tuple[str, str | None]], watched: str
) -> list[Analyse]:
    """Orders for pods to begin, or to end, an analysis.

    `candidates`: colours with their versions. `watched`: the serving colour while it is watched, else empty.
    """
    current = snapshot.model.status.current
    wanted: dict[str, AnalysisRequest] = {
        colour: of_candidate(snapshot.model, settings, dna) for colour, dna in candidates
    }
    result = []
    for pod in snapshot.pods:
        colour, endpoint = pod.labels.get(names.LABEL_COLOUR), snapshot.endpoint(pod)
        state = endpoint.state
        if not colour or state is None or pod.terminating:
            continue
        request = wanted.get(colour)
        if request is None and colour == watched:
            request = of_watched(snapshot.model, current.dna if current else None)
        if request is None:
            if _goes_on(snapshot.model, state.analysis):
                result.append(Analyse(pod.ip, AnalysisRequest(dna=state.dna)))  # nothing more to ask
        elif pod.ready and endpoint.serves(request.dna) and found(endpoint, request) is None:
            result.append(Analyse(pod.ip, request))
    return result


def _goes_on(model: OneSeekModel, analysis: AnalysisState | None) -> bool:
    """Whether a pod still runs an analysis that is no longer needed."""
    if analysis is None or analysis.digest == AnalysisRequest(dna=analysis.dna).digest:
        return False
    watching = of_watched(model, analysis.dna)
    return analysis.phase == "Running" or (watching is not None and analysis.digest == watching.digest)


def is_watched(model: OneSeekModel, now: datetime) -> bool:
    """Whether the current version is so new that it goes back by itself if it fails.

    Not a version that a person rolled back to: there is nothing better to go to.
    """
    current, standing = model.status.current, model.status.selection
    if current is None or (standing and standing.verb == "rollback" and standing.dna == current.dna):
        return False
    return (now - datetime.fromisoformat(current.since)).total_seconds() < model.spec.promotion.watch.seconds
