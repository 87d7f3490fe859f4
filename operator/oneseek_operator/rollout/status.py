"""What the status says of a rollout: one verdict in the words every reader knows, and the conditions beside it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import CandidateRef, VersionRef
from oneseek_operator.conditions import Verdict, find
from oneseek_operator.observe.pod_failures import Problem, lasts
from oneseek_operator.observe.rollout import Snapshot
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout import analysis_run
from oneseek_operator.rollout.analysis import problem
from oneseek_operator.rollout.takeover import TakeoverState
from oneseek_operator.versions.selection import QUARANTINE_LIMIT, Choice

__all__ = ["candidate_ready", "verdict", "verified"]

UNMEASURED = (
    "clients asked for it over HTTP, and nothing has measured it; set promotion.gate with training.evaluation, or a probe with"
    " mustContain in promotion.probes, and such versions take over by themselves"
)
_CRASHED = (names.ENGINE_FAILED, names.OUT_OF_MEMORY)


def verdict(
    snapshot: Snapshot,
    choice: Choice,
    now: datetime,
    *,
    serving: str,
    takeover_state: TakeoverState,
    current: VersionRef | None,
    rolling: Colour | None,
    proved: bool,
    rejected: Mapping[str, str],
    held: Problem | None = None,
) -> Verdict:
    """How the model stands: `serving` answers (or not), `rolling` is on its way."""
    model = snapshot.model
    if model.spec.suspend:
        kept = current.dna if current else f"the base model {model.spec.base_model.name}"
        return Verdict("Waiting", names.SUSPENDED, f"spec.suspend is true: nothing answers; {kept} is kept")
    if model.spec.serving.replicas == 0:
        return Verdict("Waiting", names.SCALED_TO_ZERO, "spec.serving.replicas is 0: nothing answers")
    # A candidate is given up after a while; nobody gives up a changed template of what answers but a person.
    held = held or (problem(snapshot, rolling.name) if rolling else None)
    same = rolling is not None and rolling.dna == (current.dna if current else None)
    handing = (names.HANDING_OVER, takeover_state.sentence) if takeover_state.sentence else None
    progress = handing or (_progress(snapshot, rolling, held, same=same, proved=proved) if rolling else None)
    stuck = handing is None and same and held is not None and (lasts(held, now) or held.reason in _CRASHED)
    if takeover_state.answers:
        text = _answering(snapshot, choice, current, rejected)
        if choice.blocked:
            return Verdict("Failed", choice.blocked.reason, f"{choice.blocked.message}; meanwhile {text}")
        if progress is None and model.spec.version == "auto" and len(model.status.quarantine) >= QUARANTINE_LIMIT:
            full = f"{QUARANTINE_LIMIT} versions are in quarantine, so none is promoted by itself; release what may answer again"
            progress, stuck = (names.QUARANTINE_FULL, full), True
        return Verdict("Ready", names.SERVING if current else names.BASE_SERVING, text, progress, stuck=stuck)
    if handing and not takeover_state.is_flipped:
        return Verdict("Working", *handing)
    why = problem(snapshot, serving)
    crashed = why is not None and why.reason in _CRASHED
    if why:
        return Verdict("Failed" if crashed or lasts(why, now) else "Working", why.reason, why.message)
    if handing and snapshot.confirms(serving, rolling.dna if rolling else None):
        return Verdict("Working", *handing)
    ready = find(model.status.conditions, names.READY)
    restarting = ready is not None and ready.status == "True"
    text = "the engine is starting again" if restarting else "the engine is starting"
    return Verdict("Working", names.STARTING_ENGINE, text)


def _answering(snapshot: Snapshot, choice: Choice, current: VersionRef | None, rejected: Mapping[str, str]) -> str:
    model = snapshot.model
    text = f"{current.dna} answers" if current else f"the base model {model.spec.base_model.name} answers"
    chosen = choice.version.dna if choice.version else None
    if choice.why == "rollback" and chosen == (current.dna if current else None):
        text += "; a rollback chose it"
    if choice.waiting:
        text += f"; {choice.waiting.dna} waits to be promoted (oneseek.io/promote=candidate)"
        text += f": {UNMEASURED}" if choice.unmeasured else ""
    if model.status.quarantine:
        text += "; in quarantine: " + "; ".join(f"{item.dna} ({item.reason})" for item in model.status.quarantine[-3:])
    told = {item.dna for item in model.status.quarantine}
    out = [f"{dna} ({why})" for dna, why in rejected.items() if dna not in told]
    return text + ("; rejected: " + "; ".join(out) if out else "")


def _progress(
    snapshot: Snapshot, rolling: Colour, held: Problem | None, *, same: bool, proved: bool
) -> tuple[str, str]:
    what = rolling.dna or "the base model"
    if same:
        what = f"the new serving template of {what}"
    if held is None and snapshot.records_away and proved:
        held = Problem(names.RECORDS_UNAVAILABLE, f"it waits for the ledger: {snapshot.records_away}")
    if held:
        return held.reason, f"rolling out {what}: {held.message}"
    asked = analysis_run.running(snapshot, rolling.name)
    return names.ROLLING_OUT, f"rolling out {what}" + (f": {asked}" if asked else "")


def verified(snapshot: Snapshot, colour: str) -> tuple[bool, str, str] | None:
    """Whether what answers is what was certified; None until a verifier has said so."""
    verdicts = [
        snapshot.endpoints[pod.name].verdict for pod in snapshot.pods_of(colour) if pod.name in snapshot.endpoints
    ]
    said = [item for item in verdicts if item is not None and item.checked_at]
    if not said:
        return None
    bad = next((item for item in said if not item.ok), None)
    return (False, bad.reason, bad.message) if bad else (True, "Verified", "what serves is what was certified")


def candidate_ready(
    snapshot: Snapshot,
    choice: Choice,
    candidate: CandidateRef | None,
    *,
    preview: Colour | None,
    rolling: Colour | None,
    ready: bool,
    held: Problem | None = None,
) -> tuple[bool, str, str] | None:
    """Whether a candidate has proved itself, where there is one: tried out as `preview`, or on its way as `rolling`."""
    if candidate is None:
        return None
    if preview and ready and choice.unmeasured:
        text = f"{candidate.dna} waits for a person (oneseek.io/promote=candidate): {UNMEASURED}"
        return True, names.GATE_MISSING, text
    if preview and ready:
        text = f"{candidate.dna} has proved itself and waits: annotate oneseek.io/promote=candidate"
        return True, names.WAITING_FOR_PROMOTION, text
    if ready:
        return True, "Proved", f"{candidate.dna} has proved itself"
    colour = preview or rolling
    why = held or (problem(snapshot, colour.name) if colour else None)
    return (False, why.reason, why.message) if why else (False, names.ROLLING_OUT, f"{candidate.dna} is being tried")
