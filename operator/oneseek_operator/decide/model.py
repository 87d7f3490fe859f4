"""What a OneSeekModel needs next. Pure: a snapshot and a time in, a decision out.

The order is that of a model's life: a claim, the base model on it, a colour that answers, the next colour, and the
old one let go. Each step holds only if the one before does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import BaseModelStatus, OneSeekModel, OneSeekModelStatus
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.job_contract import BaseImportReport, parse_report
from oneseek_operator.build import common
from oneseek_operator.build import model as build
from oneseek_operator.build.serving import Colour
from oneseek_operator.conditions import Verdict, conditions_for
from oneseek_operator.decide import rollout, versions
from oneseek_operator.decide.actions import Action, Create, Decision, Delete
from oneseek_operator.decide.jobs import failure_of, report_text, waiting_trouble
from oneseek_operator.decide.rollout import Endpoint
from oneseek_operator.decide.views import ClaimView, DeploymentView, JobView, PodView, ServiceView, mine
from oneseek_operator.settings import Settings

__all__ = ["Observed", "decide"]

_LOOK_AGAIN = 10.0  # seconds; for what no event tells us of (a claim without our labels)


@dataclass(frozen=True, slots=True)
class Observed:
    """All that is, as far as a model is concerned."""

    model: OneSeekModel
    claim: ClaimView | None
    jobs: tuple[JobView, ...]
    pods: tuple[PodView, ...]
    deployments: tuple[DeploymentView, ...]
    service: ServiceView | None
    runs: tuple[TrainingRun, ...]
    endpoints: Mapping[str, Endpoint]


def desired_colour(model: OneSeekModel, runs: tuple[TrainingRun, ...], settings: Settings) -> Colour:
    """The colour that should answer: the newest version that may, else the base model."""
    return rollout.colour_for(model, versions.merged(model.status.versions, versions.certified_by(runs)), settings)


def decide(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus]:
    """The next step."""
    for step in (_claim, _base_model):
        if decision := step(seen, settings, now):
            return decision
    return _serving(seen, settings, now)


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
    if published:
        extra.append((names.CURRENT_PUBLISHED, *published))
    conditions = conditions_for(verdict, seen.model.status.conditions, generation=generation, now=now, extra=extra)
    status = status.model_copy(update={"conditions": conditions, "observed_generation": generation})
    return Decision(status, before, after, again_after)


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
        trouble_now = waiting_trouble(seen.pods, job.name)
        verdict = Verdict("Working", names.BASE_IMPORTING, f"importing the base model {name!r}")
        if trouble_now:
            verdict = Verdict("Working", trouble_now.reason, trouble_now.message)
        return _finish(seen, verdict, now)
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


def _serving(seen: Observed, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus]:
    model = seen.model
    known = versions.merged(model.status.versions, versions.certified_by(seen.runs))
    plan = rollout.plan(
        rollout.Seen(
            model=model,
            versions=tuple(known),
            deployments=seen.deployments,
            pods=seen.pods,
            service=seen.service,
            endpoints=seen.endpoints,
        ),
        settings,
        now,
    )
    status = model.status.model_copy(
        update={
            "versions": plan.versions,
            "counters": versions.counters_for(model.status.counters, known),
            "current": plan.current,
            "previous": plan.previous,
            "candidate": plan.candidate,
            "colour": plan.colour,
            "url": f"http://{model.metadata.name}.{model.metadata.namespace}.svc" if plan.colour else None,
            "replicas": plan.replicas,
            "selector": plan.selector,
        }
    )
    after, published, again = _current_link(replace(seen, model=model.model_copy(update={"status": status})), settings)
    wait = [seconds for seconds in (plan.again_after, again) if seconds is not None]
    return _finish(
        seen,
        plan.verdict,
        now,
        status=status,
        before=plan.before,
        after=(*plan.after, *after),
        again_after=min(wait, default=None),
        published=published,
    )


def _current_link(
    seen: Observed, settings: Settings
) -> tuple[tuple[Action, ...], tuple[bool, str, str] | None, float | None]:
    """Have a tree Job move CURRENT to what answers, one Job at a time; CURRENT may lag and gates nothing."""
    model, current = seen.model, seen.model.status.current
    if current is None:
        return (), None, None
    wanted = build.tree_job_name(model, current.dna, current.since)
    jobs = [
        job
        for job in seen.jobs
        if job.name.startswith(f"{model.metadata.name}-tree-") and job.owner == model.metadata.uid
    ]
    job = mine(jobs, wanted)
    stale = tuple(
        Delete("Job", item.name, item.uid) for item in jobs if item.name != wanted and item.state != "Running"
    )
    if job is None:
        if any(item.state == "Running" for item in jobs):
            return stale, (False, "Moving", "waiting for the tree Job before this one"), 2.0
        made = Create(build.tree_job(model, settings, dna=current.dna, since=current.since))
        return (*stale, made), (False, "Moving", f"moving CURRENT to {current.dna}"), None
    if job.state == "Succeeded":
        return stale, (True, "Published", f"CURRENT points at {current.dna}"), None
    if job.state == "Failed":
        trouble = failure_of(job, seen.pods, what="the tree Job")
        return stale, (False, trouble.reason, f"CURRENT could not be moved: {trouble.message}"), None
    return stale, (False, "Moving", f"moving CURRENT to {current.dna}"), None
