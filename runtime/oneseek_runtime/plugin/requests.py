"""[I/O] Requests: an annotation that asks for one thing, and waiting for what becomes of it.

The operator takes the annotation up (it then stands in `status.request`, Pending), removes it, acts, and writes the
outcome. Two people must not overwrite each other: the annotation is written only on the object as it was read, and only
where no request is under way. So the next request that appears in the status is ours.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.lenient import Object
from oneseek_core.api.v1alpha1 import promotion
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.errors import CannotTellError, ConflictError, KubectlError
from oneseek_runtime.plugin.gitops import in_manifest
from oneseek_runtime.plugin.text import printable
from oneseek_runtime.plugin.times import age, duration, seconds_of

__all__ = ["Request", "add_wait", "answer", "ask", "obstacle", "refusal", "told_by_us"]

DEFAULT_WAIT = "2m"
_ATTEMPTS = 10  # the operator writes progress into the status meanwhile; each write is a conflict for us
WITHDRAWN = "Withdrawn"  # reason: the annotation went away and the operator had not seen it
NO_OUTCOME = "NoOutcome"  # reason: not within the time that was to be waited
BEING_DELETED = "Deleting"
_CODES = {"Asked": Exit.OK, "Succeeded": Exit.OK, "Pending": Exit.CANNOT_TELL}

Resource = Literal["oneseekmodels.oneseek.io", "trainingruns.oneseek.io"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of an object: `verb`, with `value` in the annotation."""

    verb: str
    value: str

    def __str__(self) -> str:
        return f"{self.verb} {self.value}"


def add_wait(parser: ArgumentParser) -> None:
    """The flags that say how long to wait."""
    parser.add_argument(
        "--wait",
        type=_duration,
        default=DEFAULT_WAIT,
        metavar="DURATION",
        help=f"--wait=DURATION (30s, 5m): how long to wait for the outcome; {DEFAULT_WAIT} unless said otherwise",
    )
    parser.add_argument(
        "--no-wait", dest="wait", action="store_const", const=0, help="ask, and do not wait for the outcome"
    )


def _duration(text: str) -> float:
    try:
        return seconds_of(text or DEFAULT_WAIT)
    except ValueError as error:
        raise ArgumentTypeError(f"{error}; write 30s, 5m or 1h30m") from error


def ask(call: Call, resource: Resource, found: Object, request: Request) -> Answer:
    """Ask for it and, unless told otherwise, wait for the outcome. `found` is the object as the verb has read it.

    Raises CannotTellError: the object cannot be read or written.
    """
    by, notes = "", tuple[str, ...]()
    for attempt in range(_ATTEMPTS):
        if in_the_way := obstacle(call, resource, found, request):
            return refusal(found, request, *in_the_way)
        if not attempt:
            by, notes = _whoami(call)
        before = _key(found.status.request)
        annotations = {names.request_annotation(request.verb): request.value}
        try:
            call.kubectl.annotate(
                f"{resource}/{found.metadata.name}",
                annotations | ({names.ANNOTATION_REQUESTED_BY: by} if by else {}),
                namespace=found.metadata.namespace,
                version=found.metadata.resource_version,
            )
        except ConflictError:
            found = _read(call, resource, found)
            continue
        return _outcome(call, resource, found, request, before=before, by=by, notes=notes)
    raise CannotTellError(f"{found.metadata.name} is being changed all the time; nothing was asked for, try again")


def _outcome(
    call: Call,
    resource: Resource,
    found: Object,
    request: Request,
    *,
    before: tuple[str, str],
    by: str,
    notes: tuple[str, ...],
) -> Answer:
    seconds: float = call.arguments.wait
    if not seconds:
        text = f"asked   {found.metadata.name}: {request}\nthe outcome will stand in status.request"
        return replace(_answer(found, request, told_by_us("Asked", by=by), notes), text=printable(text))
    newest = found

    def look() -> promotion.Request | None:
        nonlocal newest
        newest = _read(call, resource, found)
        told = newest.status.request
        if told and _key(told) != before:
            return None if told.outcome == "Pending" else told
        if names.request_annotation(request.verb) not in newest.metadata.annotations:
            gone = "the annotation was taken away before the operator saw it: nothing was done"
            return told_by_us("Refused", WITHDRAWN, gone, by=by)
        return None

    told = call.clock.wait(look, seconds=seconds)
    if told is None:
        return _no_outcome(newest, request, seconds, taken_up=_key(newest.status.request) != before, by=by, notes=notes)
    return _answer(found, request, told, notes)


