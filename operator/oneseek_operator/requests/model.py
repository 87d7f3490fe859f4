"""Requests to a model: accepted, refused, acted on, concluded: rollback, promote, release, reset, acknowledge. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead, OneSeekModelStatus, Version
from oneseek_core.api.v1alpha1.promotion import Request, Selection
from oneseek_operator.actions import Decision, Event
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.model import Snapshot, wanted_replicas
from oneseek_operator.requests.annotations import (
    RequestAnnotation,
    accepted,
    find_manifest_request,
    find_request,
    new_request,
    pending,
    removal,
    with_outcome,
)
from oneseek_operator.settings import Settings
from oneseek_operator.versions.selection import Choice
from oneseek_operator.versions.states import may_answer

__all__ = ["accept", "act", "conclude"]

_ROLLING = "RollingOut"
_BARRED = {
    names.STATE_QUARANTINED: (names.VERSION_QUARANTINED, "is in quarantine ({why}); release it first"),
    names.STATE_REJECTED: (names.VERSION_REJECTED, "was rejected ({why})"),
    names.STATE_DELETED: (names.VERSION_DELETED, "was deleted from the claim"),
}


def accept(snapshot: Snapshot, settings: Settings, now: datetime) -> Decision[OneSeekModelStatus] | None:
    """Write a new request into the status, then remove its annotation; `act` does what it asks for."""
    model, policy = snapshot.model, settings.admission_policy
    status, request = model.status, pending(model.status.request)
    found = find_request(model.metadata, names.REQUEST_VERBS)
    if decision := removal(model, found):
        return decision
    in_manifest = find_manifest_request(model.metadata, names.REQUEST_VERBS)
    if request is None and (in_manifest.text if in_manifest else None) != status.manifest_request:
        return _refuse_manifest(model, in_manifest, now, policy=policy)
    if request is None and found:
        new = new_request(model.metadata, found, _resolve(model, found), now, policy=policy)
        return accepted(model, new, now)
    if request and status.base_model is None:
        text = "the base model is not imported yet, so there is no version to act on"
        refused = with_outcome(request, "Refused", names.NO_SUCH_VERSION, text, now)
        event = Event(refused.reason, text, warning=True)
        return Decision(_with(model, request=refused), again_after=0.0, events=(event,))
    return None


def _refuse_manifest(
    model: OneSeekModel, found: RequestAnnotation | None, now: datetime, *, policy: bool
) -> Decision[OneSeekModelStatus]:
    """Refuse the request of a manifest once; forget it once the manifest carries none."""
    if found is None:
        return Decision(_with(model, manifest_request=None), again_after=0.0)
    text = (
        f"oneseek.io/{found.text} stands in a manifest and would be done again with every apply; take it out and "
        "annotate the object, or change spec.version"
    )
    request = new_request(model.metadata, found, None, now, policy=policy)
    refused = with_outcome(request, "Refused", names.REQUEST_IN_MANIFEST, text, now)
    status = _with(model, manifest_request=found.text, request=refused)
    event = Event(names.REQUEST_IN_MANIFEST, text, warning=True)
    return Decision(status, again_after=0.0, events=(event,))


def _resolve(model: OneSeekModel, found: RequestAnnotation) -> str | None:
    """The DNA that a request is about when it is accepted; None: no version, or the base model."""
    status = model.status
    if found.verb == "rollback" and found.value == names.PREVIOUS:
        return status.previous.dna if status.previous else None
    if found.verb == "promote" and found.value == names.CANDIDATE:
        return status.candidate.dna if status.candidate else None
    if found.verb in ("reset", names.ACKNOWLEDGE_VERB) or found.value in (names.BASE, names.ALL):
        return None
    return found.value or None


def act(
    model: OneSeekModel,
    versions: Sequence[Version],
    now: datetime,
    *,
    records_away: str,
    other_ledger: LedgerHead | None = None,
) -> OneSeekModelStatus:
    """The status once an accepted request has been acted on or refused; unchanged if there is none.

    `records_away`: why nothing can be appended to the ledger. `other_ledger`: the head that the records service holds, if
    its ledger does not contain the witnessed one.
    """
    request = pending(model.status.request)
    if request is None or request.reason != names.REQUESTED:
        return model.status
    if request.verb == names.ACKNOWLEDGE_VERB:
        return _acknowledge(model, request, now, away=records_away, other=other_ledger)
    if refusal := _refusal(model, request, versions):
        return _with(model, request=with_outcome(request, "Refused", *refusal, now))
    match request.verb:
        case "rollback":
            # What is left serves until the other version does; then `rollout.plan` puts it into quarantine.
            current = model.status.current
            selection = _selection(model, "rollback", request.dna, current.dna if current else None, now)
            return _with(model, selection=selection, request=_under_way(request, _ROLLING))
        case "promote":
            if _is_current(model, request.dna):
                text = f"{request.dna} answers already"
                done = with_outcome(request, "Succeeded", names.ALREADY_CURRENT, text, now)
                return _with(model, request=done)
            selection = _selection(model, "promote", request.dna, None, now)
            return _with(model, selection=selection, request=_under_way(request, _ROLLING))
        case "release":
            return _release(model, request, now)
        case _:
            if records_away:
                return model.status  # a reset must be in the ledger: it waits, and the condition says for what
            return _with(model, selection=None, request=_under_way(request, names.RESETTING))


def _with(model: OneSeekModel, **changes: object) -> OneSeekModelStatus:
    return model.status.model_copy(update=changes)


def _under_way(request: Request, reason: str) -> Request:
    return request.model_copy(update={"reason": reason})


def _is_current(model: OneSeekModel, dna: str | None) -> bool:
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


def _release(model: OneSeekModel, request: Request, now: datetime) -> OneSeekModelStatus:
    everything = request.value == names.ALL
    out = [item for item in model.status.quarantine if everything or item.dna == request.dna]
    kept = [item for item in model.status.quarantine if item not in out]
    standing = model.status.selection
    if standing and standing.verb == "rollback" and (everything or standing.left == request.dna):
        standing = None  # the rollback ends: its version may answer again
    released = ", ".join(item.dna for item in out[:4]) + (f" and {len(out) - 4} more" if len(out) > 4 else "")
    done = with_outcome(request, "Succeeded", names.DONE, f"{released} may answer again", now)
    return _with(model, quarantine=kept, selection=standing, request=done)


def _acknowledge(
    model: OneSeekModel, request: Request, now: datetime, *, away: str, other: LedgerHead | None
) -> OneSeekModelStatus:
    """Make the ledger that was found the witnessed one, if its head is the one that the person named."""
    if other is None and away:
        return model.status  # it is not known yet which ledger is to be acknowledged
    if other is None:
        text = "the ledger goes on from what was witnessed; there is nothing to acknowledge"
        return _with(model, request=with_outcome(request, "Refused", names.LEDGER_NOT_ROLLED_BACK, text, now))
    if request.value != other.head:
        text = f"the records service holds a ledger with head {other.head}, not {request.value or 'the empty one'}"
        return _with(model, request=with_outcome(request, "Refused", names.NO_SUCH_HEAD, text, now))
    was = model.status.ledger
    lost = f"; witnessed was height {was.height}, head {was.head}" if was else ""
    text = f"the ledger goes on from height {other.height}, head {other.head}{lost}"
    return _with(model, ledger=other, request=with_outcome(request, "Succeeded", names.DONE, text, now))


def _refusal(model: OneSeekModel, request: Request, versions: Sequence[Version]) -> tuple[str, str] | None:
    """Reason and sentence why a request cannot be followed."""
    match request.verb:
        case "rollback":
            return _rollback_refusal(model, request, versions)
        case "promote":
            return _promote_refusal(model, request, versions)
        case "release":
            return _release_refusal(model, request)
        case "reset":
            return _reset_refusal(model, request)
    return names.NO_SUCH_VERSION, f"a OneSeekModel knows no request {request.verb!r}"


def _rollback_refusal(model: OneSeekModel, request: Request, versions: Sequence[Version]) -> tuple[str, str] | None:
    if request.value == names.PREVIOUS and request.dna is None:
        text = "no version that may answer served before this one; name one, or `base`: oneseek.io/rollback=<DNA>|base"
        return names.NO_PREVIOUS_VERSION, text
    if _is_current(model, request.dna):
        what = request.dna or "the base model"
        return names.ALREADY_CURRENT, f"{what} answers already; there is nothing to go back from"
    return _version_refusal(request.dna, versions) if request.dna else None


def _promote_refusal(model: OneSeekModel, request: Request, versions: Sequence[Version]) -> tuple[str, str] | None:
    if model.spec.version != "auto":
        text = f"spec.version pins {model.spec.version}; promote by changing it in Git, or set it to auto"
        return names.PINNED_BY_GIT, text
    if request.dna is None:
        return names.NO_CANDIDATE, "no candidate waits; name a version: oneseek.io/promote=<DNA>"
    if not wanted_replicas(model):
        text = "the model has no pods (suspend, or replicas 0), so nothing can be tried; resume it first"
        return names.SUSPENDED, text
    return _version_refusal(request.dna, versions)


def _release_refusal(model: OneSeekModel, request: Request) -> tuple[str, str] | None:
    held = [item.dna for item in model.status.quarantine]
    if not held or (request.value != names.ALL and request.dna not in held):
        there = f"it holds {', '.join(held[:4])}" if held else "it is empty"
        return names.NOT_QUARANTINED, f"{request.value or 'nothing'} is not in quarantine: {there}"
    return None


def _reset_refusal(model: OneSeekModel, request: Request) -> tuple[str, str] | None:
    if request.value != names.RESET_WORD:
        text = (
            f"oneseek.io/reset={request.value!r} does nothing: a reset deletes every certified version and needs RESET"
        )
        return names.NOT_CONFIRMED, text
    if model.spec.version != "auto":
        text = f"spec.version pins {model.spec.version}, which a reset would delete; set it to auto in Git first"
        return names.PINNED_BY_GIT, text
    return None


def _version_refusal(dna: str, versions: Sequence[Version]) -> tuple[str, str] | None:
    version = next((item for item in versions if item.dna == dna), None)
    if version is None:
        text = f"there is no certified version {dna}; `kubectl oneseek status` lists those there are"
        return names.NO_SUCH_VERSION, text
    if may_answer(version):
        return None
    reason, text = _BARRED[version.state]
    return reason, f"{dna} {text.format(why=version.reason or version.state)}"


def conclude(
    model: OneSeekModel, new: OneSeekModelStatus, choice: Choice, now: datetime, *, serves: bool
) -> Request | None:
    """The request with its outcome once its rollout has ended; `serves`: the version of status.current answers."""
    request = pending(new.request)
    if request is None or request.reason != _ROLLING:
        return new.request
    chosen = choice.version.dna if choice.version else None
    if chosen != request.dna:
        bad = next((item for item in new.quarantine if item.dna == request.dna), None)
        if bad:
            text = f"{request.dna} did not come up ({bad.reason}: {bad.message}) and is in quarantine"
            return with_outcome(request, "Failed", bad.reason, text, now)
        text = f"{chosen or 'the base model'} was chosen meanwhile"
        return with_outcome(request, "Failed", "Superseded", text, now)
    what = request.dna or "the base model"
    if not wanted_replicas(model):
        text = f"{what} is chosen and answers once the model has pods again"
        return with_outcome(request, "Succeeded", names.DONE, text, now)
    if serves and (new.current.dna if new.current else None) == request.dna:
        return with_outcome(request, "Succeeded", names.DONE, f"{what} answers", now)
    return request
