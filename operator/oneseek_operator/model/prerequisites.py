"""What a model needs before a version can serve: claim, policies, keys, account, access, records service, base model. Pure.

Each step returns None once there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import BaseModelStatus, OneSeekModelStatus
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.jobs.messages import parse_report
from oneseek_operator.actions import (
    Action,
    Apply,
    Create,
    Decision,
    Delete,
    MakeAccess,
    MakeKeys,
    MakeRecordsSecret,
    MarkRecords,
    Replace,
    Reserve,
)
from oneseek_operator.certificates import renewed_at
from oneseek_operator.conditions import Verdict
from oneseek_operator.model import adoption
from oneseek_operator.model.status import model_decision
from oneseek_operator.observe.model import Snapshot, has_writers, wants_tokens
from oneseek_operator.observe.pod_failures import failure_of, report_text, waiting_problem, with_problem
from oneseek_operator.observe.pods import PodView, owned_job
from oneseek_operator.resources import common
from oneseek_operator.resources import keys as build_keys
from oneseek_operator.resources import model as build
from oneseek_operator.resources import network_policies as build_network
from oneseek_operator.resources import pod_access as build_access
from oneseek_operator.resources import records as build_records
from oneseek_operator.resources import service_account as build_identity
from oneseek_operator.resources import serving as build_serving
from oneseek_operator.settings import Settings

__all__ = ["access", "base_model", "claim", "identity", "keys", "policies", "records", "suspended"]

_LOOK_AGAIN = 10.0  # seconds; for what no event reports (a claim without our labels)


def suspended(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Start nothing for a model that is suspended before its base model is imported; what runs is finished."""
    model = snapshot.model
    if not model.spec.suspend or model.status.base_model is not None:
        return None
    verdict = Verdict("Waiting", names.SUSPENDED, "spec.suspend is true: nothing is started")
    stop = _records_scaled(snapshot, settings) if snapshot.records.template is not None else ()
    return model_decision(snapshot, verdict, now, before=stop)


