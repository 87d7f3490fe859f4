"""The transitions that a change of status means, for the ledger. Pure: statuses in, entries out.

An entry is put into status.outbox by the same write as the change, and removed once the ledger has acknowledged it. Its key
is made of what happened, so sending it again records nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus, Version
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.ledger_entries import Actor, Subject, Transition
from oneseek_operator.actions import Event
from oneseek_operator.observe.run import rows_text
from oneseek_operator.versions.selection import Choice
from oneseek_operator.versions.states import number

__all__ = ["OUTBOX_LIMIT", "imported", "outbox", "overflow", "transitions"]

OUTBOX_LIMIT = 32
_AUTOMATIC = Actor(name=names.FIELD_MANAGER, verified=True)
_BARRED = {names.STATE_REJECTED: "reject", names.STATE_QUARANTINED: "quarantine"}


def outbox(
    waiting: Sequence[Transition], acknowledged: Iterable[str], new: Iterable[Transition]
) -> tuple[list[Transition], list[Transition]]:
    """What is still to be sent, oldest first; and what there is no room for: the newest."""
    done = set(acknowledged)
    left = [item for item in [*waiting, *new] if item.idempotency_key not in done]
    return left[:OUTBOX_LIMIT], left[OUTBOX_LIMIT:]


def overflow(dropped: Sequence[Transition]) -> tuple[Event, ...]:
    """An Event for each transition that the outbox had no room for."""
    why = f"{OUTBOX_LIMIT} transitions wait for it already"
    return tuple(
        Event(
            names.OUTBOX_FULL,
            f"{item.type} of {item.dna or item.object.name} will not be in the ledger: {why}",
            warning=True,
        )
        for item in dropped
    )


def transitions(
    model: OneSeekModel, new: OneSeekModelStatus, runs: Sequence[TrainingRun], *, choice: Choice, now: datetime
) -> list[Transition]:
    """What happened to the model between its stored status and `new`, in order."""
    old = model.status
    before = {item.dna: item for item in old.versions}
    actor = _actor(new.request)
    requested = new.request if new.request and new.request.verb not in ("release", names.ACKNOWLEDGE_VERB) else None
    wiped = _succeeded(old.request, new.request, "reset")
    counted = (old.counters.major, old.counters.micro)
    found: list[Transition] = []
    for version in sorted(new.versions, key=lambda item: item.created_at):
        was = before.get(version.dna)
        if was is None and (number(version.dna) > counted or old.imports):
            # A counted version was in the list before, and was cut out of a crowded status: it is in the ledger. (An
            # external version may be counted before the older one that a run has just made.)
            found += _made(model, version, runs, now)
        if version.state == names.STATE_DELETED and was is not None and was.state != version.state and not wiped:
            reason = "spec.retention.keepVersions"
            found.append(_transition(model, "delete", [version.dna], reason, now, version=version))
        if version.state in _BARRED and (was is None or was.state != version.state):
            by = actor if _why(new, version.dna) == names.ROLLED_BACK else _AUTOMATIC
            since = next((item.since for item in new.quarantine if item.dna == version.dna), version.created_at)
            key, kind = [version.dna, since, str(version.reason)], _BARRED[version.state]
            found.append(_transition(model, kind, key, version.reason or kind, now, actor=by, version=version))
    found += _released(model, new, actor, now)
    if (old.current.dna if old.current else None) != (new.current.dna if new.current else None):
        by = actor if requested and choice.why in ("promote", "rollback", "reset") else _AUTOMATIC
        found.append(_moved(model, new, choice, by, now))
    for verb, kind in (("reset", "reset"), (names.ACKNOWLEDGE_VERB, "acknowledge")):
        if _succeeded(old.request, new.request, verb) and new.request:  # its message says what it did
            found.append(_transition(model, kind, [new.request.id], new.request.message, now, actor=actor))
    return found


def _actor(request: Request | None) -> Actor:
    """Who requested it; verified only if an admission policy checks the name."""
    if request is None or not request.requested_by:
        return _AUTOMATIC
    return Actor(name=request.requested_by, verified=request.verified)


def _why(status: OneSeekModelStatus, dna: str) -> str:
    return next((item.reason for item in status.quarantine if item.dna == dna), "")


def _succeeded(old: Request | None, new: Request | None, verb: str) -> bool:
    """Whether a request with this verb succeeded in this reconcile."""
    if new is None or new.verb != verb or new.outcome != "Succeeded":
        return False
    return old is None or old.id != new.id or old.outcome != "Succeeded"


def _released(model: OneSeekModel, new: OneSeekModelStatus, actor: Actor, now: datetime) -> list[Transition]:
    if not _succeeded(model.status.request, new.request, "release"):
        return []
    held, known = {item.dna for item in new.quarantine}, {item.dna: item for item in new.versions}
    out = [item for item in model.status.quarantine if item.dna not in held and item.dna in known]
    return [
        _transition(
            model,
            "release",
            [item.dna, item.since],
            f"was in quarantine: {item.reason}",
            now,
            actor=actor,
            version=known[item.dna],
        )
        for item in out
    ]


def _made(model: OneSeekModel, version: Version, runs: Sequence[TrainingRun], now: datetime) -> list[Transition]:
    """Train, evaluate and certify of the run that made a version; nothing for a version that was found on the claim."""
    run = next((item for item in runs if item.status.dna == version.dna and item.metadata.name == version.run), None)
    if run is None:
        return []
    resolved = run.status.resolved
    steps = [("train", f"{resolved.samples} samples{rows_text(run.status.data)}" if resolved else "trained")]
    if version.scores:
        scores = version.scores
        steps.append(("evaluate", f"factsContained {scores.facts_contained:.3f} over {scores.questions} questions"))
    steps.append(("certify", "sealed"))
    return [_transition(run, kind, [], reason, now, version=version) for kind, reason in steps]


def imported(model: OneSeekModel, version: Version, job: str, now: datetime, *, reason: str) -> Transition:
    """The import of an external version by a Job (its uid)."""
    return _transition(model, "import", [version.dna, job], reason, now, version=version)


_MOVES = {
    "auto": "newest certified version",
    "pin": "spec.version names it",
    "promote": "promoted by request",
    "rollback": "rolled back by request",
    "safe": "what answered may not answer any more",
    "reset": "a reset is under way",
}
_ADOPTED = "it answered last when the model was made again"


def _moved(model: OneSeekModel, new: OneSeekModelStatus, choice: Choice, by: Actor, now: datetime) -> Transition:
    """The serving version changed: a promotion or a rollback."""
    old = model.status.current
    kind = "promote" if choice.is_forward and new.current is not None else "rollback"
    since = new.current.since if new.current else (old.since if old else "")
    target = new.current.dna if new.current else None
    # Two versions can change places twice within the second that `since` counts in: the request id differs.
    requested = new.request.id if new.request else ""
    step = names.short_hash(old.dna if old else "", target or "", since, requested, length=24)
    reason = _MOVES[choice.why] if new.request or choice.why != "promote" else _ADOPTED
    more = {"from": old.dna if old else None, "to": target, "dna": target}
    more["digest"] = new.current.digest if new.current else None
    return _transition(model, kind, [step], reason, now, actor=by, version=None, **more)


def _transition(
    about: OneSeekModel | TrainingRun,
    kind: str,
    key: Sequence[str],
    reason: str,
    now: datetime,
    *,
    actor: Actor = _AUTOMATIC,
    version: Version | None = None,
    **more: str | None,
) -> Transition:
    """A transition of an object; `key`: what tells it from others of its kind and object."""
    meta = about.metadata
    subject = Subject(kind=type(about).__name__, namespace=meta.namespace, name=meta.name, uid=meta.uid)
    return Transition.model_validate(
        {
            "type": kind,
            "idempotencyKey": "/".join([meta.uid, kind, *key])[:256],
            "actor": actor,
            "object": subject,
            "dna": version.dna if version else None,
            "digest": version.digest if version else None,
            "reason": reason[:256],
            "timestamp": _milliseconds(now),
            **more,
        }
    )


def _milliseconds(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
