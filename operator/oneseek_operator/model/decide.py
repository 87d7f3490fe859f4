"""What a OneSeekModel needs next. Pure: a snapshot and a time in, a decision out.

The order is that of a model's life: a claim, the base model on it, a colour that answers, the next colour, and the
old one let go. Each step holds only if the one before does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.actions import Action, Create, Decision, RemoveAnnotations
from oneseek_operator.model import certified_tree as tree
from oneseek_operator.model import imports, ledger, micro_windows, prerequisites
from oneseek_operator.model.status import (
    ledger_events,
    model_decision,
    recorded_condition,
    rejection_events,
    request_events,
    with_pending_request,
)
from oneseek_operator.observe.model import Snapshot, known_versions, records_away, rollout_view
from oneseek_operator.requests import model as asked_of_model
from oneseek_operator.requests.accept import requested
from oneseek_operator.resources import records as build_records
from oneseek_operator.rollout import plan as rollout
from oneseek_operator.settings import Settings
from oneseek_operator.versions import states
from oneseek_operator.versions.selection import is_resetting

__all__ = ["decide"]

_LEDGER_AGAIN = 2.0  # seconds between tries to empty the outbox
_AWAY_AGAIN = 10.0  # seconds between questions whether the ledger is back
_REFUSED_AGAIN = 300.0  # seconds, where the ledger refuses all that is left in it


def decide(snapshot: Snapshot, settings: Settings, now: datetime) -> Iterator[Decision[OneSeekModelStatus]]:
    """The next step; and where the API server refuses it, what of a model that lives goes on without it."""
    if lacking := build_records.lacks_image(snapshot.model, settings):
        snapshot = replace(snapshot, records=replace(snapshot.records, error=lacking))
    for step in (
        requested,
        _windows,
        prerequisites.suspended,
        prerequisites.claim,
        prerequisites.policies,
        prerequisites.keys,
        prerequisites.identity,
        prerequisites.access,
        prerequisites.records,
        prerequisites.base_model,
        _imports,
    ):
        if decision := step(snapshot, settings, now):
            yield decision
            # A request whose annotation cannot be taken off must not be acted on: it would be the next request again.
            if snapshot.model.status.base_model is None or step is requested:
                return
    yield _serving(snapshot, settings, now)


def _windows(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Make the run that a closed window of the records service asks for; the annotation goes once the run is there."""
    del settings, now
    asked = micro_windows.asked(snapshot.model, snapshot.runs)
    if not asked.annotations:
        return None
    before: list[Action] = [*(Create(item) for item in asked.runs), RemoveAnnotations(asked.annotations)]
    return Decision(snapshot.model.status, tuple(before), again_after=0.0, events=asked.events)


