"""Which transitions a change of status is, for the ledger. Pure: statuses in, entries out.

An entry is put into the status' outbox in the very write that makes the change, and leaves it once the ledger has
acknowledged it; its key is made of what happened, so sending it again records nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel, OneSeekModelStatus, Version, VersionRef
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.ledger_entries import Actor, Subject, Transition
from oneseek_operator.decide.versions import newest

__all__ = ["OUTBOX_LIMIT", "imported", "outbox", "transitions"]

OUTBOX_LIMIT = 32
_AUTOMATIC = Actor(name=names.FIELD_MANAGER, verified=True)
_BARRED = {names.STATE_REJECTED: "reject", names.STATE_QUARANTINED: "quarantine"}


def outbox(
    waiting: Sequence[Transition], acknowledged: Iterable[str], new: Iterable[Transition]
) -> tuple[list[Transition], list[Transition]]:
    """What still has to reach the ledger, oldest first; and what there is no room for: the newest, never the oldest."""
    done = set(acknowledged)
    left = [item for item in [*waiting, *new] if item.idempotency_key not in done]
    return left[:OUTBOX_LIMIT], left[OUTBOX_LIMIT:]


def transitions(
    model: OneSeekModel, new: OneSeekModelStatus, runs: Sequence[TrainingRun], now: datetime
) -> list[Transition]:
    """What happened to the model between its status as read and `new`, in the order it happened."""
    old = model.status
    before = {item.dna: item for item in old.versions}
    found: list[Transition] = []
    for version in sorted(new.versions, key=lambda item: item.created_at):
        was = before.get(version.dna)
        if was is None:
            found += _made(model, version, runs, now)
        if version.state == names.STATE_DELETED and was is not None and was.state != version.state:
            key = f"{model.metadata.uid}/delete/{version.dna}"
            subject = _subject(model, "OneSeekModel")
            found.append(_entry("delete", subject, key, version, now, reason="spec.retention.keepVersions"))
        if version.state in _BARRED and (was is None or was.state != version.state):
            found.append(_barred(model, version, now))
    if (old.current.dna if old.current else None) != (new.current.dna if new.current else None):
        found.append(_moved(model, old.current, new, now))
    return found


def _made(model: OneSeekModel, version: Version, runs: Sequence[TrainingRun], now: datetime) -> list[Transition]:
    """Train, evaluate, certify of the run that made a version; one that was found on the claim has its own history."""
    run = next((item for item in runs if item.status.dna == version.dna and item.metadata.name == version.run), None)
    if run is None:
        return []
    steps = [("train", f"{run.status.resolved.samples} samples" if run.status.resolved else "trained")]
    if version.scores:
        scores = version.scores
        steps.append(("evaluate", f"factsContained {scores.facts_contained:.3f} over {scores.questions} questions"))
    steps.append(("certify", "sealed"))
    return [
        _entry(kind, _subject(run, "TrainingRun"), f"{run.metadata.uid}/{kind}", version, now, reason=reason)
        for kind, reason in steps
    ]


def imported(model: OneSeekModel, version: Version, key: str, now: datetime, *, reason: str) -> Transition:
    """A version that was certified elsewhere was taken in; the Job that did it makes the key."""
    return _entry("import", _subject(model, "OneSeekModel"), key, version, now, reason=reason)


def _barred(model: OneSeekModel, version: Version, now: datetime) -> Transition:
    kind = _BARRED[version.state]
    since = next((item.since for item in model.status.quarantine if item.dna == version.dna), version.created_at)
    key = f"{model.metadata.uid}/{kind}/{version.dna}/{since if kind == 'quarantine' else version.reason}"[:256]
    return _entry(kind, _subject(model, "OneSeekModel"), key, version, now, reason=version.reason or kind)


def _moved(model: OneSeekModel, old: VersionRef | None, new: OneSeekModelStatus, now: datetime) -> Transition:
    """The answering version changed: a promotion to the newest, or a way back."""
    left_bad = old is not None and old.dna in {item.dna for item in new.quarantine}
    best = newest(new.versions)
    forward = new.current is not None and not left_bad and best is not None and best.dna == new.current.dna
    since = new.current.since if new.current else (old.since if old else "")
    target = new.current.dna if new.current else None
    kind = "promote" if forward else "rollback"
    reason = "newest certified version" if forward else "what answered is in quarantine"
    return Transition.model_validate(
        {
            "type": kind,
            "idempotencyKey": f"{model.metadata.uid}/{kind}/{target}/{since}"[:256],
            "actor": _AUTOMATIC,
            "object": _subject(model, "OneSeekModel"),
            "from": old.dna if old else None,
            "to": target,
            "dna": target,
            "digest": new.current.digest if new.current else None,
            "reason": reason,
            "timestamp": _milliseconds(now),
        }
    )


def _entry(kind: str, about: Subject, key: str, version: Version, now: datetime, *, reason: str) -> Transition:
    return Transition.model_validate(
        {
            "type": kind,
            "idempotencyKey": key,
            "actor": _AUTOMATIC,
            "object": about,
            "dna": version.dna,
            "digest": version.digest,
            "reason": reason[:256],
            "timestamp": _milliseconds(now),
        }
    )


def _subject(item: OneSeekModel | TrainingRun, kind: str) -> Subject:
    meta = item.metadata
    return Subject(kind=kind, namespace=meta.namespace, name=meta.name, uid=meta.uid)


def _milliseconds(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
