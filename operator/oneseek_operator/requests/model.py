"""What people may ask of a model, when it is refused, and when it is done: rollback, promote, release, reset. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead, OneSeekModelStatus, Version
from oneseek_core.api.v1alpha1.promotion import Request, Selection
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.rollout import wanted_replicas
from oneseek_operator.requests import annotations
from oneseek_operator.versions.selection import Choice
from oneseek_operator.versions.states import may_answer

__all__ = ["acted", "concluded", "resolved"]

_ROLLING = "RollingOut"
_STATES = {
    names.STATE_QUARANTINED: (names.VERSION_QUARANTINED, "is in quarantine ({why}); release it first"),
    names.STATE_REJECTED: (names.VERSION_REJECTED, "was rejected ({why})"),
    names.STATE_DELETED: (names.VERSION_DELETED, "was deleted from the claim"),
}


def resolved(model: OneSeekModel, found: annotations.RequestAnnotation) -> str | None:
    """The version that a request is about at the moment it is accepted; None: none, or the base model."""
    status = model.status
    if found.verb == "rollback" and found.value == names.PREVIOUS:
        return status.previous.dna if status.previous else None
    if found.verb == "promote" and found.value == names.CANDIDATE:
        return status.candidate.dna if status.candidate else None
    if found.verb in ("reset", names.ACKNOWLEDGE_VERB) or found.value in (names.BASE, names.ALL):
        return None
    return found.value or None


def acted(
    model: OneSeekModel,
    versions: Sequence[Version],
    now: datetime,
    *,
    records_away: str,
    other_ledger: LedgerHead | None = None,
) -> OneSeekModelStatus:
    """The status once an accepted request has been acted on, or refused; unchanged where there is none.

    `other_ledger`: what the records service holds in place of what was witnessed.
    """
    request = model.status.request
    if request is None or request.outcome != "Pending" or request.reason != names.REQUESTED:
        return model.status
    if request.verb == names.ACKNOWLEDGE_VERB:
        return _acknowledged(model, request, now, away=records_away, other=other_ledger)
    if refused := _refusal(model, request, versions):
        return _with(model, request=annotations.with_outcome(request, "Refused", *refused, now))
    match request.verb:
        case "rollback":
            return _rolled_back(model, request, now)
        case "promote":
            if _serves(model, request.dna):
                told = f"{request.dna} answers already"
                return _with(
                    model, request=annotations.with_outcome(request, "Succeeded", names.ALREADY_CURRENT, told, now)
                )
            chosen = _selection(model, "promote", request.dna, None, now)
            return _with(model, selection=chosen, request=_under_way(request, _ROLLING))
        case "release":
            return _released(model, request, now)
        case _:
            if records_away:
                return model.status  # a reset must be in the ledger: it waits, and the condition says for what
            return _with(model, selection=None, request=_under_way(request, names.RESETTING))


def _with(model: OneSeekModel, **changes: object) -> OneSeekModelStatus:
    return model.status.model_copy(update=changes)


def _under_way(request: Request, reason: str) -> Request:
    return request.model_copy(update={"reason": reason})


def _serves(model: OneSeekModel, dna: str | None) -> bool:
    current = model.status.current
    return (current.dna if current else None) == dna


def _selection(model: OneSeekModel, verb: str, dna: str | None, left: str | None, now: datetime) -> Selection:
    counters = model.status.counters
    return Selection.model_validate(
        {
            "verb": verb,
            "dna": dna,
            "left": left,
            "version": model.spec.version,
            "major": counters.major,
            "micro": counters.micro,
            "since": timestamp(now),
        }
    )


def _rolled_back(model: OneSeekModel, request: Request, now: datetime) -> OneSeekModelStatus:
    """What is left answers until the other one does; then it goes to quarantine (`rollout.plan`)."""
    current = model.status.current
    chosen = _selection(model, "rollback", request.dna, current.dna if current else None, now)
    return _with(model, selection=chosen, request=_under_way(request, _ROLLING))


def _released(model: OneSeekModel, request: Request, now: datetime) -> OneSeekModelStatus:
    everything = request.value == names.ALL
    out = [item for item in model.status.quarantine if everything or item.dna == request.dna]
    kept = [item for item in model.status.quarantine if item not in out]
    standing = model.status.selection
    if standing and standing.verb == "rollback" and (everything or standing.left == request.dna):
        standing = None  # what was left may answer again, so whoever chose it before the rollback chooses again
    told = ", ".join(item.dna for item in out[:4]) + (f" and {len(out) - 4} more" if len(out) > 4 else "")
    done = annotations.with_outcome(request, "Succeeded", names.DONE, f"{told} may answer again", now)
    return _with(model, quarantine=kept, selection=standing, request=done)


def _acknowledged(
    model: OneSeekModel, request: Request, now: datetime, *, away: str, other: LedgerHead | None
) -> OneSeekModelStatus:
    """The ledger that was found is the witness from now on; only the very one that the person named."""
    if other is None and away:
        return model.status  # nobody can tell now what is to be acknowledged
    if other is None:
        text = "the ledger goes on from what was witnessed; there is nothing to acknowledge"
        return _with(
            model, request=annotations.with_outcome(request, "Refused", names.LEDGER_NOT_ROLLED_BACK, text, now)
        )
    if request.value != other.head:
        text = f"the records service holds a ledger with head {other.head}, not {request.value or 'the empty one'}"
        return _with(model, request=annotations.with_outcome(request, "Refused", names.NO_SUCH_HEAD, text, now))
    was = model.status.ledger
    lost = f"; witnessed was height {was.height}, head {was.head}" if was else ""
    text = f"the ledger goes on from height {other.height}, head {other.head}{lost}"
    return _with(model, ledger=other, request=annotations.with_outcome(request, "Succeeded", names.DONE, text, now))


def _refusal(model: OneSeekModel, request: Request, versions: Sequence[Version]) -> tuple[str, str] | None:
    """(reason, sentence) where a request cannot be followed."""
    match request.verb:
        case "rollback":
            return _cannot_go_back(model, request, versions)
        case "promote":
            return _cannot_promote(model, request, versions)
        case "release":
            return _cannot_release(model, request)
        case "reset":
            return _cannot_reset(model, request)
    return names.NO_SUCH_VERSION, f"a OneSeekModel knows no request {request.verb!r}"


def _cannot_go_back(model: OneSeekModel, request: Request, versions: Sequence[Version]) -> tuple[str, str] | None:
    if request.value == names.PREVIOUS and request.dna is None:
        text = "no version that may answer served before this one; name one, or `base`: oneseek.io/rollback=<DNA>|base"
        return names.NO_PREVIOUS_VERSION, text
    if _serves(model, request.dna):
        what = request.dna or "the base model"
        return names.ALREADY_CURRENT, f"{what} answers already; there is nothing to go back from"
    return _barred(request.dna, versions) if request.dna else None


def _cannot_promote(model: OneSeekModel, request: Request, versions: Sequence[Version]) -> tuple[str, str] | None:
    if model.spec.version != "auto":
        text = f"spec.version pins {model.spec.version}; promote by changing it in Git, or set it to auto"
        return names.PINNED_BY_GIT, text
    if request.dna is None:
        return names.NO_CANDIDATE, "no candidate waits; name a version: oneseek.io/promote=<DNA>"
    if not wanted_replicas(model):
        return (
            names.SUSPENDED,
            "the model has no pods (suspend, or replicas 0), so nothing can be tried; resume it first",
        )
    return _barred(request.dna, versions)


def _cannot_release(model: OneSeekModel, request: Request) -> tuple[str, str] | None:
    held = [item.dna for item in model.status.quarantine]
    if not held or (request.value != names.ALL and request.dna not in held):
        there = f"it holds {', '.join(held[:4])}" if held else "it is empty"
        return names.NOT_QUARANTINED, f"{request.value or 'nothing'} is not in quarantine: {there}"
    return None


def _cannot_reset(model: OneSeekModel, request: Request) -> tuple[str, str] | None:
    if request.value != names.RESET_WORD:
        text = (
            f"oneseek.io/reset={request.value!r} does nothing: a reset deletes every certified version and needs RESET"
        )
        return names.NOT_CONFIRMED, text
    if model.spec.version != "auto":
        text = f"spec.version pins {model.spec.version}, which a reset would delete; set it to auto in Git first"
        return names.PINNED_BY_GIT, text
    return None


def _barred(dna: str, versions: Sequence[Version]) -> tuple[str, str] | None:
    version = next((item for item in versions if item.dna == dna), None)
    if version is None:
        return (
            names.NO_SUCH_VERSION,
            f"there is no certified version {dna}; `kubectl oneseek status` lists those there are",
        )
    if may_answer(version):
        return None
    reason, text = _STATES[version.state]
    return reason, f"{dna} {text.format(why=version.reason or version.state)}"


def concluded(
    model: OneSeekModel, new: OneSeekModelStatus, choice: Choice, now: datetime, *, serves: bool
) -> Request | None:
    """The request once its rollout has ended; `serves`: what status.current says does answer (or nothing is to)."""
    request = new.request
    if request is None or request.outcome != "Pending" or request.reason != _ROLLING:
        return request
    chosen = choice.version.dna if choice.version else None
    if chosen != request.dna:
        bad = next((item for item in new.quarantine if item.dna == request.dna), None)
        if bad:
            text = f"{request.dna} did not come up ({bad.reason}: {bad.message}) and is in quarantine"
            return annotations.with_outcome(request, "Failed", bad.reason, text, now)
        text = f"{chosen or 'the base model'} was chosen meanwhile"
        return annotations.with_outcome(request, "Failed", "Superseded", text, now)
    what = request.dna or "the base model"
    if not wanted_replicas(model):
        text = f"{what} is chosen and answers once the model has pods again"
        return annotations.with_outcome(request, "Succeeded", names.DONE, text, now)
    if serves and (new.current.dna if new.current else None) == request.dna:
        return annotations.with_outcome(request, "Succeeded", names.DONE, f"{what} answers", now)
    return request
