"""What the status says of a rollout: the verdict, and the conditions Verified and CandidateReady. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import CandidateRef, VersionRef
from oneseek_operator.conditions import ConditionRow, Verdict, find
from oneseek_operator.observe.model import Snapshot
from oneseek_operator.observe.pod_failures import Problem, lasts
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout import analysis_run
from oneseek_operator.rollout.analysis import colour_problem
from oneseek_operator.rollout.takeover import TakeoverState
from oneseek_operator.versions.quarantine import QUARANTINE_LIMIT
from oneseek_operator.versions.selection import Choice

__all__ = ["Rollout", "candidate_ready", "verdict", "verified"]

UNMEASURED = (
    "clients asked for it over HTTP, and nothing has measured it; set promotion.gate with training.evaluation, or a probe with"
    " mustContain in promotion.probes, and such versions take over by themselves"
)
_CRASHED = (names.ENGINE_FAILED, names.OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True)
class Rollout:
    """The state of the rollout that the status describes."""

    snapshot: Snapshot
    choice: Choice
    serving: str  # the colour that the Service selects
    takeover: TakeoverState
    current: VersionRef | None  # what `status.current` will name
    rolling: Colour | None  # the colour that is rolled out
    ready: bool  # it has passed its analysis
    rejected: Mapping[str, str]  # rejected versions, with the reason
    held: Problem | None  # what it waits for, if no pod reports it


def verdict(rollout: Rollout, now: datetime) -> Verdict:
    """Whether the model is Ready, and what is under way meanwhile."""
    snapshot, choice, current, rolling = rollout.snapshot, rollout.choice, rollout.current, rollout.rolling
    model, taking_over = snapshot.model, rollout.takeover
    if model.spec.suspend:
        kept = current.dna if current else f"the base model {model.spec.base_model.name}"
        return Verdict("Waiting", names.SUSPENDED, f"spec.suspend is true: nothing answers; {kept} is kept")
    if model.spec.serving.replicas == 0:
        return Verdict("Waiting", names.SCALED_TO_ZERO, "spec.serving.replicas is 0: nothing answers")
    # A candidate fails after a while; a changed template of the current version is never given up by the operator.
    held = rollout.held or (colour_problem(snapshot, rolling.name) if rolling else None)
    same = rolling is not None and rolling.dna == (current.dna if current else None)
    handing = (names.HANDING_OVER, taking_over.sentence) if taking_over.sentence else None
    progress = handing or (_progress(rollout, rolling, held, same=same) if rolling else None)
    stuck = handing is None and same and held is not None and (lasts(held, now) or held.reason in _CRASHED)
    if taking_over.answers:
        text = _answering(rollout)
        if choice.blocked:
            return Verdict("Failed", choice.blocked.reason, f"{choice.blocked.message}; meanwhile {text}")
        if progress is None and model.spec.version == "auto" and len(model.status.quarantine) >= QUARANTINE_LIMIT:
            full = f"{QUARANTINE_LIMIT} versions are in quarantine, so none is promoted by itself; release what may answer again"
            progress, stuck = (names.QUARANTINE_FULL, full), True
        return Verdict("Ready", names.SERVING if current else names.BASE_SERVING, text, progress, stuck=stuck)
    if handing and not taking_over.is_flipped:
        return Verdict("Working", *handing)
    if problem := colour_problem(snapshot, rollout.serving):
        failed = problem.reason in _CRASHED or lasts(problem, now)
        return Verdict("Failed" if failed else "Working", problem.reason, problem.message)
    if handing and snapshot.confirms(rollout.serving, rolling.dna if rolling else None):
        return Verdict("Working", *handing)
    ready = find(model.status.conditions, names.READY)
    restarting = ready is not None and ready.status == "True"
    text = "the engine is starting again" if restarting else "the engine is starting"
    return Verdict("Working", names.STARTING_ENGINE, text)


def _answering(rollout: Rollout) -> str:
    model, choice, current = rollout.snapshot.model, rollout.choice, rollout.current
    text = f"{current.dna} answers" if current else f"the base model {model.spec.base_model.name} answers"
    chosen = choice.version.dna if choice.version else None
    if choice.why == "rollback" and chosen == (current.dna if current else None):
        text += "; a rollback chose it"
    if choice.waiting:
        text += f"; {choice.waiting.dna} waits to be promoted (oneseek.io/promote=candidate)"
        text += f": {UNMEASURED}" if choice.unmeasured else ""
    quarantine = model.status.quarantine
    if quarantine:
        text += "; in quarantine: " + "; ".join(f"{item.dna} ({item.reason})" for item in quarantine[-3:])
    out = [f"{dna} ({why})" for dna, why in rollout.rejected.items() if dna not in rollout.snapshot.quarantined]
    return text + ("; rejected: " + "; ".join(out) if out else "")


def _progress(rollout: Rollout, rolling: Colour, held: Problem | None, *, same: bool) -> tuple[str, str]:
    what = rolling.dna or "the base model"
    if same:
        what = f"the new serving template of {what}"
    away = rollout.snapshot.records.away
    if held is None and away and rollout.ready:
        held = Problem(names.RECORDS_UNAVAILABLE, f"it waits for the ledger: {away}")
    if held:
        return held.reason, f"rolling out {what}: {held.message}"
    running = analysis_run.running(rollout.snapshot, rolling.name)
    return names.ROLLING_OUT, f"rolling out {what}" + (f": {running}" if running else "")


def verified(snapshot: Snapshot, colour: str) -> ConditionRow | None:
    """The condition Verified: whether the files that serve are those that were certified; None: no verifier reports."""
    verdicts = [snapshot.endpoint(pod).verdict for pod in snapshot.pods_of(colour)]
    checked = [item for item in verdicts if item is not None and item.checked_at]
    if not checked:
        return None
    bad = next((item for item in checked if not item.ok), None)
    if bad:
        return ConditionRow(names.VERIFIED, bad.reason, bad.message, holds=False)
    return ConditionRow(names.VERIFIED, "Verified", "what serves is what was certified")


def candidate_ready(rollout: Rollout, candidate: CandidateRef | None, preview: Colour | None) -> ConditionRow | None:
    """The condition CandidateReady: whether the candidate has passed its analysis; None: there is no candidate."""
    if candidate is None:
        return None
    choice, kind = rollout.choice, names.CANDIDATE_READY
    if rollout.ready and preview and choice.unmeasured:
        text = f"{candidate.dna} waits for a person (oneseek.io/promote=candidate): {UNMEASURED}"
        return ConditionRow(kind, names.GATE_MISSING, text)
    if rollout.ready and preview:
        text = f"{candidate.dna} has proved itself and waits: annotate oneseek.io/promote=candidate"
        return ConditionRow(kind, names.WAITING_FOR_PROMOTION, text)
    if rollout.ready:
        return ConditionRow(kind, "Proved", f"{candidate.dna} has proved itself")
    colour = preview or rollout.rolling
    problem = rollout.held or (colour_problem(rollout.snapshot, colour.name) if colour else None)
    if problem:
        return ConditionRow(kind, problem.reason, problem.message, holds=False)
    return ConditionRow(kind, names.ROLLING_OUT, f"{candidate.dna} is being tried", holds=False)
