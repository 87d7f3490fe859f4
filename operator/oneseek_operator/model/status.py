"""The status, the conditions and the Events of a model, once it is decided what to do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus, Version
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_core.digest import canonical_json
from oneseek_operator.actions import Action, Decision, Event
from oneseek_operator.conditions import ConditionRow, Verdict, conditions_for, find
from oneseek_operator.model import imports
from oneseek_operator.observe.model import Snapshot, wants_tokens
from oneseek_operator.observe.pod_failures import lasts, not_made, waiting_problem

__all__ = [
    "STATUS_LIMIT",
    "fitted",
    "ledger_events",
    "model_decision",
    "records_condition",
    "rejection_events",
    "request_events",
    "with_pending_request",
]

STATUS_LIMIT = 60 * 1024  # bytes of JSON; readers may rely on 64 KiB
_NEEDED = (names.STATE_CURRENT, names.STATE_PREVIOUS, names.STATE_CANDIDATE)

_AUTHORS_UNCHECKED = (
    "the chart's admission policies are not installed (admissionPolicy: never): whoever may patch this object asks for anything"
    " in any name, without the verbs promote, rollback, release, reset and train, and has any Secret of the namespace used."
    " Names are marked unverified"
)
_NO_POLICY = (
    "the chart's admission policies are not installed, so the sidecars' account may not patch the OneSeekModel (it could change"
    " the whole spec), and train, reset and set-current over HTTP are refused; use kubectl, or install the chart with"
    " admissionPolicy: auto"
)
_NO_REVIEW = (
    "no ClusterRoleBinding lets sidecars review tokens (the operator is installed for named namespaces, without"
    " cluster-scoped rights), so train, reset and set-current over HTTP are refused; use kubectl, or set"
    " spec.serving.auth.mode: Legacy"
)


def model_decision(
    snapshot: Snapshot,
    verdict: Verdict,
    now: datetime,
    *,
    status: OneSeekModelStatus | None = None,
    before: tuple[Action, ...] = (),
    after: tuple[Action, ...] = (),
    again_after: float | None = None,
    published: ConditionRow | None = None,
    verified: ConditionRow | None = None,
    recorded: ConditionRow | None = None,
    candidate_ready: ConditionRow | None = None,
    events: tuple[Event, ...] = (),
) -> Decision[OneSeekModelStatus]:
    """Build the decision and recompute all conditions.

    Conditions that are not passed in are dropped, except Verified, which keeps its last value.
    """
    status, model = status or snapshot.model.status, snapshot.model
    if verified is None and (old := find(model.status.conditions, names.VERIFIED)):
        verified = ConditionRow(names.VERIFIED, old.reason, old.message, holds=old.status == "True")
    imported = imports.condition(model, status, snapshot.jobs, snapshot.pods)
    authors = None
    if not snapshot.identity.policy:
        authors = ConditionRow(names.AUTHORS_CHECKED, names.NO_ADMISSION_POLICY, _AUTHORS_UNCHECKED, holds=False)
    tokens = _tokens_condition(snapshot)
    rows = [_base_condition(status, verdict), verified, candidate_ready, tokens, authors, recorded, published, imported]
    if imported:
        found = model.model_copy(update={"status": status})
        verdict = imports.unfinished(verdict, found, imported, snapshot.jobs, snapshot.pods, now=now)
    verdict = _with_blocking_problem(verdict, snapshot, now)
    generation, extra = model.metadata.generation, [row for row in rows if row]
    conditions = conditions_for(verdict, model.status.conditions, generation=generation, now=now, extra=extra)
    status = fitted(status.model_copy(update={"conditions": conditions, "observed_generation": generation}))
    return Decision(status, before, after, again_after, events)


def fitted(status: OneSeekModelStatus) -> OneSeekModelStatus:
    """The status below STATUS_LIMIT: without the oldest versions that have no role; claim and ledger keep those."""
    excess = len(canonical_json(status.to_wire())) - STATUS_LIMIT
    if excess <= 0:
        return status
    kept = []
    for version in reversed(status.versions):  # oldest first
        if excess > 0 and version.state not in _NEEDED:
            excess -= len(canonical_json(version.to_wire())) + 1
        else:
            kept.append(version)
    return status.model_copy(update={"versions": kept[::-1]})


def _with_blocking_problem(verdict: Verdict, snapshot: Snapshot, now: datetime) -> Verdict:
    """The verdict of a Ready model, with the first problem of its ledger, records service, Jobs or Deployment."""
    if verdict.state != "Ready" or verdict.progress is not None:
        return verdict
    records = snapshot.records
    if records.rolled_back:
        return replace(verdict, progress=(names.LEDGER_ROLLED_BACK, records.error), stuck=True)
    own = [job for job in snapshot.jobs if job.owner == snapshot.model.metadata.uid and job.state == "Running"]
    serving = snapshot.deployment_of(snapshot.serving)
    found = [records.problem(snapshot.pods), *(waiting_problem(snapshot.pods, job) for job in own)]
    if serving:
        found.append(not_made(serving.failed_create, [], f"Deployment {serving.name!r}", made=""))
    problem = next((item for item in found if item), None)
    if problem is None:
        return verdict
    return replace(verdict, progress=(problem.reason, problem.message), stuck=lasts(problem, now))


def _base_condition(status: OneSeekModelStatus, verdict: Verdict) -> ConditionRow:
    base, kind = status.base_model, names.BASE_MODEL_IMPORTED
    if base is None:
        return ConditionRow(kind, verdict.reason, verdict.message, holds=False)
    return ConditionRow(kind, "Imported", f"the base model lies on the claim with digest {base.digest or ''}")


def _tokens_condition(snapshot: Snapshot) -> ConditionRow | None:
    """Whether changes over HTTP can be authenticated; None if they need no token (auth.mode Legacy)."""
    kind = names.TOKENS_ACCEPTED
    if not snapshot.identity.policy:
        return ConditionRow(kind, names.NO_ADMISSION_POLICY, _NO_POLICY, holds=False)
    if not wants_tokens(snapshot.model):
        return None
    if snapshot.identity.reviewers is None:
        return ConditionRow(kind, names.REVIEW_FORBIDDEN, _NO_REVIEW, holds=False)
    message = f"train, reset and set-current over HTTP need a Kubernetes token of audience {names.TOKEN_AUDIENCE!r}"
    return ConditionRow(kind, names.REVIEW_ALLOWED, message)


def records_condition(snapshot: Snapshot) -> ConditionRow:
    """The condition RecordsAvailable: whether transitions reach the ledger; it also counts answers that never will."""
    kind, records = names.RECORDS_AVAILABLE, snapshot.records
    lost = sum(endpoint.state.lost for endpoint in snapshot.endpoints.values() if endpoint.state)
    more = (
        f"; {lost} answered questions will never be in it (the pods' spools were full, or it refused them)"
        if lost
        else ""
    )
    if records.error:
        return ConditionRow(kind, records.reason, records.error + more, holds=False)
    if problem := records.problem(snapshot.pods):
        text = f"the records service does not start: {problem.message}"
        return ConditionRow(kind, problem.reason, text, holds=False)
    if records.replicas == 0:
        text = "spec.suspend is true: the records service is stopped until it is needed"
        return ConditionRow(kind, names.SUSPENDED, text, holds=False)
    if not records.ready:
        return ConditionRow(kind, "Starting", "the records service is starting", holds=False)
    if records.refused:
        text = f"the ledger refuses {'; '.join(records.refused)[:1024]}; they stay in status.outbox"
        return ConditionRow(kind, names.TRANSITION_REFUSED, text, holds=False)
    return ConditionRow(kind, "Recorded", "every transition is in the ledger" + more)


def with_pending_request(verdict: Verdict, status: OneSeekModelStatus, away: str, reason: str) -> Verdict:
    """The verdict, Reconciling while a request is Pending; `away`: why nothing can be appended to the ledger."""
    request = status.request
    if request is None or request.outcome != "Pending" or verdict.progress or verdict.state == "Working":
        return verdict
    if request.reason == names.REQUESTED and away:
        return replace(verdict, progress=(reason, f"{request.verb} waits for the ledger: {away}"))
    return replace(verdict, progress=(request.reason, f"{request.verb}: {request.message}"))


def ledger_events(snapshot: Snapshot) -> tuple[Event, ...]:
    """An Event when the ledger is first found not to contain the witnessed one."""
    old, records = find(snapshot.model.status.conditions, names.RECORDS_AVAILABLE), snapshot.records
    if not records.rolled_back or (old and old.reason == names.LEDGER_ROLLED_BACK):
        return ()
    return (Event(names.LEDGER_ROLLED_BACK, records.error, warning=True),)


def rejection_events(old: Sequence[Version], new: Sequence[Version]) -> tuple[Event, ...]:
    """An Event for each version that became Rejected or Quarantined."""
    barred = (names.STATE_REJECTED, names.STATE_QUARANTINED)
    before = {(version.dna, version.state) for version in old}
    return tuple(
        Event(version.state, f"{version.dna}: {version.reason}", warning=True)
        for version in new
        if version.state in barred and (version.dna, version.state) not in before
    )


def request_events(old: Request | None, new: Request | None) -> tuple[Event, ...]:
    """An Event for a request that got its outcome."""
    if new is None or new.outcome == "Pending" or (old and old.id == new.id and old.outcome == new.outcome):
        return ()
    done = new.outcome == "Succeeded"
    text = f"{new.verb} {new.outcome.lower()}: {new.message}"
    return (Event("RequestSucceeded" if done else new.reason, text, warning=not done),)
