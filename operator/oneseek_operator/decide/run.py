"""What a TrainingRun needs next. Pure: a snapshot and a time in, a decision out.

    (waiting) -> prepare -> train -> evaluate -> certify -> Certified
                    any step -> Failed (terminal: a finished run never runs again by itself)

Two rules make every crash harmless. What a Job is told (that the run has started, its version number) is written to
the status before the Job is made. A Job's uid is kept in the status, so one that somebody deleted is noticed and not
made again by accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import JobUids, Progress, Resolved, TrainingRun, TrainingRunStatus
from oneseek_core.jobs.certify import CertifyReport
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.evaluate import EvaluateReport
from oneseek_core.jobs.messages import parse_report
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_core.jobs.train import TrainProgress, TrainReport
from oneseek_operator.build import run as build
from oneseek_operator.conditions import Verdict, conditions_for, find, timestamp
from oneseek_operator.decide import retrying
from oneseek_operator.decide.actions import Action, Create, Decision, Delete
from oneseek_operator.decide.jobs import Trouble, failure_of, report_text, waiting_trouble, with_trouble
from oneseek_operator.decide.selection import is_resetting
from oneseek_operator.decide.versions import certified_by, counters_for
from oneseek_operator.decide.views import JobView, PodView, mine
from oneseek_operator.settings import Settings

__all__ = ["Observed", "decide", "is_active", "is_asked", "is_finished", "may_leave_jobs"]

_GRACE = timedelta(seconds=30)  # a run applied together with its model may be seen first
_PROGRESS_EVERY = timedelta(seconds=5)  # progress writes are no more frequent than this
_POLL_START, _POLL = 1.0, 5.0  # seconds between looks at the train pod's log: before and after its first step


@dataclass(frozen=True, slots=True)
class Observed:
    """All that is, as far as a run is concerned; `siblings` are the model's other runs."""

    run: TrainingRun
    model: OneSeekModel | None
    siblings: tuple[TrainingRun, ...]
    jobs: tuple[JobView, ...]
    pods: tuple[PodView, ...]
    progress: TrainProgress | None


RunDecision = Decision[TrainingRunStatus]


def is_finished(run: TrainingRun) -> bool:
    """Whether the run has come to an end, good or bad."""
    return run.status.completed_at is not None


def is_active(run: TrainingRun) -> bool:
    """Whether the run holds its model's place: started and not finished."""
    return run.status.started_at is not None and not is_finished(run)


def may_leave_jobs(run: TrainingRun) -> bool:
    """Whether the run ended while a Job of it was at work, so that one may be left if the operator died just then."""
    ready = find(run.status.conditions, names.READY)
    return ready is not None and ready.reason in (names.MODEL_DELETED, names.MODEL_RESET)


def is_asked(run: TrainingRun) -> bool:
    """Whether somebody asks for the run to be retried, or asked and has no answer yet."""
    request = run.status.request
    return names.request_annotation(names.RETRY_VERB) in run.metadata.annotations or (
        request is not None and request.outcome == "Pending"
    )