def _no_outcome(
    found: Object, request: Request, seconds: float, *, taken_up: bool, by: str, notes: tuple[str, ...]
) -> Answer:
    """Nobody can say yet what becomes of it."""
    told = found.status.request
    if taken_up and told:
        message = told.message or lenient.ready(found).message
        sentence = f"it is under way since {told.created_at}: {told.reason}: {message}"
    else:
        key = names.request_annotation(request.verb)
        sentence = f"the operator has not taken it up; does it run? The annotation {key} still stands and will count"
    sentence = f"no outcome within {duration(seconds)}: {sentence}"
    return _answer(found, request, told_by_us("Pending", NO_OUTCOME, sentence, by=by), notes)


def obstacle(call: Call, resource: Resource, found: Object, request: Request) -> tuple[str, str] | None:
    """Why this may not be asked of the object now: (reason, sentence)."""
    name, told = found.metadata.name, found.status.request
    if found.metadata.deletion_timestamp:
        return BEING_DELETED, f"{name} is being deleted"
    if told and told.outcome == "Pending":
        who, when = told.requested_by or "somebody", age(told.created_at, call.now)
        return names.REQUEST_PENDING, (
            f"{who} asked {name} for {told.verb} {told.value} {when} ago and that is under way ({told.message});"
            " ask again once it has its outcome"
        )
    standing = [
        (verb, key)
        for verb in (*names.REQUEST_VERBS, names.RETRY_VERB)
        if (key := names.request_annotation(verb)) in found.metadata.annotations
    ]
    # Only now who wrote them matters: the operator passes over what a manifest carries, whatever else is asked.
    owned = _get(call, resource, found, "--show-managed-fields") if standing else {}
    for verb, key in standing:
        value = found.metadata.annotations[key]
        if in_manifest(owned, key):
            if verb == request.verb:
                return names.REQUEST_IN_MANIFEST, f"a manifest carries {key}={value}: remove it there first"
            continue
        who = found.metadata.annotations.get(names.ANNOTATION_REQUESTED_BY) or "somebody"
        kind = "osm" if resource == reading.MODELS else "trun"
        return names.REQUEST_PENDING, (
            f"{who} has asked {name} for {verb} {value} and the operator has not taken it up yet;"
            f" `kubectl annotate {kind} {name} {key}-` takes that back"
        )
    return None


def refusal(found: Object, request: Request, reason: str, message: str) -> Answer:
    """The answer where the plugin itself refuses: nothing was asked for."""
    return _answer(found, request, told_by_us("Refused", reason, message))


def told_by_us(outcome: str, reason: str = "", message: str = "", *, by: str = "") -> promotion.Request:
    """An outcome that the operator has not written, in the form of one that it has."""
    found = {"outcome": outcome, "reason": reason, "message": message, "requestedBy": by}
    return lenient.read(promotion.Request, found)


def _answer(found: Object, request: Request, told: promotion.Request, notes: tuple[str, ...] = ()) -> Answer:
    title = f"{request} ({told.dna})" if told.dna and told.dna != request.value else str(request)
    return answer(found, {"verb": request.verb, "value": request.value}, title, told, notes)


def answer(
    found: Object, head: Mapping[str, str], title: str, told: promotion.Request, notes: tuple[str, ...] = ()
) -> Answer:
    """What became of a request: the document begins with `head`, the text with the outcome and `title`."""
    meta, more = found.metadata, lenient.document(told).items()
    document = {"name": meta.name, "namespace": meta.namespace, **head}
    document |= {key: value for key, value in more if value and key not in ("verb", "value")}
    lines = [f"{told.outcome.lower()}   {meta.name}: {title}", f"{told.reason}: {told.message}"]
    return Answer(document, "\n".join(map(printable, lines)), _CODES.get(told.outcome, Exit.REFUSED), notes)


def _whoami(call: Call) -> tuple[str, tuple[str, ...]]:
    try:
        return call.kubectl.whoami(), ()
    except KubectlError as error:
        return "", (f"the request does not say who asks, because kubectl does not: {error}",)


def _key(told: promotion.Request | None) -> tuple[str, str]:
    """What tells a request from the one before it."""
    return (told.id, told.created_at) if told else ("", "")


def _read(call: Call, resource: Resource, found: Object) -> Object:
    return reading.as_kind(resource, _get(call, resource, found))


def _get(call: Call, resource: Resource, found: Object, *more: str) -> dict[str, Any]:
    return call.kubectl.get(resource, found.metadata.name, f"--namespace={found.metadata.namespace}", *more)
