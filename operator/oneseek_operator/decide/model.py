"""What a OneSeekModel needs next. Pure: a snapshot and a time in, a decision out.

The order is that of a model's life: a claim, the base model on it, a colour that answers, the next colour, and the
old one let go. Each step holds only if the one before does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import BaseModelStatus, LedgerHead, OneSeekModel, OneSeekModelStatus, Version
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.jobs.messages import parse_report
from oneseek_core.serving.swap import WantedVersion
from oneseek_operator.build import common
from oneseek_operator.build import identity as build_identity
from oneseek_operator.build import keys as build_keys
from oneseek_operator.build import model as build
from oneseek_operator.build import records as build_records
from oneseek_operator.conditions import Verdict, conditions_for, conditions_with, find
from oneseek_operator.decide import asked_of_model, imports, ledger, requests, rollout, tree, versions, windows
from oneseek_operator.decide.actions import (
    Action,
    Apply,
    Create,
    Decision,
    MakeKeys,
    MakeRecordsSecret,
    RemoveAnnotations,
    Replace,
)
from oneseek_operator.decide.bounds import fitted
from oneseek_operator.decide.jobs import failure_of, report_text, waiting_trouble, with_trouble
from oneseek_operator.decide.seen import Endpoint
from oneseek_operator.decide.selection import is_resetting
from oneseek_operator.decide.views import (
    ClaimView,
    DeploymentView,
    IdentityView,
    JobView,
    PodView,
    ServiceView,
    TrustedKeysView,
    mine,
)
from oneseek_operator.settings import Settings

__all__ = ["Observed", "RecordsView", "decide", "rollout_view"]

_LEDGER_AGAIN = 2.0  # seconds between tries to empty the outbox
_AWAY_AGAIN = 10.0  # seconds between questions whether the ledger is back
_REFUSED_AGAIN = 300.0  # seconds, where the ledger refuses all that is left in it
_LOOK_AGAIN = 10.0  # seconds; for what no event tells us of (a claim without our labels)


@dataclass(frozen=True, slots=True)
class RecordsView:
    """The records service: what of it is there, what the ledger acknowledged just now, or why it did not."""

    token: str = ""
    template: str | None = None
    ready: bool = False
    has_service: bool = False
    acknowledged: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()  # a sentence for each transition in the outbox that the ledger will not take
    head: LedgerHead | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Observed:
    """All that is, as far as a model is concerned."""

    model: OneSeekModel
    claim: ClaimView | None
    trusted: TrustedKeysView | None
    jobs: tuple[JobView, ...]
    pods: tuple[PodView, ...]
    deployments: tuple[DeploymentView, ...]
    service: ServiceView | None
    runs: tuple[TrainingRun, ...]
    records: RecordsView
    identity: IdentityView
    endpoints: Mapping[str, Endpoint]
    wanted: Mapping[str, WantedVersion] = field(default_factory=dict)


def _known(model: OneSeekModel, runs: tuple[TrainingRun, ...]) -> tuple[list[Version], dict[str, str]]:
    """All versions, those that miss the gate among them as Rejected; and why each of these does."""
    found = versions.merged(model.status.versions, versions.certified_by(runs))
    current = model.status.current.dna if model.status.current else None
    return versions.gated(versions.barred(found, model.status.quarantine), current, model.spec.promotion.gate)


def rollout_view(seen: Observed) -> rollout.Seen:
    """The part of the world that a rollout looks at."""
    known, missed = _known(seen.model, seen.runs)
    return rollout.Seen(
        model=seen.model,
        versions=tuple(known),
        missed=missed,
        records_away=_away(seen),
        deployments=seen.deployments,
        pods=seen.pods,
        service=seen.service,
        endpoints=seen.endpoints,
        wanted=seen.wanted,
    )


def _away(seen: Observed) -> str:
    return seen.records.error or ("" if seen.records.ready else "the records pod is not ready")


def decide(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus]:
    """The next step."""
    if lacking := build_records.lacks_image(seen.model, settings):
        seen = replace(seen, records=replace(seen.records, error=lacking))
    for step in (_requested, _windows, _claim, _keys, _identity, _records, _base_model, _imports):
        if decision := step(seen, settings, now):
            return decision
    return _serving(seen, settings, now)


def _requested(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Take in a request: write it down, then take the annotation off; what it asks for is done further down."""
    policy = settings.admission_policy
    model, pending = seen.model, seen.model.status.request
    if pending is not None and pending.outcome != "Pending":
        pending = None
    found = requests.asked(model.metadata, names.REQUEST_VERBS)
    if keys := requests.removable(pending, found):
        return Decision(model.status, (RemoveAnnotations(keys),), again_after=0.0)
    carried = requests.carried(model.metadata, names.REQUEST_VERBS)
    if (carried.text if carried else None) != model.status.manifest_request and pending is None:
        return _carried(model, carried, now, policy=policy)
    if found and pending is None:
        request = requests.new(model.metadata, found, asked_of_model.resolved(model, found), now, policy=policy)
        told = conditions_with(
            model.status.conditions,
            (names.RECONCILING, True, names.REQUESTED, request.message),
            generation=model.metadata.generation,
            now=now,
        )
        status = model.status.model_copy(update={"request": request, "conditions": told})
        return Decision(status, again_after=0.0, events=((False, names.REQUESTED, request.message),))
    if pending and model.status.base_model is None:
        text = "the base model is not imported yet, so there is no version to act on"
        ended = requests.ended(pending, "Refused", names.NO_SUCH_VERSION, text, now)
        status = model.status.model_copy(update={"request": ended})
        return Decision(status, again_after=0.0, events=((True, ended.reason, text),))
    return None


