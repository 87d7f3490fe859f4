"""What a model's status and Events say once it is decided what to do. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus, Version
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_operator.actions import Action, Decision
from oneseek_operator.conditions import Verdict, conditions_for, find
from oneseek_operator.model import imports
from oneseek_operator.model.bounds import fitted
from oneseek_operator.observe.model import Snapshot, wants_tokens
from oneseek_operator.observe.pod_failures import lasts, not_made, waiting_problem

__all__ = [
    "ledger_events",
    "model_decision",
    "recorded_condition",
    "rejection_events",
    "request_events",
    "with_pending_request",
]


def model_decision(
    snapshot: Snapshot,
    verdict: Verdict,
    now: datetime,
    *,
    status: OneSeekModelStatus | None = None,
    before: tuple[Action, ...] = (),
    after: tuple[Action, ...] = (),
    again_after: float | None = None,
    published: tuple[bool, str, str] | None = None,
    verified: tuple[bool, str, str] | None = None,
    recorded: tuple[bool, str, str] | None = None,
    candidate_ready: tuple[bool, str, str] | None = None,
    events: tuple[tuple[bool, str, str], ...] = (),
) -> Decision[OneSeekModelStatus]:
    """A decision with all conditions told anew; what is not given is unsaid, but for what the verifiers said last."""
    status = status or snapshot.model.status
    generation = snapshot.model.metadata.generation
    imported = status.base_model is not None
    digest = status.base_model.digest if status.base_model else ""
    extra = [
        (
            names.BASE_MODEL_IMPORTED,
            imported,
            "Imported" if imported else verdict.reason,
            f"the base model lies on the claim with digest {digest}" if imported else verdict.message,
        )
    ]
    # A verifier that is silent for once unsays nothing.
    if verified is None and (told := find(snapshot.model.status.conditions, names.VERIFIED)):
        verified = (told.status == "True", told.reason, told.message)
    if verified:
        extra.append((names.VERIFIED, *verified))
    if candidate_ready:
        extra.append((names.CANDIDATE_READY, *candidate_ready))
    if tokens := _tokens(snapshot):
        extra.append((names.TOKENS_ACCEPTED, *tokens))
    if not snapshot.identity.policy:
        extra.append((names.AUTHORS_CHECKED, False, names.NO_ADMISSION_POLICY, _UNCHECKED))
    if recorded:
        extra.append((names.RECORDS_AVAILABLE, *recorded))
    if published:
        extra.append((names.CURRENT_PUBLISHED, *published))
    if taken := imports.condition(snapshot.model, status, snapshot.jobs, snapshot.pods):
        extra.append(taken)
        found = snapshot.model.model_copy(update={"status": status})
        verdict = imports.unfinished(verdict, found, taken, snapshot.jobs, snapshot.pods, now=now)
    verdict = _with_blocking_problem(verdict, snapshot, now)
    conditions = conditions_for(verdict, snapshot.model.status.conditions, generation=generation, now=now, extra=extra)
    status = fitted(status.model_copy(update={"conditions": conditions, "observed_generation": generation}))
    return Decision(status, before, after, again_after, events)


def _with_blocking_problem(verdict: Verdict, snapshot: Snapshot, now: datetime) -> Verdict:
    """A model that answers is not done while a pod of its Jobs, its records service or its engines does not start.

    Nor while its ledger is an older copy, which is a person's business at once.
    """
    if verdict.state != "Ready" or verdict.progress is not None:
        return verdict
    if snapshot.records.rolled_back:
        return replace(verdict, progress=(names.LEDGER_ROLLED_BACK, snapshot.records.error), stuck=True)
    own = [job for job in snapshot.jobs if job.owner == snapshot.model.metadata.uid and job.state == "Running"]
    serving = [item for item in snapshot.deployments if snapshot.service and item.colour == snapshot.service.colour]
    found = [
        snapshot.records.problem(snapshot.pods),
        *(waiting_problem(snapshot.pods, job) for job in own),
        *(not_made(item.failed_create, [], f"Deployment {item.name!r}", made="") for item in serving),
    ]
    problem = next((item for item in found if item), None)
    if problem is None:
        return verdict
    return replace(verdict, progress=(problem.reason, problem.message), stuck=lasts(problem, now))


def _tokens(snapshot: Snapshot) -> tuple[bool, str, str] | None:
    """Whether the routes that change things can tell who asks; nothing where nobody is asked (auth.mode Legacy)."""
    if not snapshot.identity.policy:
        return False, names.NO_ADMISSION_POLICY, _NO_POLICY
    if not wants_tokens(snapshot.model):
        return None
    if snapshot.identity.reviewers is None:
        message = (
            "no ClusterRoleBinding lets sidecars review tokens (the operator is installed for named namespaces, without"
            " cluster-scoped rights), so train, reset and set-current over HTTP are refused; use kubectl, or set"
            " spec.serving.auth.mode: Legacy"
        )
        return False, names.REVIEW_FORBIDDEN, message
    message = f"train, reset and set-current over HTTP need a Kubernetes token of audience {names.TOKEN_AUDIENCE!r}"
    return True, names.REVIEW_ALLOWED, message


_UNCHECKED = (
    "the chart's admission policies are not installed (admissionPolicy: never): whoever may patch this object asks for anything"
    " in any name, without the verbs promote, rollback, release, reset and train, and has any Secret of the namespace used."
    " Names are marked unverified"
)
_NO_POLICY = (
    "the chart's admission policies are not installed, so the sidecars' account may not patch the OneSeekModel (it could change"
    " the whole spec), and train, reset and set-current over HTTP are refused; use kubectl, or install the chart with"
    " admissionPolicy: auto"
)


def with_pending_request(verdict: Verdict, status: OneSeekModelStatus, away: str, reason: str) -> Verdict:
    """While a request is Pending the model is Reconciling, whatever else it is."""
    request = status.request
    if request is None or request.outcome != "Pending" or verdict.progress or verdict.state == "Working":
        return verdict
    if request.reason == names.REQUESTED and away:
        return replace(verdict, progress=(reason, f"{request.verb} waits for the ledger: {away}"))
    return replace(verdict, progress=(request.reason, f"{request.verb}: {request.message}"))


def recorded_condition(snapshot: Snapshot) -> tuple[bool, str, str]:
    """Whether what happens reaches the ledger; what never will is said even where all else does."""
    states = [endpoint.state for endpoint in snapshot.endpoints.values() if endpoint.state]
    lost = sum(state.lost for state in states)
    more = f"; {lost} answered questions will never be in it (the pods' spools were full, or it refused them)"
    if snapshot.records.error:
        return False, snapshot.records.reason, snapshot.records.error + (more if lost else "")
    if problem := snapshot.records.problem(snapshot.pods):
        return False, problem.reason, f"the records service does not start: {problem.message}"
    if snapshot.records.replicas == 0:
        return False, names.SUSPENDED, "spec.suspend is true: the records service is stopped until it is needed"
    if not snapshot.records.ready:
        return False, "Starting", "the records service is starting"
    if snapshot.records.refused:
        sentence = "; ".join(snapshot.records.refused)[:1024]
        return False, names.TRANSITION_REFUSED, f"the ledger refuses {sentence}; they stay in status.outbox"
    return True, "Recorded", "every transition is in the ledger" + (more if lost else "")


def ledger_events(snapshot: Snapshot) -> tuple[tuple[bool, str, str], ...]:
    """An Event once the ledger turns out to be another than the one that was witnessed."""
    told = find(snapshot.model.status.conditions, names.RECORDS_AVAILABLE)
    if not snapshot.records.rolled_back or (told and told.reason == names.LEDGER_ROLLED_BACK):
        return ()
    return ((True, names.LEDGER_ROLLED_BACK, snapshot.records.error),)


def rejection_events(old: Sequence[Version], new: Sequence[Version]) -> tuple[tuple[bool, str, str], ...]:
    """An Event for each version that is barred now and was not before."""
    barred = (names.STATE_REJECTED, names.STATE_QUARANTINED)
    before = {(version.dna, version.state) for version in old}
    return tuple(
        (True, version.state, f"{version.dna}: {version.reason}")
        for version in new
        if version.state in barred and (version.dna, version.state) not in before
    )


def request_events(old: Request | None, new: Request | None) -> tuple[tuple[bool, str, str], ...]:
    """An Event for a request that has ended."""
    if new is None or new.outcome == "Pending" or (old and old.id == new.id and old.outcome == new.outcome):
        return ()
    text = f"{new.verb} {new.outcome.lower()}: {new.message}"
    reason = f"Request{new.outcome}" if new.outcome == "Succeeded" else new.reason
    return ((new.outcome != "Succeeded", reason, text),)
