"""The serving colour is the desired one; a version that waits for a person may be previewed beside it. Pure."""

from __future__ import annotations

from oneseek_core import names
from oneseek_operator.actions import Action, Apply
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.resources import serving as build
from oneseek_operator.rollout import hotswap
from oneseek_operator.rollout.bluegreen import may_flip
from oneseek_operator.rollout.step import RolloutContext, RolloutStep, bring_up, candidate_of

__all__ = ["hold"]


def hold(context: RolloutContext, serving: str) -> RolloutStep:
    """Keep the serving colour as the spec wants it, and start or swap in the preview if there is one."""
    snapshot, model = context.snapshot, context.snapshot.model
    target, preview = context.desired.target, context.desired.preview
    before = list(bring_up(snapshot, target))
    if snapshot.service and snapshot.service.type != model.spec.serving.service_type:
        before.append(Apply(build.service(model, colour=target.name, flipped_at=snapshot.service.flipped_at)))
    after: list[Action] = []
    strategy = context.strategy.name if context.strategy and preview else None
    if strategy != "HotSwap":
        after += hotswap.repeated_orders(snapshot, target.name, context.now)
    if preview is None:
        return RolloutStep(serving, target, None, before=tuple(before), after=tuple(after))
    candidate, held = candidate_of(preview, model.status.candidate, context.now), None
    if strategy == "HotSwap":
        preview = hotswap.as_serving(context, preview, serving)
        swap = hotswap.swap(snapshot, preview, candidate, context.now, back=False, may_flip=False)
        after += [*swap.after, *hotswap.superseded(snapshot, preview)]
        candidate, ready = swap.candidate, swap.ready
    elif strategy == "Recreate":
        after += hotswap.superseded(snapshot, preview)
        ready = False
        sentence = "it cannot be tried out: what answers would have to stop; promote it by name to have that done"
        held = Problem(names.NO_ROOM, sentence)
    else:
        before += bring_up(snapshot, preview)
        candidate, ready = may_flip(context, preview)
    return RolloutStep(
        serving,
        target,
        preview,
        before=tuple(before),
        after=tuple(after),
        candidate=candidate,
        ready=ready,
        rolling=None if ready or held else preview,
        held=held,
    )