def decide(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    """The next step; None for a run that is over."""
    if decision := retrying.decide(seen.run, seen.jobs, settings, now):
        return decision
    if is_finished(seen.run):
        left = _running(seen)
        return Decision(seen.run.status, left) if left else None
    for step in (_model_is_gone, _model_is_reset, _not_started, _prepare, _train, _evaluate, _certify):
        if decision := step(seen, settings, now):
            return decision
    raise AssertionError("a run always has a next step")


def _finish(
    seen: Observed,
    verdict: Verdict,
    now: datetime,
    *,
    before: tuple[Action, ...] = (),
    after: tuple[Action, ...] = (),
    again_after: float | None = None,
    **changes: Any,
) -> RunDecision:
    generation = seen.run.metadata.generation
    conditions = conditions_for(verdict, seen.run.status.conditions, generation=generation, now=now)
    update = {"conditions": conditions, "observed_generation": generation, **changes}
    return Decision(seen.run.status.model_copy(update=update), before, after, again_after)


def _running(seen: Observed) -> tuple[Delete, ...]:
    """The run's Jobs that are still at work, to be stopped."""
    return tuple(
        Delete("Job", job.name, job.uid)
        for job in seen.jobs
        if job.owner == seen.run.metadata.uid and job.state == "Running" and not job.terminating
    )


def _failed(seen: Observed, trouble: Trouble, now: datetime, *after: Action) -> RunDecision:
    hint = "; mend the cause, then annotate oneseek.io/retry=true or apply a new TrainingRun"
    verdict = Verdict("Failed", trouble.reason, trouble.message + hint)
    return _finish(seen, verdict, now, after=after, completed_at=timestamp(now), exit_reason=trouble.message[:2048])


def _model_is_gone(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    del settings
    model, run = seen.model, seen.run
    gone = model is None or model.metadata.deletion_timestamp is not None
    if not gone:
        return None
    name = run.spec.model_ref.name
    if is_active(run):
        running = tuple(Delete("Job", job.name, job.uid) for job in seen.jobs if job.owner == run.metadata.uid)
        message = f"the OneSeekModel {name!r} was deleted while the run was under way"
        return _failed(seen, Trouble(names.MODEL_DELETED, message), now, *running)
    message = f"there is no OneSeekModel {name!r} in namespace {run.metadata.namespace!r}; apply it, or mend spec.modelRef.name"
    age = now - datetime.fromisoformat(run.metadata.creation_timestamp)
    if age < _GRACE:
        wait = (_GRACE - age).total_seconds() + 0.1
        return _finish(seen, Verdict("Working", names.MODEL_NOT_FOUND, message), now, again_after=wait)
    return _finish(seen, Verdict("Failed", names.MODEL_NOT_FOUND, message), now)


def _model_is_reset(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    """A reset of the model stops its runs; those that have not started wait until it is over."""
    del settings
    if not is_resetting(_model(seen)):
        return None
    name = seen.run.spec.model_ref.name
    if not is_active(seen.run):
        return _finish(seen, Verdict("Working", names.RESETTING, f"waiting for the reset of {name!r} to end"), now)
    running = tuple(Delete("Job", job.name, job.uid) for job in seen.jobs if job.owner == seen.run.metadata.uid)
    message = f"a reset of {name!r} stopped the run"
    return _failed(seen, Trouble(names.MODEL_RESET, message), now, *running)


def _model(seen: Observed) -> OneSeekModel:
    if seen.model is None:
        raise AssertionError("the model is checked first")
    return seen.model


def _not_started(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    del settings
    run, model = seen.run, _model(seen)
    if run.status.started_at is not None:
        return None
    if run.spec.suspend:
        return _finish(seen, Verdict("Waiting", names.SUSPENDED, "spec.suspend is true: nothing is started"), now)
    if model.spec.suspend:
        message = f"spec.suspend of {model.metadata.name!r} is true: nothing is started"
        return _finish(seen, Verdict("Waiting", names.SUSPENDED, message), now)
    if model.spec.training.suspend:
        message = f"spec.training.suspend of {model.metadata.name!r} is true: no run starts"
        return _finish(seen, Verdict("Waiting", names.SUSPENDED, message), now)
    if model.status.base_model is None:
        ready = find(model.status.conditions, names.READY)
        message = (
            f"waiting for the base model of {model.metadata.name!r}: {ready.message if ready else 'not imported yet'}"
        )
        stalled = find(model.status.conditions, names.STALLED) is not None
        return _finish(seen, Verdict("Failed" if stalled else "Working", names.MODEL_NOT_READY, message), now)
    if ahead := _ahead(seen):
        message = f"waiting for the run {ahead.metadata.name!r}: a model trains one run at a time"
        if ahead.spec.suspend:
            message += f", and that one is suspended; resume {ahead.metadata.name!r}, or delete it"
        return _finish(seen, Verdict("Failed" if ahead.spec.suspend else "Working", names.QUEUED, message), now)
    # A Major run starts from the base model, and so does a Micro run where no version answers yet.
    parent = model.status.current if run.spec.type == "Micro" else None
    resolved = Resolved(
        spec_digest=build.spec_digest(run),
        base_model_digest=model.status.base_model.digest,
        parent=parent.dna if parent else None,
        parent_digest=parent.digest if parent else None,
    )
    verdict = Verdict("Working", names.PREPARING, "fetching and checking the data")
    return _finish(seen, verdict, now, again_after=0.0, started_at=timestamp(now), attempts=1, resolved=resolved)


def _ahead(seen: Observed) -> TrainingRun | None:
    """The run that goes first: one under way, else the oldest that wants to start."""

    def order(run: TrainingRun) -> tuple[str, str]:
        return (run.metadata.creation_timestamp, run.metadata.name)

    others = [item for item in seen.siblings if not is_finished(item) and item.metadata.deletion_timestamp is None]
    for other in others:
        if is_active(other):
            return other
    waiting = [item for item in others if not item.spec.suspend and order(item) < order(seen.run)]
    return min(waiting, key=order, default=None)


def _resolved(seen: Observed) -> Resolved:
    if seen.run.status.resolved is None:
        raise AssertionError("a started run has a resolved block")
    return seen.run.status.resolved


@dataclass(frozen=True, slots=True)
class _Step:
    """One Job of the run as this reconcile finds it."""

    job: JobView | None
    trouble: Trouble | None = None


def _job(seen: Observed, name: str, known_uid: str | None) -> _Step:
    job = mine(seen.jobs, name)
    if job is not None and job.owner != seen.run.metadata.uid:
        message = f"waiting for the Job {name!r} of a deleted TrainingRun of this name to go"
        return _Step(None, Trouble(names.PREPARING, message))
    if known_uid and (job is None or job.uid != known_uid):
        message = f"the Job {name!r} was deleted from outside before its outcome was known"
        return _Step(None, Trouble(names.JOB_VANISHED, message))
    return _Step(job)


def _uids(seen: Observed, **changes: str | None) -> JobUids:
    return seen.run.status.jobs.model_copy(update=changes)


def _prepare(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    run, resolved = seen.run, _resolved(seen)
    if resolved.data_digest is not None:
        return None
    name = build.job_name(run, "prepare")
    step = _job(seen, name, run.status.jobs.prepare)
    working = Verdict("Working", names.PREPARING, "fetching and checking the data")
    if step.trouble:
        return _blocked(seen, step.trouble, now)
    if step.job is None:
        return _finish(seen, working, now, before=(Create(build.prepare_job(run, _model(seen), settings)),))
    uids = _uids(seen, prepare=step.job.uid)
    if step.job.state == "Running":
        return _working(seen, name, working, now, jobs=uids)
    if step.job.state == "Failed":
        return _failed(seen, failure_of(step.job, seen.pods, what="the prepare pod"), now)
    report = parse_report(report_text(seen.pods, step.job), PrepareReport)
    if report is None:
        return _failed(seen, _no_report(name), now)
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
    return _finish(seen, verdict, now, again_after=0.0, resolved=resolved, jobs=uids)


def _blocked(seen: Observed, trouble: Trouble, now: datetime) -> RunDecision:
    if trouble.reason == names.JOB_VANISHED:
        return _failed(seen, trouble, now)
    return _finish(seen, Verdict("Working", trouble.reason, trouble.message), now, again_after=2.0)


def _no_report(name: str) -> Trouble:
    return Trouble(names.JOB_VANISHED, f"the Job {name!r} ended well but its pod and report are gone")


def _working(seen: Observed, job: str, working: Verdict, now: datetime, **changes: Any) -> RunDecision:
    """The Job is at work, or its pod does not start and the verdict says why."""
    verdict, again_after = with_trouble(waiting_trouble(seen.pods, job), working, now)
    return _finish(seen, verdict, now, again_after=again_after, **changes)


def _train(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    run, resolved = seen.run, _resolved(seen)
    if resolved.created_at is not None:
        return None
    attempt = run.status.attempts
    if earlier := _earlier(seen, attempt, now):
        return earlier
    name = build.train_job_name(run, attempt)
    step = _job(seen, name, run.status.jobs.train)
    if step.trouble:
        return _blocked(seen, step.trouble, now)
    if run.spec.suspend and (step.job is None or step.job.state == "Running"):
        verdict = Verdict(
            "Waiting", names.SUSPENDED, "spec.suspend is true: training stands still, its checkpoint is kept"
        )
        if step.job is None:
            return _finish(seen, verdict, now)
        # The next attempt's number is written before the Job goes, so that its absence is not taken for an accident.
        away = Delete("Job", step.job.name, step.job.uid)
        return _finish(seen, verdict, now, after=(away,), attempts=attempt + 1, jobs=_uids(seen, train=None))
    working = Verdict("Working", names.TRAINING, "training")
    if step.job is None:
        before = (Create(build.train_job(run, _model(seen), settings, attempt=attempt)),)
        return _finish(seen, working, now, before=before, again_after=_POLL_START)
    uids = _uids(seen, train=step.job.uid)
    if step.job.state == "Running":
        return _training(seen, name, uids, now)
    if step.job.state == "Failed":
        return _failed(seen, failure_of(step.job, seen.pods, what="the train pod"), now)
    report = parse_report(report_text(seen.pods, step.job), TrainReport)
    if report is None:
        return _failed(seen, _no_report(name), now)
    major, micro = _number(seen, resolved)
    resolved = resolved.model_copy(
        update={
            "created_at": _milliseconds(step.job.completed_at),
            "major": major,
            "micro": micro,
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
    last = _progress_of(seen, now)
    told: dict[str, Any] = {"progress": last[0], "losses": last[1]} if last else {}
    return _finish(
        seen,
        verdict,
        now,
        again_after=0.0,
        resolved=resolved,
        jobs=uids,
        auto_stopped=report.auto_stopped,
        **told,
    )


def _earlier(seen: Observed, attempt: int, now: datetime) -> RunDecision | None:
    """Stop the attempts before this one, and wait for their pods: two pods must never write one checkpoint.

    Their Jobs were deleted once this attempt's number was in the status; an operator that died in between left one.
    """
    run = seen.run
    before = {build.train_job_name(run, number) for number in range(1, attempt)}
    if left := tuple(item for item in _running(seen) if item.name in before):
        return Decision(run.status, left, again_after=0.0)
    pods = [pod for pod in seen.pods if pod.job in before and pod.phase in ("Pending", "Running")]
    if not pods or run.spec.suspend:
        return None
    gone = Verdict("Working", names.TRAINING, f"waiting for pod {pods[0].name} of the attempt before to stop")
    return _finish(seen, gone, now, again_after=2.0)


def _number(seen: Observed, resolved: Resolved) -> tuple[int, int]:
    """MAJOR and MICRO of what was trained; from the counters, not from the parent, so that no number is given twice."""
    counters = counters_for(_model(seen).status.counters, certified_by(seen.siblings))
    if seen.run.spec.type == "Major":
        return counters.major + 1, 0
    return counters.major, counters.micro + (resolved.micro_steps or 0)


def _milliseconds(kubernetes_time: str) -> str:
    """`2026-01-02T03:04:05Z` as the DNA wants it: UTC with milliseconds."""
    return kubernetes_time.replace("Z", ".000Z")


def _progress_of(seen: Observed, now: datetime) -> tuple[Progress, list[object]] | None:
    said = seen.progress
    if said is None:
        return None
    progress = Progress(
        percent=said.percent,
        step=said.step,
        steps=said.steps,
        epoch=said.epoch,
        epochs=said.epochs,
        loss=said.loss,
        tokens_per_second=said.tokens_per_second,
        eta_seconds=said.eta_seconds,
        updated_at=timestamp(now),
    )
    return progress, list(said.curve)


def _training(seen: Observed, name: str, uids: JobUids, now: datetime) -> RunDecision:
    """Tell how far training is, at most every five seconds and only if it moved."""
    status = seen.run.status
    changes: dict[str, Any] = {"jobs": uids}
    told = _progress_of(seen, now)
    old = status.progress
    if told and told[0].step > 0 and status.first_step_at is None:
        changes["first_step_at"] = timestamp(now)
    moved = told is not None and (old is None or told[0].step != old.step)
    due = old is None or now - datetime.fromisoformat(old.updated_at) >= _PROGRESS_EVERY
    if told and moved and due:
        changes["progress"], changes["losses"] = told
    shown = changes.get("progress", old)
    text = (
        f"training: epoch {shown.epoch} of {shown.epochs}"
        if isinstance(shown, Progress)
        else "the train pod is starting"
    )
    verdict, _ = with_trouble(waiting_trouble(seen.pods, name), Verdict("Working", names.TRAINING, text), now)
    return _finish(seen, verdict, now, again_after=_POLL if told else _POLL_START, **changes)


def _evaluate(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    """Measure on the held-out set, where the model names one. The scores are certified, whatever they are."""
    run, resolved = seen.run, _resolved(seen)
    if resolved.heldout_digest is None or run.status.scores is not None:
        return None
    name = build.job_name(run, "evaluate")
    step = _job(seen, name, None)  # generation is greedy: a Job that vanished is made again and scores the same
    working = Verdict("Working", names.EVALUATING, "answering the held-out questions")
    if step.trouble:
        return _blocked(seen, step.trouble, now)
    if step.job is None:
        return _finish(seen, working, now, before=(Create(build.evaluate_job(run, _model(seen), settings)),))
    uids = _uids(seen, evaluate=step.job.uid)
    if step.job.state == "Running":
        return _working(seen, name, working, now, jobs=uids)
    if step.job.state == "Failed":
        return _failed(seen, failure_of(step.job, seen.pods, what="the evaluate pod"), now)
    report = parse_report(report_text(seen.pods, step.job), EvaluateReport)
    if report is None:  # the pod is gone, and its report with it: measure again
        return _finish(seen, working, now, before=(Delete("Job", step.job.name, step.job.uid),), again_after=2.0)
    text = f"factsContained {report.scores.facts_contained:.3f} over {report.scores.questions} questions; certifying"
    verdict = Verdict("Working", names.CERTIFYING, text)
    return _finish(seen, verdict, now, again_after=0.0, scores=report.scores, jobs=uids)


def _certify(seen: Observed, settings: Settings, now: datetime) -> RunDecision | None:
    run = seen.run
    name = build.job_name(run, "certify")
    step = _job(seen, name, None)  # certifying twice gives the same folder, so one that vanished is made again
    if step.trouble:
        return _blocked(seen, step.trouble, now)
    working = Verdict("Working", names.CERTIFYING, "checking and sealing the adapter")
    if step.job is None:
        return _finish(seen, working, now, before=(Create(build.certify_job(run, _model(seen), settings)),))
    uids = _uids(seen, certify=step.job.uid)
    if step.job.state == "Running":
        return _working(seen, name, working, now, jobs=uids)
    if step.job.state == "Failed":
        return _failed(seen, failure_of(step.job, seen.pods, what="the certify pod"), now)
    report = parse_report(report_text(seen.pods, step.job), CertifyReport)
    if report is None:  # the pod is gone; the folder is there or will be: ask again
        return _finish(seen, working, now, before=(Delete("Job", step.job.name, step.job.uid),), again_after=2.0)
    return _certified(seen, report.version, now, names.CERTIFIED)


def _certified(seen: Observed, version: CertifiedVersion, now: datetime, reason: str) -> RunDecision:
    resolved = _resolved(seen)
    if resolved.created_at is None:
        resolved = resolved.model_copy(update={"created_at": version.created_at})
    text = f"certified as {version.dna}"
    if reason == names.ALREADY_CERTIFIED:
        text = f"this run was certified before, as {version.dna}; nothing was trained"
    return _finish(
        seen,
        Verdict("Ready", reason, text),
        now,
        dna=version.dna,
        digest=version.digest,
        scores=seen.run.status.scores or version.scores,
        completed_at=timestamp(now),
        resolved=resolved,
    )
