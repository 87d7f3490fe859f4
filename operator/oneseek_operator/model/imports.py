"""Versions from elsewhere: which entry of spec.imports is worked on, and what became of each. Pure.

Each entry has one Job, and only one Job at a time changes the tree. What a Job found out is kept in status.imports,
with the version itself in status.versions: from there on it is a version like any other, and the gate, a pin or a
promotion by hand decides about it. A refusal is told and changes nothing else: the model goes on as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import ImportOutcome, OneSeekModelStatus, Version
from oneseek_core.api.v1alpha1.versions import Import
from oneseek_core.jobs.imports import ImportReport
from oneseek_core.jobs.messages import parse_report
from oneseek_core.ledger_entries import Transition
from oneseek_operator.actions import Create, Decision, Delete
from oneseek_operator.conditions import Verdict, conditions_with
from oneseek_operator.model import ledger
from oneseek_operator.observe.pod_failures import Problem, failure_of, lasts, report_text, waiting_problem
from oneseek_operator.observe.pods import JobView, PodView, owned_job
from oneseek_operator.resources import imports as build
from oneseek_operator.settings import Settings
from oneseek_operator.versions import states

__all__ = ["condition", "is_importing", "step", "unfinished"]

_LONGEST = 512  # characters of an outcome's message
_HOUR = build.DEADLINE_SECONDS // 3600


def is_importing(model: OneSeekModel, jobs: Sequence[JobView], pods: Sequence[PodView]) -> bool:
    """Whether an import is changing the tree just now (one that waits for its image is not)."""
    running = {job.uid for job in _jobs(model, jobs) if job.state == "Running"}
    return any(pod.owner in running and pod.phase == "Running" for pod in pods)


def step(
    model: OneSeekModel, jobs: Sequence[JobView], pods: Sequence[PodView], settings: Settings, now: datetime
) -> Decision[OneSeekModelStatus] | None:
    """Take in what import Jobs found out, or start the next; None where there is nothing to do."""
    found = _Found(model, jobs, pods, now)
    if found.changed:
        shown = condition(model, found.status, jobs, pods)
        conditions = conditions_with(found.status.conditions, shown, generation=model.metadata.generation, now=now)
        status = found.status.model_copy(update={"conditions": conditions})
        return Decision(status, tuple(found.lost), tuple(found.over), 0.0, tuple(found.events))
    if found.lost or found.over:
        return Decision(model.status, (*found.lost, *found.over), again_after=0.0)
    entry = None if model.spec.suspend or _is_busy(model, jobs) else _next(model, jobs)
    return (
        Decision(model.status, (Create(build.import_job(model, entry, settings)),), again_after=0.0) if entry else None
    )


def condition(
    model: OneSeekModel, status: OneSeekModelStatus, jobs: Sequence[JobView], pods: Sequence[PodView]
) -> tuple[str, bool, str, str] | None:
    """The condition Imported; None where the spec asks for no import."""
    rows = {row.source: row for row in status.imports}
    entries = {entry.source: entry for entry in model.spec.imports}
    refused = [(entry, rows[source]) for source, entry in entries.items() if _is_refused(rows.get(source))]
    waiting = [entry for source, entry in entries.items() if source not in rows]
    if not entries:
        return None
    if refused:
        entry, row = refused[0]
        others = f"; {len(refused) - 1} more refused, see status.imports" if len(refused) > 1 else ""
        hint = (
            f"; it is tried again when the entry or certification.trustedKeys change, or after"
            f" `kubectl delete job {build.job_name(model, entry)}`"
        )
        return (names.IMPORTED, False, row.reason, f"{row.source} is refused: {row.message}{hint}{others}")
    if waiting and model.spec.suspend:
        return (names.IMPORTED, False, names.SUSPENDED, "spec.suspend is true: no import is started")
    if waiting:
        problem = _waits_for(model, waiting, jobs, pods)
        why = problem or Problem(names.IMPORTING, f"importing {waiting[0].source}")
        return (names.IMPORTED, False, why.reason, why.message)
    dnas = ", ".join(str(row.dna) for row in status.imports)
    return (names.IMPORTED, True, names.IMPORTED, f"on the claim, with signatures that are trusted: {dnas}")


def _waits_for(
    model: OneSeekModel, entries: Sequence[Import], jobs: Sequence[JobView], pods: Sequence[PodView]
) -> Problem | None:
    found = [owned_job(jobs, build.job_name(model, one), model.metadata.uid) for one in entries]
    return next((problem for job in found if (problem := waiting_problem(pods, job))), None)


def unfinished(
    verdict: Verdict,
    model: OneSeekModel,
    told: tuple[str, bool, str, str],
    jobs: Sequence[JobView],
    pods: Sequence[PodView],
    *,
    now: datetime,
) -> Verdict:
    """A model that answers and has nothing else in hand is not done while an import is not; a refused one needs a person.

    A pin that names no version yet may be what is being taken in: nobody is needed until that has ended.
    """
    _, imported, reason, message = told
    awaited = verdict.reason == names.PINNED_VERSION_UNKNOWN
    if imported or not (verdict.state == "Ready" or awaited) or verdict.progress is not None:
        return verdict
    done = {row.source for row in model.status.imports if row.state == "Imported"}
    problem = _waits_for(model, [entry for entry in model.spec.imports if entry.source not in done], jobs, pods)
    refused = {row.source for row in model.status.imports if row.state == "Refused"}
    stuck = any(entry.source in refused for entry in model.spec.imports) or (
        problem is not None and lasts(problem, now)
    )
    if stuck and awaited:
        return replace(verdict, message=f"{verdict.message}; {message}")
    return replace(verdict, progress=(reason, message), stuck=stuck)


class _Found:
    """What the Jobs that ended say, put together with what the status knows already."""

    def __init__(self, model: OneSeekModel, jobs: Sequence[JobView], pods: Sequence[PodView], now: datetime) -> None:
        self._model, self._pods, self._now = model, pods, now
        self._versions = list(model.status.versions)
        self._happened: list[Transition] = []
        self.events: list[tuple[bool, str, str]] = []
        self.lost: list[Delete] = []  # Jobs whose report is gone: importing again finds the same
        self.over: list[Delete] = []  # Jobs of entries that the spec no longer has, or that judged by other keys
        entries = {build.job_name(model, entry): entry for entry in model.spec.imports}
        sources = [entry.source for entry in entries.values()]
        self._rows = {row.source: row for row in model.status.imports if row.source in sources}
        for job in _jobs(model, jobs):
            if job.state != "Running" and not job.terminating:
                self._take(job, entries.get(job.name))
        rows = [self._rows[source] for source in sources if source in self._rows]
        self.changed = (rows, self._versions) != (model.status.imports, model.status.versions)
        outbox, dropped = ledger.outbox(model.status.outbox, (), self._happened)
        self.events += ledger.overflow(dropped)
        self.status = model.status.model_copy(
            update={
                "imports": rows,
                "versions": self._versions,
                "counters": states.counters_for(model.status.counters, self._versions),
                "outbox": outbox,
            }
        )

    def _take(self, job: JobView, entry: Import | None) -> None:
        away = Delete("Job", job.name, job.uid)
        row = self._rows.get(entry.source) if entry else None
        if entry and job.state == "Failed" and job.template not in ("", build.keys_hash(self._model)):
            self.lost.append(away)  # refused by keys that are no longer those of the spec: judged anew
            return
        if row is not None and (row.job == job.uid or row.state == "Imported"):
            return
        report = parse_report(report_text(self._pods, job), ImportReport) if job.state == "Succeeded" else None
        if entry is None:
            self.over.append(away)
            # Its entry went while it worked. What it took in lies on the claim and must be known.
            if report and report.version.dna not in {item.dna for item in self._versions}:
                self._add(job, report, "an import whose entry was removed")
            return
        if job.state == "Failed":
            problem = _problem(job, self._pods)
            message = problem.message if len(problem.message) <= _LONGEST else problem.message[: _LONGEST - 1] + "…"
            self._rows[entry.source] = ImportOutcome(
                source=entry.source, state="Refused", reason=problem.reason[:64], message=message, job=job.uid
            )
            self.events.append((True, problem.reason, f"{entry.source} is refused: {message}"))
            return
        if report is None:
            self.lost.append(away)
            return
        dna = report.version.dna
        self._add(job, report, entry.source)
        text = f"{dna}, signed by key {report.signed_by[:16]}" + ("; it was there already" if report.already else "")
        self._rows[entry.source] = ImportOutcome(
            source=entry.source,
            state="Imported",
            dna=dna,
            digest=report.version.digest,
            reason=names.IMPORTED,
            message=text,
            job=job.uid,
        )
        self.events.append((False, names.IMPORTED, f"{entry.source}: {text}"))

    def _add(self, job: JobView, report: ImportReport, source: str) -> None:
        """Make it a version of the model, and a line of the ledger, unless it is one already."""
        (version,) = states.adopted([report.version])
        there = next((item for item in self._versions if item.dna == version.dna), None)
        if there is not None and there.state != names.STATE_DELETED:
            return
        others: list[Version] = [item for item in self._versions if item.dna != version.dna]
        self._versions = states.merged(others, [version])
        key = f"{self._model.metadata.uid}/import/{version.dna}/{job.uid}"[:256]
        reason = f"{source}, signed by key {report.signed_by[:16]}"
        if len(reason) > 256:
            reason = f"{source[:200]}…, signed by key {report.signed_by[:16]}"
        self._happened.append(ledger.imported(self._model, version, key, self._now, reason=reason))


def _jobs(model: OneSeekModel, jobs: Sequence[JobView]) -> list[JobView]:
    prefix = build.job_prefix(model)
    return [job for job in jobs if job.name.startswith(prefix) and job.owner == model.metadata.uid]


def _is_refused(row: ImportOutcome | None) -> bool:
    return row is not None and row.state == "Refused"


def _is_busy(model: OneSeekModel, jobs: Sequence[JobView]) -> bool:
    """Whether another Job changes the tree: one of the model's own, or a run's that seals."""
    return any(
        job.state == "Running" and (job.owner == model.metadata.uid or job.name.endswith("-certify")) for job in jobs
    )


def _next(model: OneSeekModel, jobs: Sequence[JobView]) -> Import | None:
    """The first entry without a Job that has not been imported."""
    done = {row.source for row in model.status.imports if row.state == "Imported"}
    left = [entry for entry in model.spec.imports if entry.source not in done]
    return next(
        (entry for entry in left if owned_job(jobs, build.job_name(model, entry), model.metadata.uid) is None), None
    )


def _problem(job: JobView, pods: Sequence[PodView]) -> Problem:
    problem = failure_of(job, pods, what="the import Job")
    if problem.reason == names.DEADLINE_EXCEEDED:
        waits = waiting_problem(pods, job)
        why = f": {waits.message}" if waits else ""
        return Problem(names.DEADLINE_EXCEEDED, f"it was not done within {_HOUR} h and was stopped{why}")
    if problem.reason != names.JOB_FAILED:
        return problem
    hint = ""
    if "container copy-" in problem.message:
        hint = "; the image needs a `cp`, and the version under /models: `kubectl oneseek export --base`"
    return Problem(names.IMPORT_FAILED, problem.message + hint)