def _imports(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    return imports.step(snapshot.model, snapshot.jobs, snapshot.pods, settings, now)


def _serving(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus]:
    before = snapshot.model
    known, _ = known_versions(before, snapshot.runs)
    other = snapshot.records.head if snapshot.records.rolled_back else None
    asked = asked_of_model.acted(before, known, now, records_away=records_away(snapshot), other_ledger=other)
    snapshot = replace(snapshot, model=before.model_copy(update={"status": asked}))
    model = snapshot.model
    # A version that was released answers only once the status no longer bars it: until then the plan is the one before.
    released = {item.dna for item in before.status.quarantine} - {item.dna for item in asked.quarantine}
    held = {"quarantine": before.status.quarantine, "selection": before.status.selection} if released else {}
    judged = replace(snapshot, model=before.model_copy(update={"status": asked.model_copy(update=held)}))
    plan = rollout.plan(rollout_view(judged), settings, now)
    status = asked.model_copy(
        update={
            "versions": plan.versions,
            "counters": states.counters_for(asked.counters, known),
            "current": plan.current,
            "previous": plan.previous,
            "candidate": plan.candidate,
            "strategy": plan.strategy,
            "quarantine": [item for item in plan.quarantine if item.dna not in released],
            "colour": plan.colour,
            "url": f"http://{model.metadata.name}.{model.metadata.namespace}.svc",
            "replicas": plan.replicas,
            "selector": plan.selector,
        }
    )
    answers = plan.verdict.state == "Ready" or (plan.verdict.state == "Failed" and plan.choice.blocked is not None)
    request = asked_of_model.concluded(model, status, plan.choice, now, serves=answers)
    status = status.model_copy(update={"request": request})
    status, tree, published, again = _tree(snapshot, status, settings, now)
    happened = ledger.transitions(before, status, snapshot.runs, choice=plan.choice, now=now)
    outbox, dropped = ledger.outbox(before.status.outbox, snapshot.records.acknowledged, happened)
    # Answered questions raise the head all the time: it is written down with what the model itself has entered.
    entered = bool(snapshot.records.acknowledged) or before.status.ledger is None
    accepted = asked.ledger != before.status.ledger  # a person goes on with another ledger than the one witnessed
    taken = snapshot.records.head if entered and not snapshot.records.rolled_back else None
    head = asked.ledger if accepted else taken or snapshot.records.witness
    status = status.model_copy(update={"outbox": outbox, "ledger": head})
    hurry = _LEDGER_AGAIN if len(outbox) > len(snapshot.records.refused) else _REFUSED_AGAIN if outbox else None
    # A service whose database is away runs and is ready: no event tells that it is back.
    anew = _AWAY_AGAIN if snapshot.records.error and not hurry else None
    wait = [seconds for seconds in (plan.again_after, again, hurry, anew) if seconds is not None]
    if accepted:
        wait.append(0.0)
    verdict = with_pending_request(plan.verdict, status, records_away(snapshot), snapshot.records.reason)
    if released:  # the next look chooses again: until then nobody need be called for what the quarantine blocked
        wait.append(0.0)
        if verdict.state != "Working" and verdict.progress is None:
            text = f"{', '.join(sorted(released)[:4])} may answer again; choosing the version that does"
            verdict = replace(verdict, progress=(names.ROLLING_OUT, text))
    decision = model_decision(
        snapshot,
        verdict,
        now,
        status=status,
        before=plan.before,
        after=(*plan.after, *tree),
        again_after=min(wait, default=None),
        published=published,
        verified=plan.verified,
        candidate_ready=plan.candidate_ready,
        recorded=recorded_condition(snapshot),
        events=(
            *rejection_events(before.status.versions, plan.versions),
            *request_events(before.status.request, status.request),
            *plan.events,
            *ledger_events(snapshot),
            *ledger.overflow(dropped),
        ),
    )
    return replace(decision, asks_service=plan.asks_service)


def _tree(
    snapshot: Snapshot, status: OneSeekModelStatus, settings: Settings, now: datetime
) -> tuple[OneSeekModelStatus, tuple[Action, ...], tuple[bool, str, str] | None, float | None]:
    """The Jobs that change the tree: those of a reset, or CURRENT and retention."""
    model = snapshot.model
    if is_resetting(model):
        status, actions, waiting = tree.reset(
            model,
            status,
            jobs=snapshot.jobs,
            pods=snapshot.pods,
            deployments=snapshot.deployments,
            runs=snapshot.runs,
            settings=settings,
            now=now,
        )
        if status.request and waiting and status.request.outcome == "Pending":
            status = status.model_copy(update={"request": status.request.model_copy(update={"message": waiting})})
        return status, actions, None, 2.0
    mounted = {item.dna for item in snapshot.deployments if item.dna} | _parents(snapshot.runs)
    linking, published, again = tree.current_link(model, status, snapshot.jobs, snapshot.pods, settings)
    begun = any(isinstance(item, Create) for item in linking)
    status, pruning = tree.pruned(model, status, snapshot.jobs, mounted, settings, begun=begun)
    return status, (*linking, *pruning), published, again


def _parents(runs: Sequence[TrainingRun]) -> set[str]:
    """The versions that runs under way go on from."""
    return {
        run.status.resolved.parent
        for run in runs
        if run.status.resolved and run.status.resolved.parent and run.status.completed_at is None
    }
