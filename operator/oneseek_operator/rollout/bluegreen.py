"""BlueGreen: the new colour starts while the old one serves; once it has passed its analysis the Service flips. Pure."""

from __future__ import annotations

from oneseek_core.api.v1alpha1.model_status import CandidateRef
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.model import wanted_replicas
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout import analysis_run
from oneseek_operator.rollout.analysis import passed_analysis
from oneseek_operator.rollout.step import RolloutContext, RolloutStep, bring_up, candidate_of, scale_serving

__all__ = ["blue_green", "may_flip"]


def blue_green(context: RolloutContext, serving: str) -> RolloutStep:
    """Start the target colour beside the serving one; select it once it may take over."""
    snapshot, target, preview = context.snapshot, context.desired.target, context.desired.preview
    up = bring_up(snapshot, target)
    candidate, ready = may_flip(context, target)
    if ready and not context.waits_for_ledger:
        return RolloutStep(target.name, target, preview, before=up)
    before = (*up, *scale_serving(snapshot, serving))
    return RolloutStep(serving, target, preview, before, candidate=candidate, ready=ready, rolling=target)


def may_flip(context: RolloutContext, colour: Colour) -> tuple[CandidateRef | None, bool]:
    """The colour's version as candidate, and whether the Service may select the colour.

    A version that served before needs no analysis on the way back, only ready pods: all of them while the serving colour
    answers well, else one.
    """
    snapshot, status = context.snapshot, context.snapshot.model.status
    wanted = wanted_replicas(snapshot.model)
    candidate = candidate_of(colour, status.candidate, context.now)
    is_current = context.is_current(colour)
    back = not context.desired.choice.is_forward and colour is context.desired.target and not is_current
    if is_current and colour.name == status.colour:
        back, candidate = True, None  # the status still names it: a flip away from it is being undone
    if back or (candidate is not None and candidate.proved_at is not None):
        ready = [
            pod for pod in snapshot.pods_of(colour.name) if pod.ready and snapshot.endpoint(pod).serves(colour.dna)
        ]
        current = snapshot.current_dna
        serves_well = current not in snapshot.quarantined and snapshot.confirms(snapshot.serving or "", current)
        return candidate, len(ready) >= (wanted if serves_well else min(wanted, 1))
    passed = passed_analysis(snapshot, colour, analysis_run.of_candidate(snapshot.model, context.settings, colour.dna))
    if passed and candidate:
        candidate = candidate.model_copy(update={"proved_at": timestamp(context.now)})
    return candidate, passed
