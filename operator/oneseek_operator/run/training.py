"""Training: started, suspended, resumed, its progress reported, the version numbered at the end. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import JobUids, Progress, Resolved
from oneseek_core.jobs.messages import parse_report
from oneseek_core.jobs.train import TrainReport
from oneseek_operator.actions import Create, Decision, Delete
from oneseek_operator.conditions import Verdict, timestamp
from oneseek_operator.observe.pod_failures import Problem, failure_of, report_text, waiting_problem, with_problem
from oneseek_operator.observe.pods import JobView
from oneseek_operator.observe.run import RunDecision, RunSnapshot, failed, run_decision
from oneseek_operator.resources import run as build
from oneseek_operator.run.data import rows_events, trained_data
from oneseek_operator.run.jobs import job_of, no_report, stuck, uids_with
from oneseek_operator.settings import Settings
from oneseek_operator.versions.states import certified_by, counters_for

__all__ = ["train"]

_PROGRESS_EVERY = timedelta(seconds=5)  # progress writes are no more frequent than this
_POLL_START, _POLL = 1.0, 5.0  # seconds between looks at the train pod's log: before and after its first step


def train(snapshot: RunSnapshot, settings: Settings, now: datetime) -> RunDecision | None:
    """Have the adapter trained, attempt by attempt, and number the version."""
    run, resolved = snapshot.run, snapshot.resolved
    if resolved.created_at is not None:
        return None
    attempt = run.status.attempts
    if earlier := _earlier(snapshot, attempt, now):
        return earlier
    name = build.train_job_name(run, attempt)
    job = job_of(snapshot, name, run.status.jobs.train)
    if isinstance(job, Problem):
        return failed(snapshot, job, now)
    if run.spec.suspend and (job is None or job.state == "Running"):
        verdict = Verdict(
            "Waiting", names.SUSPENDED, "spec.suspend is true: training stands still, its checkpoint is kept"
        )
        if job is None:
            return run_decision(snapshot, verdict, now)
        # The next attempt's number is written before the Job is deleted, so that its absence is no JobVanished.
        away = Delete("Job", job.name, job.uid)
        return run_decision(
            snapshot, verdict, now, after=(away,), attempts=attempt + 1, jobs=uids_with(snapshot, train=None)
        )
    working = Verdict("Working", names.TRAINING, "training")
    if job is None:
        before = (Create(build.train_job(run, snapshot.known_model, settings, attempt=attempt)),)
        return run_decision(snapshot, working, now, before=before, again_after=_POLL_START)
    uids = uids_with(snapshot, train=job.uid)
    if job.state == "Running":
        return _training(snapshot, job, uids, now)
    if job.state == "Failed":
        return failed(snapshot, failure_of(job, snapshot.pods, what="the train pod"), now)
    report = parse_report(report_text(snapshot.pods, job), TrainReport)
    if report is None:
        return failed(snapshot, no_report(name), now)
    if run.spec.type == "Micro" and report.micro_steps is not None:
        resolved = resolved.model_copy(update={"micro_steps": report.micro_steps})
    major, micro = _number(snapshot, resolved)
    resolved = resolved.model_copy(
        update={
            "created_at": _milliseconds(job.completed_at),
            "major": major,
            "micro": micro,
            "samples": report.samples,
            "weights_digest": report.weights_digest,
            "report_digest": report.report_digest,
            "lora": report.lora,
            "precision": report.precision,
            "device": report.device,
            "steps": report.steps,
            "final_loss": report.final_loss,
            "duration_seconds": report.duration_seconds,
        }
    )
    verdict = Verdict(
        "Working", names.CERTIFYING, f"trained {report.steps} steps to loss {report.final_loss:.3f}; certifying"
    )
    last = _progress_of(snapshot, now)
    reported: dict[str, Any] = {"progress": last[0], "losses": last[1]} if last else {}
    data = trained_data(run.status.data, report)
    decision = run_decision(
        snapshot,
        verdict,
        now,
        again_after=0.0,
        resolved=resolved,
        data=data,
        jobs=uids,
        auto_stopped=report.auto_stopped,
        **reported,
    )
    return replace(decision, events=rows_events(data, run.spec.maximum_length))


def _earlier(snapshot: RunSnapshot, attempt: int, now: datetime) -> RunDecision | None:
    """Stop earlier attempts and wait for their pods: two pods must never write one checkpoint.

    Their Jobs are deleted once the next attempt's number is in the status; an operator that died in between left one.
    """
    run = snapshot.run
    before = {build.train_job_name(run, number) for number in range(1, attempt)}
    if left := tuple(item for item in snapshot.running_jobs if item.name in before):
        return Decision(run.status, left, again_after=0.0)
    pods = [pod for pod in snapshot.pods if pod.job in before and pod.phase in ("Pending", "Running")]
    if not pods or run.spec.suspend:
        return None
    gone = Verdict("Working", names.TRAINING, f"waiting for pod {pods[0].name} of the attempt before to stop")
    return run_decision(snapshot, gone, now, again_after=2.0)


def _number(snapshot: RunSnapshot, resolved: Resolved) -> tuple[int, int]:
    """MAJOR and MICRO of the version; from the counters, not from the parent, so that no number is used twice."""
    counters = counters_for(snapshot.known_model.status.counters, certified_by(snapshot.siblings))
    if snapshot.run.spec.type == "Major":
        return counters.major + 1, 0
    return counters.major, counters.micro + (resolved.micro_steps or 0)


def _milliseconds(kubernetes_time: str) -> str:
    """`2026-01-02T03:04:05Z` in the form of a DNA: UTC with milliseconds."""
    return kubernetes_time.replace("Z", ".000Z")


def _progress_of(snapshot: RunSnapshot, now: datetime) -> tuple[Progress, list[object]] | None:
    line = snapshot.progress
    if line is None:
        return None
    progress = Progress(
        percent=line.percent,
        step=line.step,
        steps=line.steps,
        epoch=line.epoch,
        epochs=line.epochs,
        loss=line.loss,
        tokens_per_second=line.tokens_per_second,
        eta_seconds=line.eta_seconds,
        updated_at=timestamp(now),
    )
    return progress, list(line.curve)


def _training(snapshot: RunSnapshot, job: JobView, uids: JobUids, now: datetime) -> RunDecision:
    """Report the progress of training, at most every five seconds and only if it changed."""
    status, problem = snapshot.run.status, waiting_problem(snapshot.pods, job)
    if end := stuck(snapshot, job, problem, now):
        return end
    changes: dict[str, Any] = {"jobs": uids}
    reported = _progress_of(snapshot, now)
    old = status.progress
    if reported and reported[0].step > 0 and status.first_step_at is None:
        changes["first_step_at"] = timestamp(now)
    moved = reported is not None and (old is None or reported[0].step != old.step)
    due = old is None or now - datetime.fromisoformat(old.updated_at) >= _PROGRESS_EVERY
    if reported and moved and due:
        changes["progress"], changes["losses"] = reported
    shown = changes.get("progress", old)
    text = (
        f"training: epoch {shown.epoch} of {shown.epochs}"
        if isinstance(shown, Progress)
        else "the train pod is starting"
    )
    verdict, _ = with_problem(problem, Verdict("Working", names.TRAINING, text), now)
    return run_decision(snapshot, verdict, now, again_after=_POLL if reported else _POLL_START, **changes)
