"""The Jobs before and after training: data prepared, held-out questions answered, the version certified. Pure.

How a run's Job is found in the snapshot, and what is said while it works or where it is gone, is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import JobUids
from oneseek_core.jobs.certify import CertifyReport
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.evaluate import EvaluateReport
from oneseek_core.jobs.messages import parse_report
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_operator.actions import Create, Delete
from oneseek_operator.conditions import Verdict, timestamp
from oneseek_operator.observe import refusals
from oneseek_operator.observe.objects import JobView, mine
from oneseek_operator.observe.pod_failures import Trouble, failure_of, lasts, report_text, waiting_trouble, with_trouble
from oneseek_operator.observe.refusals import Refusal
from oneseek_operator.observe.run import Observed, RunDecision, decided, failed, is_finished, model_of, resolved_of
from oneseek_operator.resources import run as build
from oneseek_operator.resources.common import Manifest
from oneseek_operator.run.data import prepared_data, rows_text
from oneseek_operator.settings import Settings

__all__ = ["Step", "certify", "evaluate", "job_of", "no_report", "prepare", "refused_for_good", "stuck", "uids_with"]


@dataclass(frozen=True, slots=True)
class Step:
    """One Job of the run as this reconcile finds it."""

    job: JobView | None
    trouble: Trouble | None = None


def job_of(seen: Observed, name: str, known_uid: str | None) -> Step:
    """One Job of the run; it must be the one of `known_uid`, where that was written down."""
    job = mine(seen.jobs, name, seen.run.metadata.uid)
    if known_uid and (job is None or job.uid != known_uid):
        message = f"the Job {name!r} was deleted from outside before its outcome was known"
        return Step(None, Trouble(names.JOB_VANISHED, message))
    return Step(job)


def uids_with(seen: Observed, **changes: str | None) -> JobUids:
    """The uids of the run's Jobs that are known, with changes."""
    return seen.run.status.jobs.model_copy(update=changes)


def refused_for_good(seen: Observed, refusal: Refusal, now: datetime) -> RunDecision | None:
    """The end of a run whose Job the API server will not take, at once or after a while; None: it waits."""
    lasting = refusal.reason in names.LASTING_REASONS and refusals.lasts(seen.run.status.conditions, now)
    if is_finished(seen.run) or not (refusal.reason == names.INVALID or lasting):
        return None
    return failed(seen, Trouble(refusal.reason, refusal.message), now)


def stuck(seen: Observed, job: JobView, trouble: Trouble | None, now: datetime) -> RunDecision | None:
    """The end of a run whose pod is refused for good: it holds the place of the model's other runs."""
    if trouble is None or trouble.reason not in names.LASTING_REASONS or not lasts(trouble, now):
        return None
    return failed(seen, trouble, now, Delete("Job", job.name, job.uid))


def no_report(name: str) -> Trouble:
    """What is wrong where a Job ended well and nobody can read what it said."""
    return Trouble(names.JOB_VANISHED, f"the Job {name!r} ended well, but its report is gone or cannot be used")


def _ended(
    seen: Observed,
    step: str,
    working: Verdict,
    now: datetime,
    *,
    make: Callable[[], Manifest],
    known_uid: str | None = None,
) -> JobView | RunDecision:
    """The step's Job once it ended well; else the decision to make it, to wait for it, or to fail with it."""
    name = build.job_name(seen.run, step)
    found = job_of(seen, name, known_uid)
    if found.trouble:
        return failed(seen, found.trouble, now)
    if found.job is None:
        return decided(seen, working, now, before=(Create(make()),))
    if found.job.state == "Running":
        trouble = waiting_trouble(seen.pods, found.job)
        if end := stuck(seen, found.job, trouble, now):
            return end
        verdict, again_after = with_trouble(trouble, working, now)
        uids = uids_with(seen, **{step: found.job.uid})
        return decided(seen, verdict, now, again_after=again_after, jobs=uids)
    if found.job.state == "Failed":
        return failed(seen, failure_of(found.job, seen.pods, what=f"the {step} pod"), now)
    return found.job