def claim(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """The claim for base model and versions: created, or the one that the spec names must exist."""
    del settings
    name = common.claim_name(snapshot.model)
    named = snapshot.model.spec.storage.claim_name
    if snapshot.claim is not None and (named or snapshot.claim.is_ours):
        return None
    if named:
        message = (
            f"the claim {name!r} of spec.storage.claimName does not exist in namespace "
            f"{snapshot.model.metadata.namespace!r}; make it, or use spec.storage.size"
        )
        return model_decision(snapshot, Verdict("Failed", names.CLAIM_NOT_FOUND, message), now, again_after=_LOOK_AGAIN)
    if snapshot.claim is None and snapshot.model.status.base_model is not None:
        message = f"the claim {name!r} with base model and versions is gone; restore it, or delete this OneSeekModel"
        return model_decision(snapshot, Verdict("Failed", names.CLAIM_NOT_FOUND, message), now, again_after=_LOOK_AGAIN)
    # The API client refuses a claim of that name that is somebody else's.
    verdict = Verdict("Working", names.BASE_IMPORTING, f"making the claim {name!r}")
    return model_decision(snapshot, verdict, now, before=(Create(build.claim(snapshot.model)),), again_after=0.0)


def policies(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """The NetworkPolicies, before there are pods; none of ours if the chart disables them.

    The policy that allows nothing is created last and deleted first, so no needed connection is cut in between.
    """
    del now
    wanted = build_network.policies(snapshot.model, settings)
    kept = {item["metadata"]["name"] for item in wanted}
    own = {item.name: item for item in snapshot.policies if item.owner == snapshot.model.metadata.uid}
    there = {name: item.spec for name, item in own.items()}
    actions: list[Action] = [Apply(item) for item in wanted if there.get(item["metadata"]["name"]) != item["spec"]]
    left = sorted(
        (item for name, item in own.items() if name not in kept), key=lambda item: build_network.allows(item.spec)
    )
    actions += [Delete("NetworkPolicy", item.name, item.uid) for item in left]
    return Decision(snapshot.model.status, tuple(actions), again_after=0.0) if actions else None


def keys(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """The signing keys and the public keys, before anything needs them."""
    del settings
    model, trusted = snapshot.model, snapshot.trusted
    wanted = tuple(sorted(model.spec.certification.trusted_keys))
    own = model.spec.certification.signing_key_secret is None
    if own and trusted is not None and not trusted.ready and trusted.made is None:
        return _lost(snapshot, now)
    action: Action | None = None
    if own and (trusted is None or not trusted.ready):
        action = MakeKeys(model, pending=trusted is not None)
    elif trusted is None or tuple(sorted(trusted.others)) != wanted:
        made = trusted.made if trusted and own else None
        action = Apply(build_keys.trusted(model, made=made, pending=False))
    if action is None:
        return None
    if model.status.base_model is not None:  # the trusted keys of an imported model change: its conditions stay
        return Decision(model.status, (action,), again_after=0.0)
    verdict = Verdict("Working", names.MAKING_KEYS, "writing the signing keys and the trusted keys")
    return model_decision(snapshot, verdict, now, before=(action,), again_after=0.0)


def _lost(snapshot: Snapshot, now: datetime) -> Decision[OneSeekModelStatus]:
    """Stop: nobody knows the public half of the signing key. A version that serves goes on serving."""
    secret, public = build_keys.secret_name(snapshot.model), build_keys.trusted_name(snapshot.model)
    message = (
        f"the Secret {secret!r} exists but its public key is unknown: restore the ConfigMap {public!r}, or delete both,"
        f" and new keys are made (versions signed before then need the old public key in certification.trustedKeys)"
    )
    return model_decision(snapshot, Verdict("Failed", names.PUBLIC_KEY_LOST, message), now, again_after=_LOOK_AGAIN)


def identity(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """The sidecars' ServiceAccount and its rights, before a pod needs them."""
    del now
    model, found = snapshot.model, snapshot.identity
    wanted = build_identity.objects(model, policy=settings.admission_policy)
    actions: list[Action] = [
        Apply(item)
        for item in wanted
        if (item["kind"], item["metadata"]["annotations"][names.ANNOTATION_TEMPLATE]) not in found.templates
    ]
    if found.reviewers is not None:
        entry = build_identity.subject(model)
        change = build_identity.with_subject if wants_tokens(model) else build_identity.without_subject
        changed = change(found.reviewers, entry)
        if changed["subjects"] != (found.reviewers.get("subjects") or []):
            actions.append(Replace(changed))
    return Decision(model.status, tuple(actions), again_after=0.0) if actions else None


def access(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Tokens and certificates of the model's pods, before a pod needs them; certificates are renewed before they expire."""
    model = snapshot.model
    written = snapshot.access.written if snapshot.access else None
    wanted = build_access.secret_name(model, settings)
    due: tuple[build_access.Part, ...] = ()
    if settings.internal_tls:
        leaves = written.leaves if written else {}
        due = tuple(part for part in build_access.PARTS if _is_due(leaves.get(part), snapshot.authorities, now))
    if (
        written
        and written.tokens == wanted
        and not due
        and snapshot.access
        and snapshot.access.bundle == snapshot.bundle
    ):
        return None
    note = (written or build_access.Written(tokens=wanted)).model_copy(update={"tokens": wanted})
    action = MakeAccess(model, build_access.secret(model, settings), due, note, snapshot.bundle)
    return Decision(model.status, (action,), again_after=0.0)


def _is_due(leaf: build_access.LeafNote | None, authorities: Collection[str], now: datetime) -> bool:
    if leaf is None or leaf.authority not in authorities:
        return True
    return now >= renewed_at(datetime.fromisoformat(leaf.since), datetime.fromisoformat(leaf.until))


def records(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """The records service and its key; only promotions and resets wait for it."""
    del now
    model, found = snapshot.model, snapshot.records
    if build_records.lacks_image(model, settings):
        return None
    actions: list[Action] = []
    known = snapshot.trusted is not None and snapshot.trusted.knows_records
    if found.template is None:
        actions.append(MakeRecordsSecret(model, known=known or found.left_claim))
    elif snapshot.trusted is not None and not known:  # created by a release that did not mark it
        actions.append(MarkRecords(model))
    if found.service != build_records.service_template(model):
        actions.append(Apply(build_records.service(model)))
    actions += _records_scaled(snapshot, settings)
    return Decision(model.status, tuple(actions), again_after=0.0) if actions else None


def _records_scaled(snapshot: Snapshot, settings: Settings) -> tuple[Action, ...]:
    """The StatefulSet, if it differs; a suspended model has no records pod once nothing has to write."""
    replicas = 0 if snapshot.model.spec.suspend and not has_writers(snapshot) else 1
    now = "tls" if settings.internal_tls else "plain"
    # With TLS, a pod that speaks "plain" may be a stranger's; without, "plain" is `now`.
    others = sorted({pod.speaks for pod in snapshot.pods if _calls_records(pod, snapshot)} - {now, "", "plain"})
    template = build_records.template_hash(snapshot.model, settings, replicas=replicas, others=others)
    if snapshot.records.template == template:
        return ()
    return (Apply(build_records.stateful_set(snapshot.model, settings, replicas=replicas, others=others)),)


def _calls_records(pod: PodView, snapshot: Snapshot) -> bool:
    """Whether it is a serving pod, or a pod of a run."""
    runs = {run.metadata.uid for run in snapshot.runs}
    jobs = {job.uid for job in snapshot.jobs if job.owner in runs}
    return pod.phase in ("Pending", "Running") and (names.LABEL_COLOUR in pod.labels or pod.owner in jobs)


def base_model(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Import the base model, and adopt the versions that the Job found on the claim."""
    model = snapshot.model
    if model.status.base_model is not None:
        return None
    job = owned_job(snapshot.jobs, build.base_job_name(model), model.metadata.uid)
    name = model.spec.base_model.name
    if job is None:
        verdict = Verdict("Working", names.BASE_IMPORTING, f"importing the base model {name!r}")
        # A name that is taken is reported before hours of importing, not after.
        later = Reserve(build_serving.service(model, colour="", flipped_at=""))
        return model_decision(snapshot, verdict, now, before=(later, Create(build.base_job(model, settings))))
    if job.state == "Failed":
        problem = failure_of(job, snapshot.pods, what="the base Job")
        reason = names.BASE_FAILED if problem.reason == names.JOB_FAILED else problem.reason
        hint = f"; when mended, `kubectl delete job {job.name}` imports again"
        return model_decision(snapshot, Verdict("Failed", reason, problem.message + hint), now)
    if job.state == "Running":
        working = Verdict("Working", names.BASE_IMPORTING, f"importing the base model {name!r}")
        verdict, again_after = with_problem(waiting_problem(snapshot.pods, job), working, now)
        return model_decision(snapshot, verdict, now, again_after=again_after)
    report = parse_report(report_text(snapshot.pods, job), BaseImportReport)
    if report is None:
        message = (
            f"the base Job {job.name!r} ended well but its pod and report are gone; `kubectl delete job {job.name}` "
            "imports again (files on the claim are kept)"
        )
        return model_decision(snapshot, Verdict("Failed", names.JOB_VANISHED, message), now)
    base = BaseModelStatus(digest=report.digest, size_bytes=report.size_bytes)
    status = adoption.adopted(model, report, now).model_copy(update={"base_model": base})
    verdict = Verdict("Working", names.STARTING_ENGINE, f"the base model {name!r} is imported; starting an engine")
    return model_decision(snapshot, verdict, now, status=status, again_after=0.0)
