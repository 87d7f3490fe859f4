"""The Jobs before and after training: prepare, evaluate, certify. Pure."""

from __future__ import annotations

from collections.abc import Callable
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
from oneseek_operator.observe.pod_failures import Problem, failure_of, lasts, report_text, waiting_problem, with_problem
from oneseek_operator.observe.pods import JobView, owned_job
from oneseek_operator.observe.refusals import Refusal
from oneseek_operator.observe.run import RunDecision, RunSnapshot, failed, is_finished, rows_text, run_decision
from oneseek_operator.resources import run as build
from oneseek_operator.resources.common import Manifest
from oneseek_operator.run.data import prepared_data
from oneseek_operator.settings import Settings

__all__ = ["certify", "evaluate", "job_of", "no_report", "prepare", "refused_for_good", "stuck", "uids_with"]


def job_of(snapshot: RunSnapshot, name: str, known_uid: str | None) -> JobView | Problem | None:
    """A Job of the run; a Problem if its uid is known and it is gone, or another one has its name."""
    job = owned_job(snapshot.jobs, name, snapshot.run.metadata.uid)
    if known_uid and (job is None or job.uid != known_uid):
        message = f"the Job {name!r} was deleted from outside before its outcome was known"
        return Problem(names.JOB_VANISHED, message)
    return job


def uids_with(snapshot: RunSnapshot, **changes: str | None) -> JobUids:
    """The known uids of the run's Jobs, with changes."""
    return snapshot.run.status.jobs.model_copy(update=changes)


def refused_for_good(snapshot: RunSnapshot, refusal: Refusal, now: datetime) -> RunDecision | None:
    """End a run whose Job the API server refuses, at once or after a while; None: it waits."""
    lasting = refusal.reason in names.LASTING_REASONS and refusals.lasts(snapshot.run.status.conditions, now)
    if is_finished(snapshot.run) or not (refusal.reason == names.INVALID or lasting):
        return None
    return failed(snapshot, Problem(refusal.reason, refusal.message), now)


def stuck(snapshot: RunSnapshot, job: JobView, problem: Problem | None, now: datetime) -> RunDecision | None:
    """End a run whose pod is refused for long: it holds up the model's other runs."""
    if problem is None or problem.reason not in names.LASTING_REASONS or not lasts(problem, now):
        return None
    return failed(snapshot, problem, now, Delete("Job", job.name, job.uid))


def no_report(name: str) -> Problem:
    """The problem of a Job that succeeded without a readable report."""
    return Problem(names.JOB_VANISHED, f"the Job {name!r} ended well, but its report is gone or cannot be used")


def _ended(
    snapshot: RunSnapshot,
    step: str,
    working: Verdict,
    now: datetime,
    *,
    make: Callable[[], Manifest],
    known_uid: str | None = None,
) -> JobView | RunDecision:
    """The step's Job once it succeeded; else the decision to create it, to wait for it, or to fail with it."""
    name = build.job_name(snapshot.run, step)
    job = job_of(snapshot, name, known_uid)
    if isinstance(job, Problem):
        return failed(snapshot, job, now)
    if job is None:
        return run_decision(snapshot, working, now, before=(Create(make()),))
    if job.state == "Running":
        problem = waiting_problem(snapshot.pods, job)
        if end := stuck(snapshot, job, problem, now):
            return end
        verdict, again_after = with_problem(problem, working, now)
        return run_decision(
            snapshot, verdict, now, again_after=again_after, jobs=uids_with(snapshot, **{step: job.uid})
        )
    if job.state == "Failed":
        return failed(snapshot, failure_of(job, snapshot.pods, what=f"the {step} pod"), now)
    return job


def prepare(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """Have the data fetched and checked; the result is in status.resolved."""
    run, resolved = snapshot.run, snapshot.resolved
    if resolved.data_digest is not None:
        return None
    working = Verdict("Working", names.PREPARING, "fetching and checking the data")
    job = _ended(
        snapshot,
        "prepare",
        working,
        now,
        make=lambda: build.prepare_job(run, snapshot.known_model, settings),
        known_uid=run.status.jobs.prepare,
    )
    if not isinstance(job, JobView):
        return job
    report = parse_report(report_text(snapshot.pods, job), PrepareReport)
    if report is None:
        return failed(snapshot, no_report(job.name), now)
    if report.already_certified:
        return _certified(snapshot, report.already_certified, now, names.ALREADY_CERTIFIED)
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
    uids = uids_with(snapshot, prepare=job.uid)
    return run_decision(snapshot, verdict, now, again_after=0.0, resolved=resolved, data=data, jobs=uids)


def evaluate(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """Measure on the held-out set, if the model has one. The scores are certified, whatever they are."""
    run, resolved = snapshot.run, snapshot.resolved
    if resolved.heldout_digest is None or resolved.scores_digest is not None:
        return None
    working = Verdict("Working", names.EVALUATING, "answering the held-out questions")
    # Generation is greedy: a Job that vanished is created again and scores the same.
    job = _ended(
        snapshot, "evaluate", working, now, make=lambda: build.evaluate_job(run, snapshot.known_model, settings)
    )
    if not isinstance(job, JobView):
        return job
    report = parse_report(report_text(snapshot.pods, job), EvaluateReport)
    if report is None:  # the pod is gone with its report: measure again
        return run_decision(snapshot, working, now, before=(Delete("Job", job.name, job.uid),), again_after=2.0)
    text = f"factsContained {report.scores.facts_contained:.3f} over {report.scores.questions} questions; certifying"
    verdict = Verdict("Working", names.CERTIFYING, text)
    resolved = resolved.model_copy(update={"scores_digest": report.digest})
    uids = uids_with(snapshot, evaluate=job.uid)
    return run_decision(snapshot, verdict, now, again_after=0.0, resolved=resolved, scores=report.scores, jobs=uids)


def certify(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """Have the adapter checked, named and sealed."""
    run = snapshot.run
    working = Verdict("Working", names.CERTIFYING, "checking and sealing the adapter")
    # Certifying twice gives the same folder, so a Job that vanished is created again.
    job = _ended(snapshot, "certify", working, now, make=lambda: build.certify_job(run, snapshot.known_model, settings))
    if not isinstance(job, JobView):
        return job
    report = parse_report(report_text(snapshot.pods, job), CertifyReport)
    if report is None:  # the pod is gone: certify again, which gives the same folder
        return run_decision(snapshot, working, now, before=(Delete("Job", job.name, job.uid),), again_after=2.0)
    return _certified(snapshot, report.version, now, names.CERTIFIED)


def _certified(snapshot: RunSnapshot, version: CertifiedVersion, now: datetime, reason: str) -> RunDecision:
    resolved = snapshot.resolved
    if resolved.created_at is None:
        resolved = resolved.model_copy(update={"created_at": version.created_at})
    text = f"certified as {version.dna}{rows_text(snapshot.run.status.data)}"
    if reason == names.ALREADY_CERTIFIED:
        text = f"this run was certified before, as {version.dna}; nothing was trained"
    return run_decision(
        snapshot,
        Verdict("Ready", reason, text),
        now,
        dna=version.dna,
        digest=version.digest,
        scores=snapshot.run.status.scores or version.scores,
        completed_at=timestamp(now),
        resolved=resolved,
    )