def _windows(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Make the run that a closed window of the records service asks for; the annotation goes once the run is there."""
    del settings, now
    asked = windows.asked(seen.model, seen.runs)
    if not asked.annotations:
        return None
    before: list[Action] = [*(Create(item) for item in asked.runs), RemoveAnnotations(asked.annotations)]
    return Decision(seen.model.status, tuple(before), again_after=0.0, events=asked.events)


def _carried(
    model: OneSeekModel, found: requests.Asked | None, now: datetime, *, policy: bool
) -> Decision[OneSeekModelStatus]:
    """A manifest carries a request, or no longer does: it is refused once, then passed over."""
    changes: dict[str, object] = {"manifest_request": found.text if found else None}
    events: tuple[tuple[bool, str, str], ...] = ()
    if found:
        text = (
            f"oneseek.io/{found.text} stands in a manifest and would be done again with every apply; take it out and "
            "annotate the object, or change spec.version"
        )
        refused = requests.ended(
            requests.new(model.metadata, found, None, now, policy=policy),
            "Refused",
            names.REQUEST_IN_MANIFEST,
            text,
            now,
        )
        changes["request"] = refused
        events = ((True, names.REQUEST_IN_MANIFEST, text),)
    return Decision(model.status.model_copy(update=changes), again_after=0.0, events=events)


def _finish(
    seen: Observed,
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
    status = status or seen.model.status
    generation = seen.model.metadata.generation
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
    if verified is None and (told := find(seen.model.status.conditions, names.VERIFIED)):
        verified = (
            told.status == "True",
            told.reason,
            told.message,
        )  # a verifier that is silent for once unsays nothing
    if verified:
        extra.append((names.VERIFIED, *verified))
    if candidate_ready:
        extra.append((names.CANDIDATE_READY, *candidate_ready))
    if tokens := _tokens(seen):
        extra.append((names.TOKENS_ACCEPTED, *tokens))
    if recorded:
        extra.append((names.RECORDS_AVAILABLE, *recorded))
    if published:
        extra.append((names.CURRENT_PUBLISHED, *published))
    if taken := imports.condition(seen.model, status, seen.jobs, seen.pods):
        extra.append(taken)
        verdict = imports.unfinished(verdict, seen.model.model_copy(update={"status": status}), taken, seen.pods, now)
    conditions = conditions_for(verdict, seen.model.status.conditions, generation=generation, now=now, extra=extra)
    status = fitted(status.model_copy(update={"conditions": conditions, "observed_generation": generation}))
    return Decision(status, before, after, again_after, events)


def _rejections(old: Sequence[Version], new: Sequence[Version]) -> tuple[tuple[bool, str, str], ...]:
    """An Event for each version that is barred now and was not before."""
    barred = (names.STATE_REJECTED, names.STATE_QUARANTINED)
    before = {(version.dna, version.state) for version in old}
    return tuple(
        (True, version.state, f"{version.dna}: {version.reason}")
        for version in new
        if version.state in barred and (version.dna, version.state) not in before
    )


def _claim(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    del settings
    name = common.claim_name(seen.model)
    if seen.claim is not None:
        return None
    if seen.model.spec.storage.claim_name:
        message = (
            f"the claim {name!r} of spec.storage.claimName does not exist in namespace "
            f"{seen.model.metadata.namespace!r}; make it, or use spec.storage.size"
        )
        return _finish(seen, Verdict("Failed", names.CLAIM_NOT_FOUND, message), now, again_after=_LOOK_AGAIN)
    if seen.model.status.base_model is not None:
        message = f"the claim {name!r} with base model and versions is gone; restore it, or delete this OneSeekModel"
        return _finish(seen, Verdict("Failed", names.CLAIM_NOT_FOUND, message), now, again_after=_LOOK_AGAIN)
    verdict = Verdict("Working", names.BASE_IMPORTING, f"making the claim {name!r}")
    return _finish(seen, verdict, now, before=(Create(build.claim(seen.model)),), again_after=0.0)


def _keys(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """The keys that certify signs with, and the public halves, before anything needs them."""
    del settings
    model, trusted = seen.model, seen.trusted
    wanted = tuple(sorted(model.spec.certification.trusted_keys))
    own = model.spec.certification.signing_key_secret is None
    action: Action | None = None
    if own and (trusted is None or not trusted.ready):
        action = MakeKeys(model, pending=trusted is not None)
    elif trusted is None or tuple(sorted(trusted.others)) != wanted:
        made = trusted.made if trusted and own else None
        action = Apply(build_keys.trusted(model, made=made, pending=False))
    if action is None:
        return None
    if model.status.base_model is not None:  # the list of trusted keys changes under a model that lives: say nothing
        return Decision(model.status, (action,), again_after=0.0)
    verdict = Verdict("Working", names.MAKING_KEYS, "writing the signing keys and the trusted keys")
    return _finish(seen, verdict, now, before=(action,), again_after=0.0)


def _identity(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """The sidecars' account and its rights, before a pod needs them."""
    del settings, now
    model, found = seen.model, seen.identity
    wanted = build_identity.objects(model)
    actions: list[Action] = [
        Apply(item)
        for item in wanted
        if (item["kind"], item["metadata"]["annotations"][names.ANNOTATION_TEMPLATE]) not in found.templates
    ]
    if found.reviewers is not None:
        entry = build_identity.subject(model)
        change = build_identity.with_subject if _wants_tokens(model) else build_identity.without_subject
        changed = change(found.reviewers, entry)
        if changed["subjects"] != (found.reviewers.get("subjects") or []):
            actions.append(Replace(changed))
    return Decision(model.status, tuple(actions), again_after=0.0) if actions else None


def _wants_tokens(model: OneSeekModel) -> bool:
    return model.spec.serving.auth.mode == "Token"


def _tokens(seen: Observed) -> tuple[bool, str, str] | None:
    """Whether the routes that change things can tell who asks; nothing where nobody is asked (auth.mode Legacy)."""
    if not _wants_tokens(seen.model):
        return None
    if seen.identity.reviewers is None:
        message = (
            "no ClusterRoleBinding lets sidecars review tokens (the operator is installed for named namespaces, without"
            " cluster-scoped rights), so train, reset and set-current over HTTP are refused; use kubectl, or set"
            " spec.serving.auth.mode: Legacy"
        )
        return False, names.REVIEW_FORBIDDEN, message
    message = f"train, reset and set-current over HTTP need a Kubernetes token of audience {names.TOKEN_AUDIENCE!r}"
    return True, names.REVIEW_ALLOWED, message


def _records(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """The records service and its token; nothing waits for it but promotions."""
    del now
    model, found = seen.model, seen.records
    if build_records.lacks_image(model, settings):
        return None
    if found.template == build_records.template_hash(model, settings) and found.has_service:
        return None
    actions: list[Action] = []
    if found.template is None:
        actions.append(MakeRecordsSecret(model, found.token))
    if not found.has_service:
        actions.append(Apply(build_records.service(model)))
    actions.append(Apply(build_records.stateful_set(model, settings)))
    return Decision(model.status, tuple(actions), again_after=0.0)


def _base_model(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    model = seen.model
    if model.status.base_model is not None:
        return None
    job = mine(seen.jobs, build.base_job_name(model))
    name = model.spec.base_model.name
    if job is None:
        verdict = Verdict("Working", names.BASE_IMPORTING, f"importing the base model {name!r}")
        return _finish(seen, verdict, now, before=(Create(build.base_job(model, settings)),))
    if job.owner != model.metadata.uid:
        message = f"waiting for the Job {job.name!r} of a deleted OneSeekModel of this name to go"
        return _finish(seen, Verdict("Working", names.BASE_IMPORTING, message), now, again_after=2.0)
    if job.state == "Failed":
        trouble = failure_of(job, seen.pods, what="the base Job")
        reason = names.BASE_FAILED if trouble.reason == names.JOB_FAILED else trouble.reason
        hint = f"; when mended, `kubectl delete job {job.name}` imports again"
        return _finish(seen, Verdict("Failed", reason, trouble.message + hint), now)
    if job.state == "Running":
        working = Verdict("Working", names.BASE_IMPORTING, f"importing the base model {name!r}")
        verdict, again_after = with_trouble(waiting_trouble(seen.pods, job.name), working, now)
        return _finish(seen, verdict, now, again_after=again_after)
    report = parse_report(report_text(seen.pods, job), BaseImportReport)
    if report is None:
        message = (
            f"the base Job {job.name!r} ended well but its pod and report are gone; `kubectl delete job {job.name}` "
            "imports again (files on the claim are kept)"
        )
        return _finish(seen, Verdict("Failed", names.JOB_VANISHED, message), now)
    found = versions.merged(model.status.versions, versions.adopted(report.versions))
    status = model.status.model_copy(
        update={
            "base_model": BaseModelStatus(digest=report.digest, size_bytes=report.size_bytes),
            "versions": found,
            "counters": versions.counters_for(model.status.counters, found),
        }
    )
    verdict = Verdict("Working", names.STARTING_ENGINE, f"the base model {name!r} is imported; starting an engine")
    return _finish(seen, verdict, now, status=status, again_after=0.0)


def _imports(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    return imports.step(seen.model, seen.jobs, seen.pods, settings, now)


def _serving(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus]:
    before = seen.model
    known, _ = _known(before, seen.runs)
    asked = asked_of_model.acted(before, known, now, records_away=_away(seen))
    seen = replace(seen, model=before.model_copy(update={"status": asked}))
    model = seen.model
    plan = rollout.plan(rollout_view(seen), settings, now)
    status = asked.model_copy(
        update={
            "versions": plan.versions,
            "counters": versions.counters_for(asked.counters, known),
            "current": plan.current,
            "previous": plan.previous,
            "candidate": plan.candidate,
            "strategy": plan.strategy,
            "quarantine": plan.quarantine,
            "colour": plan.colour,
            "url": f"http://{model.metadata.name}.{model.metadata.namespace}.svc" if plan.colour else None,
            "replicas": plan.replicas,
            "selector": plan.selector,
        }
    )
    answers = plan.verdict.state == "Ready" or (plan.verdict.state == "Failed" and plan.choice.blocked is not None)
    request = asked_of_model.concluded(model, status, plan.choice, now, serves=answers)
    status = status.model_copy(update={"request": request})
    status, tree, published, again = _tree(seen, status, settings, now)
    happened = ledger.transitions(before, status, seen.runs, choice=plan.choice, now=now)
    outbox, dropped = ledger.outbox(before.status.outbox, seen.records.acknowledged, happened)
    # Answered questions raise the head all the time: it is written down with what the model itself has entered.
    entered = bool(seen.records.acknowledged) or before.status.ledger is None
    head = seen.records.head if entered and seen.records.head else before.status.ledger
    status = status.model_copy(update={"outbox": outbox, "ledger": head})
    hurry = _LEDGER_AGAIN if len(outbox) > len(seen.records.refused) else _REFUSED_AGAIN if outbox else None
    # A service whose database is away runs and is ready: no event tells that it is back.
    anew = _AWAY_AGAIN if seen.records.error and not hurry else None
    wait = [seconds for seconds in (plan.again_after, again, hurry, anew) if seconds is not None]
    return _finish(
        seen,
        _asked_verdict(plan.verdict, status, _away(seen)),
        now,
        status=status,
        before=plan.before,
        after=(*plan.after, *tree),
        again_after=min(wait, default=None),
        published=published,
        verified=plan.verified,
        candidate_ready=plan.candidate_ready,
        recorded=_recorded(seen),
        events=(
            *_rejections(before.status.versions, plan.versions),
            *_answers(before.status.request, status.request),
            *plan.events,
            *ledger.overflow(dropped),
        ),
    )


def _tree(
    seen: Observed, status: OneSeekModelStatus, settings: Settings, now: datetime
) -> tuple[OneSeekModelStatus, tuple[Action, ...], tuple[bool, str, str] | None, float | None]:
    """The Jobs that change the tree: those of a reset, or CURRENT and retention."""
    model = seen.model
    if is_resetting(model):
        status, actions, waiting = tree.reset(
            model,
            status,
            jobs=seen.jobs,
            pods=seen.pods,
            deployments=seen.deployments,
            runs=seen.runs,
            settings=settings,
            now=now,
        )
        if status.request and waiting and status.request.outcome == "Pending":
            status = status.model_copy(update={"request": status.request.model_copy(update={"message": waiting})})
        return status, actions, None, 2.0
    mounted = {item.dna for item in seen.deployments if item.dna} | _parents(seen.runs)
    status, pruning = tree.pruned(model, status, seen.jobs, mounted, settings)
    linking, published, again = tree.current_link(model, status, seen.jobs, seen.pods, settings)
    return status, (*linking, *pruning), published, again


def _parents(runs: Sequence[TrainingRun]) -> set[str]:
    """The versions that runs under way go on from."""
    return {
        run.status.resolved.parent
        for run in runs
        if run.status.resolved and run.status.resolved.parent and run.status.completed_at is None
    }


def _asked_verdict(verdict: Verdict, status: OneSeekModelStatus, away: str) -> Verdict:
    """While a request is Pending the model is Reconciling, whatever else it is."""
    request = status.request
    if request is None or request.outcome != "Pending" or verdict.progress or verdict.state == "Working":
        return verdict
    if request.reason == names.REQUESTED and away:
        return replace(verdict, progress=(names.RECORDS_UNAVAILABLE, f"{request.verb} waits for the ledger: {away}"))
    return replace(verdict, progress=(request.reason, f"{request.verb}: {request.message}"))


def _answers(old: Request | None, new: Request | None) -> tuple[tuple[bool, str, str], ...]:
    """An Event for a request that has ended."""
    if new is None or new.outcome == "Pending" or (old and old.id == new.id and old.outcome == new.outcome):
        return ()
    text = f"{new.verb} {new.outcome.lower()}: {new.message}"
    reason = f"Request{new.outcome}" if new.outcome == "Succeeded" else new.reason
    return ((new.outcome != "Succeeded", reason, text),)


def _recorded(seen: Observed) -> tuple[bool, str, str]:
    """Whether what happens reaches the ledger; what never will is said even where all else does."""
    states = [endpoint.state for endpoint in seen.endpoints.values() if endpoint.state]
    lost = sum(state.lost for state in states)
    more = f"; {lost} answered questions will never be in it (the pods' spools were full, or it refused them)"
    if seen.records.error:
        return False, names.RECORDS_UNAVAILABLE, seen.records.error + (more if lost else "")
    if not seen.records.ready:
        return False, "Starting", "the records service is starting"
    if seen.records.refused:
        sentence = "; ".join(seen.records.refused)[:1024]
        return False, names.TRANSITION_REFUSED, f"the ledger refuses {sentence}; they stay in status.outbox"
    return True, "Recorded", "every transition is in the ledger" + (more if lost else "")