def prepare(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    """Have the data fetched and checked; it then stands in status.resolved."""
    run, resolved = seen.run, resolved_of(seen)
    if resolved.data_digest is not None:
        return None
    working = Verdict("Working", names.PREPARING, "fetching and checking the data")
    job = _ended(
        seen,
        "prepare",
        working,
        now,
        make=lambda: build.prepare_job(run, model_of(seen), settings),
        known_uid=run.status.jobs.prepare,
    )
    if not isinstance(job, JobView):
        return job
    report = parse_report(report_text(seen.pods, job), PrepareReport)
    if report is None:
        return failed(seen, no_report(job.name), now)
    if report.already_certified:
        return _certified(seen, report.already_certified, now, names.ALREADY_CERTIFIED)
    resolved = resolved.model_copy(
        update={
            "datasets": report.datasets,
            "data_digest": report.data_digest,
            "heldout_digest": report.heldout.digest if report.heldout else None,
            "samples": report.samples,
            "language": report.language,
            "tags": report.tags,
            "micro_steps": report.micro_steps if run.spec.type == "Micro" else None,
        }
    )
    verdict = Verdict("Working", names.TRAINING, f"the data is checked: {report.samples} rows; starting to train")
    data = prepared_data(report)
    uids = uids_with(seen, prepare=job.uid)
    return decided(seen, verdict, now, again_after=0.0, resolved=resolved, data=data, jobs=uids)


def evaluate(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    """Measure on the held-out set, where the model names one. The scores are certified, whatever they are."""
    run, resolved = seen.run, resolved_of(seen)
    if resolved.heldout_digest is None or resolved.scores_digest is not None:
        return None
    working = Verdict("Working", names.EVALUATING, "answering the held-out questions")
    # Generation is greedy: a Job that vanished is made again and scores the same.
    job = _ended(seen, "evaluate", working, now, make=lambda: build.evaluate_job(run, model_of(seen), settings))
    if not isinstance(job, JobView):
        return job
    report = parse_report(report_text(seen.pods, job), EvaluateReport)
    if report is None:  # the pod is gone, and its report with it: measure again
        return decided(seen, working, now, before=(Delete("Job", job.name, job.uid),), again_after=2.0)
    text = f"factsContained {report.scores.facts_contained:.3f} over {report.scores.questions} questions; certifying"
    verdict = Verdict("Working", names.CERTIFYING, text)
    resolved = resolved.model_copy(update={"scores_digest": report.digest})
    uids = uids_with(seen, evaluate=job.uid)
    return decided(seen, verdict, now, again_after=0.0, resolved=resolved, scores=report.scores, jobs=uids)


def certify(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    """Have the adapter checked, named and sealed."""
    run = seen.run
    working = Verdict("Working", names.CERTIFYING, "checking and sealing the adapter")
    # Certifying twice gives the same folder, so a Job that vanished is made again.
    job = _ended(seen, "certify", working, now, make=lambda: build.certify_job(run, model_of(seen), settings))
    if not isinstance(job, JobView):
        return job
    report = parse_report(report_text(seen.pods, job), CertifyReport)
    if report is None:  # the pod is gone; the folder is there or will be: ask again
        return decided(seen, working, now, before=(Delete("Job", job.name, job.uid),), again_after=2.0)
    return _certified(seen, report.version, now, names.CERTIFIED)


def _certified(seen: Observed, version: CertifiedVersion, now: datetime, reason: str) -> RunDecision:
    resolved = resolved_of(seen)
    if resolved.created_at is None:
        resolved = resolved.model_copy(update={"created_at": version.created_at})
    text = f"certified as {version.dna}{rows_text(seen.run.status.data)}"
    if reason == names.ALREADY_CERTIFIED:
        text = f"this run was certified before, as {version.dna}; nothing was trained"
    return decided(
        seen,
        Verdict("Ready", reason, text),
        now,
        dna=version.dna,
        digest=version.digest,
        scores=seen.run.status.scores or version.scores,
        completed_at=timestamp(now),
        resolved=resolved,
    )
