"""The decision about a OneSeekModel. Pure: a snapshot and a time in, a decision out.

The order is that of a model's life: a claim, the base model on it, a colour that serves, then rollouts. Each step is decided
only once those before it are done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.actions import Action, Create, Decision, RemoveAnnotations
from oneseek_operator.conditions import ConditionRow
from oneseek_operator.model import certified_tree, imports, ledger, micro_windows, prerequisites
from oneseek_operator.model import status as model_status
from oneseek_operator.observe.model import Snapshot, is_resetting
from oneseek_operator.requests import model as requests
from oneseek_operator.resources import records as build_records
from oneseek_operator.rollout.plan import plan as plan_rollout
from oneseek_operator.settings import Settings
from oneseek_operator.versions import states

__all__ = ["decide"]

_OUTBOX_SECONDS = 2.0  # between attempts to empty the outbox
_AWAY_SECONDS = 10.0  # between attempts while the ledger is away
_REFUSED_SECONDS = 300.0  # between attempts if the ledger refuses all that is left in the outbox


def decide(snapshot: Snapshot, settings: Settings, now: datetime) -> Iterator[Decision[OneSeekModelStatus]]:
    """The next step; then, in case the API server refuses it, what a model whose base model is imported does without it."""
    if lacking := build_records.lacks_image(snapshot.model, settings):
        snapshot = replace(snapshot, records=replace(snapshot.records, error=lacking))
    for step in (
        requests.accept,
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
            # A request whose annotation cannot be removed must not be acted on: it would be the next request again.
            if snapshot.model.status.base_model is None or step is requests.accept:
                return
    yield _serve(snapshot, settings, now)


def _windows(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Create the run for a closed window of the records service; its annotation goes once the run exists."""
    del settings, now
    found = micro_windows.requested_runs(snapshot.model, snapshot.runs)
    if not found.annotations:
        return None
    before: list[Action] = [*(Create(item) for item in found.runs), RemoveAnnotations(found.annotations)]
    return Decision(snapshot.model.status, tuple(before), again_after=0.0, events=found.events)


def _imports(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    return imports.step(snapshot.model, snapshot.jobs, snapshot.pods, settings, now)


def _serve(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus]:
    """Act on a request, plan the rollout, change the certified tree, and put what happened into the outbox."""
    before, records = snapshot.model, snapshot.records
    known, _ = states.known_versions(before, snapshot.runs)
    other = records.head if records.rolled_back else None
    acted = requests.act(before, known, now, records_away=records.away, other_ledger=other)
    model = before.model_copy(update={"status": acted})
    snapshot = replace(snapshot, model=model)
    # A released version answers only once the status no longer bars it: until then the plan is the one before.
    released = {item.dna for item in before.status.quarantine} - {item.dna for item in acted.quarantine}
    held = {"quarantine": before.status.quarantine, "selection": before.status.selection} if released else {}
    judged = replace(snapshot, model=before.model_copy(update={"status": acted.model_copy(update=held)}))
    plan = plan_rollout(judged, settings, now)
    status = acted.model_copy(
        update={
            "versions": plan.versions,
            "counters": states.counters_for(acted.counters, known),
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
    request = requests.conclude(model, status, plan.choice, now, serves=answers)
    status = status.model_copy(update={"request": request})
    status, tree, published, tree_seconds = _tree(snapshot, status, settings, now)
    happened = ledger.transitions(before, status, snapshot.runs, choice=plan.choice, now=now)
    outbox, dropped = ledger.outbox(before.status.outbox, records.acknowledged, happened)
    # Answers raise the head all the time: the status follows it only when the model itself has appended something.
    appended = bool(records.acknowledged) or before.status.ledger is None
    acknowledged = acted.ledger != before.status.ledger  # a person goes on with another ledger than the witnessed one
    found = records.head if appended and not records.rolled_back else None
    head = acted.ledger if acknowledged else found or records.witness
    status = status.model_copy(update={"outbox": outbox, "ledger": head})
    wait = [seconds for seconds in (plan.again_after, tree_seconds) if seconds is not None]
    if outbox:
        wait.append(_OUTBOX_SECONDS if len(outbox) > len(records.refused) else _REFUSED_SECONDS)
    elif records.error:  # the service runs without its database: no event tells that it is back
        wait.append(_AWAY_SECONDS)
    verdict = model_status.with_pending_request(plan.verdict, status, records.away, records.reason)
    if released or acknowledged:
        wait.append(0.0)
    # The next reconcile chooses again: until then no person is needed for what the quarantine blocked.
    if released and verdict.state != "Working" and verdict.progress is None:
        text = f"{', '.join(sorted(released)[:4])} may answer again; choosing the version that does"
        verdict = replace(verdict, progress=(names.ROLLING_OUT, text))
    decision = model_status.model_decision(
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
        recorded=model_status.records_condition(snapshot),
        events=(
            *model_status.rejection_events(before.status.versions, plan.versions),
            *model_status.request_events(before.status.request, status.request),
            *plan.events,
            *model_status.ledger_events(snapshot),
            *ledger.overflow(dropped),
        ),
    )
    return replace(decision, asks_service=plan.asks_service)


def _tree(
    snapshot: Snapshot, status: OneSeekModelStatus, settings: Settings, now: datetime
) -> tuple[OneSeekModelStatus, tuple[Action, ...], ConditionRow | None, float | None]:
    """The Jobs that change the certified tree: that of a reset, or those of CURRENT and retention."""
    if is_resetting(snapshot.model):
        status, actions, waiting = certified_tree.reset(snapshot, status, settings, now)
        if status.request and waiting and status.request.outcome == "Pending":
            status = status.model_copy(update={"request": status.request.model_copy(update={"message": waiting})})
        return status, actions, None, 2.0
    mounted = {item.dna for item in snapshot.deployments if item.dna} | _parents(snapshot.runs)
    linking, published, seconds = certified_tree.current_link(snapshot, status, settings)
    started = any(isinstance(item, Create) for item in linking)
    status, pruning = certified_tree.pruned(snapshot, status, mounted, settings, started=started)
    return status, (*linking, *pruning), published, seconds


def _parents(runs: Sequence[TrainingRun]) -> set[str]:
    """The versions that runs under way start from."""
    return {
        run.status.resolved.parent
        for run in runs
        if run.status.resolved and run.status.resolved.parent and run.status.completed_at is None
    }
