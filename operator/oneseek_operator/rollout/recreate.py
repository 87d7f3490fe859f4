"""Recreate: the old colour stops, then the new one starts; nothing answers meanwhile. Pure."""

from __future__ import annotations

from oneseek_core import names
from oneseek_operator.actions import Scale
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.rollout.bluegreen import may_flip
from oneseek_operator.rollout.step import RolloutContext, RolloutStep, bring_up, candidate_of, scale_serving

__all__ = ["recreate"]


def recreate(context: RolloutContext, serving: str) -> RolloutStep:
    """Scale the serving colour to 0, then start the target colour; the Service flips last, so a failure leads back."""
    snapshot, target, preview = context.snapshot, context.desired.target, context.desired.preview
    known = snapshot.model.status.candidate
    announced = (known is not None and known.dna == target.dna) or target.dna is None
    if context.waits_for_ledger or not announced:  # nothing stops before the status names what replaces it
        waiting = Problem(names.RECORDS_UNAVAILABLE, f"it waits for the ledger: {snapshot.records.away}")
        return RolloutStep(
            serving,
            target,
            preview,
            before=scale_serving(snapshot, serving),
            candidate=candidate_of(target, known, context.now),
            ready=False,
            rolling=target,
            held=waiting if context.waits_for_ledger else None,
        )
    stop = tuple(
        Scale(item.name, 0, item.uid) for item in snapshot.deployments if item.colour == serving and item.replicas
    )
    up = () if snapshot.pods_of(serving) else bring_up(snapshot, target)
    candidate, ready = may_flip(context, target)
    if ready:
        return RolloutStep(target.name, target, preview, before=up, after=stop)
    return RolloutStep(serving, target, preview, up, stop, candidate=candidate, ready=False, rolling=target)
