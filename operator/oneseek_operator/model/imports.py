"""External versions: the Job for each entry of spec.imports, and the outcome of each. Pure.

One Job an entry, and one Job at a time changes the certified tree. The outcome is kept in status.imports, the version in
status.versions, where gate, pin and promotion treat it like any other. A refusal changes nothing else.
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
from oneseek_operator.actions import Create, Decision, Delete, Event
from oneseek_operator.conditions import ConditionRow, Verdict, conditions_with
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
    """Whether an import changes the tree now; one that waits for its image does not."""
    running = {job.uid for job in _jobs(model, jobs) if job.state == "Running"}
    return any(pod.owner in running and pod.phase == "Running" for pod in pods)


def step(
    model: OneSeekModel, jobs: Sequence[JobView], pods: Sequence[PodView], settings: Settings, now: datetime
) -> Decision[OneSeekModelStatus] | None:
    """Accept what import Jobs found, or start the next; None if there is nothing to do."""
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
) -> ConditionRow | None:
    """The condition Imported; None if the spec has no imports."""
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
        return _row(row.reason, f"{row.source} is refused: {row.message}{hint}{others}", holds=False)
    if waiting and model.spec.suspend:
        return _row(names.SUSPENDED, "spec.suspend is true: no import is started", holds=False)
    if waiting:
        problem = _waits_for(model, waiting, jobs, pods)
        why = problem or Problem(names.IMPORTING, f"importing {waiting[0].source}")
        return _row(why.reason, why.message, holds=False)
    dnas = ", ".join(str(row.dna) for row in status.imports)
    return _row(names.IMPORTED, f"on the claim, with signatures that are trusted: {dnas}")


def _row(reason: str, message: str, *, holds: bool = True) -> ConditionRow:
    return ConditionRow(names.IMPORTED, reason, message, holds)


def _waits_for(
    model: OneSeekModel, entries: Sequence[Import], jobs: Sequence[JobView], pods: Sequence[PodView]
) -> Problem | None:
    found = [owned_job(jobs, build.job_name(model, one), model.metadata.uid) for one in entries]
    return next((problem for job in found if (problem := waiting_problem(pods, job))), None)


def unfinished(
    verdict: Verdict,
    model: OneSeekModel,
    imported: ConditionRow,
    jobs: Sequence[JobView],
    pods: Sequence[PodView],
    *,
    now: datetime,
) -> Verdict:
    """The verdict of a model that is Ready otherwise, while an import is under way or refused.

    A pin that names no version yet may be about to be imported: no person is needed until the import has ended.
    """
    awaited = verdict.reason == names.PINNED_VERSION_UNKNOWN
    if imported.holds or not (verdict.state == "Ready" or awaited) or verdict.progress is not None:
        return verdict
    done = {row.source for row in model.status.imports if row.state == "Imported"}
    problem = _waits_for(model, [entry for entry in model.spec.imports if entry.source not in done], jobs, pods)
    refused = {row.source for row in model.status.imports if row.state == "Refused"}
    stuck = any(entry.source in refused for entry in model.spec.imports) or (
        problem is not None and lasts(problem, now)
    )
    if stuck and awaited:
        return replace(verdict, message=f"{verdict.message}; {imported.message}")
    return replace(verdict, progress=(imported.reason, imported.message), stuck=stuck)


class _Found:
    """The outcomes of the Jobs that ended, merged with the status."""

    def __init__(self, model: OneSeekModel, jobs: Sequence[JobView], pods: Sequence[PodView], now: datetime) -> None:
        self._model, self._pods, self._now = model, pods, now
        self._versions = list(model.status.versions)
        self._happened: list[Transition] = []
        self.events: list[Event] = []
        self.lost: list[Delete] = []  # Jobs whose report is gone: importing again gives the same result
        self.over: list[Delete] = []  # Jobs of entries that the spec no longer has
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
            self.lost.append(away)  # refused by keys that are no longer the spec's: verify again
            return
        if row is not None and (row.job == job.uid or row.state == "Imported"):
            return
        report = parse_report(report_text(self._pods, job), ImportReport) if job.state == "Succeeded" else None
        if entry is None:
            self.over.append(away)
            # The entry was removed meanwhile. What the Job imported lies on the claim and must be known.
            if report and report.version.dna not in {item.dna for item in self._versions}:
                self._add(job, report, "an import whose entry was removed")
            return
        if job.state == "Failed":
            problem = _problem(job, self._pods)
            message = problem.message if len(problem.message) <= _LONGEST else problem.message[: _LONGEST - 1] + "…"
            self._rows[entry.source] = ImportOutcome(
                source=entry.source, state="Refused", reason=problem.reason[:64], message=message, job=job.uid
            )
            self.events.append(Event(problem.reason, f"{entry.source} is refused: {message}", warning=True))
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
        self.events.append(Event(names.IMPORTED, f"{entry.source}: {text}"))

    def _add(self, job: JobView, report: ImportReport, source: str) -> None:
        """Add the version, and an import to the ledger, unless the model has it."""
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
    """Whether another Job changes the tree: one of the model's own, or a run's certify Job."""
    return any(
        job.state == "Running" and (job.owner == model.metadata.uid or job.name.endswith("-certify")) for job in jobs
    )


def _next(model: OneSeekModel, jobs: Sequence[JobView]) -> Import | None:
    """The first entry that has no Job and was not imported."""
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
