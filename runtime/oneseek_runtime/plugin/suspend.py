"""[I/O] `spec.suspend` of a model or a run, set as the user: what `pause` and `resume` share.

The operator never writes a spec, so this is no request but a change of the object, like one with `kubectl edit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oneseek_core import names
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.errors import CannotTellError, ConflictError, NotFoundError
from oneseek_runtime.plugin.gitops import owner_of
from oneseek_runtime.plugin.objectview import ConditionView, ObjectView
from oneseek_runtime.plugin.requests import BEING_DELETED, NO_OUTCOME
from oneseek_runtime.plugin.text import printable
from oneseek_runtime.plugin.times import duration
from oneseek_runtime.plugin.views import ModelView, RunView

__all__ = ["suspend"]

OWNED_BY_GITOPS = "OwnedByGitOps"  # reason: a controller would undo it
ENDED = "Ended"  # reason: the run is over
UNCHANGED = "Unchanged"  # reason: it is so already
_ATTEMPTS = 10
_KINDS = {
    **dict.fromkeys(("osm", "oneseekmodel", "oneseekmodels", reading.MODELS), (reading.MODELS,)),
    **dict.fromkeys(("trun", "trainingrun", "trainingruns", reading.RUNS), (reading.RUNS,)),
}


def suspend(call: Call, *, wanted: bool) -> Answer:
    """Set `spec.suspend` and, unless told otherwise, wait until the operator has acted on it.

    Raises:
        CannotTellError: there is no such object, or two of that name, or it cannot be written.
    """
    verb = "pause" if wanted else "resume"
    for _ in range(_ATTEMPTS):
        resource, item = _find(call, call.arguments.target)
        found = _view(resource, item)
        if refused := _obstacle(found, item, wanted=wanted):
            return _answer(found, verb, "Refused", *refused)
        if _suspended(found) == wanted:
            state = "suspended" if wanted else "not suspended"
            return _answer(found, verb, "Succeeded", UNCHANGED, f"{found.metadata.name} is {state} already")
        change = {"metadata": {"resourceVersion": found.metadata.resource_version}, "spec": {"suspend": wanted}}
        target = f"{resource}/{found.metadata.name}"
        try:
            call.kubectl.patch(target, change, namespace=found.metadata.namespace)
        except ConflictError:
            continue
        return _outcome(call, resource, found, verb, wanted=wanted)
    raise CannotTellError(f"{call.arguments.target} is being changed all the time; nothing was written, try again")


def _find(call: Call, text: str) -> tuple[str, dict[str, Any]]:
    kind, slash, name = text.rpartition("/")
    if slash and kind.lower() not in _KINDS:
        raise CannotTellError(f"{text}: {kind} is neither osm (OneSeekModel) nor trun (TrainingRun)")
    found = []
    for resource in _KINDS.get(kind.lower(), (reading.MODELS, reading.RUNS)):
        try:
            found.append((resource, call.kubectl.get(resource, name, "--show-managed-fields")))
        except NotFoundError:
            if slash:
                raise
    if not found:
        raise CannotTellError(f"there is neither a OneSeekModel nor a TrainingRun {name} in this namespace")
    if len(found) > 1:
        raise CannotTellError(f"{name} is a model and a run: say osm/{name} or trun/{name}")
    return found[0]


def _view(resource: str, item: Mapping[str, Any]) -> ModelView | RunView:
    return ModelView.parse(item) if resource == reading.MODELS else RunView.parse(item)


def _suspended(found: ModelView | RunView) -> bool:
    return found.spec.suspend


def _obstacle(found: ModelView | RunView, item: Mapping[str, Any], *, wanted: bool) -> tuple[str, str] | None:
    name = found.metadata.name
    if found.metadata.deletion_timestamp:
        return BEING_DELETED, f"{name} is being deleted"
    if isinstance(found, RunView) and found.phase != "UnderWay":
        return ENDED, f"{name} is over ({found.ready.reason}): there is nothing to {'pause' if wanted else 'resume'}"
    if _suspended(found) != wanted and (owner := owner_of(item, ("spec", "suspend"))):
        value = str(wanted).lower()
        return OWNED_BY_GITOPS, f"spec.suspend is kept by {owner}, which would undo it: set suspend: {value} in Git"
    return None


def _outcome(call: Call, resource: str, found: ModelView | RunView, verb: str, *, wanted: bool) -> Answer:
    meta, seconds = found.metadata, call.arguments.wait
    if not seconds:
        return _answer(found, verb, "Asked", "Written", f"spec.suspend is {str(wanted).lower()}")
    newest: ObjectView = found

    def look() -> ConditionView | None:
        nonlocal newest
        newest = _view(resource, call.kubectl.get(resource, meta.name, f"--namespace={meta.namespace}"))
        ready = newest.ready
        acted = newest.metadata.generation > meta.generation and newest.seen
        return ready if acted and (ready.reason == names.SUSPENDED) == wanted else None

    ready = call.clock.wait(look, seconds=seconds)
    if ready is not None:
        return _answer(found, verb, "Succeeded", ready.reason, ready.message)
    told = newest.ready
    sentence = f"spec.suspend is written; not acted on within {duration(seconds)}: {told.reason}: {told.message}"
    return _answer(found, verb, "Pending", NO_OUTCOME, sentence)


def _answer(found: ObjectView, verb: str, outcome: str, reason: str, message: str) -> Answer:
    name = found.metadata.name
    document = {
        "name": name,
        "namespace": found.metadata.namespace,
        "verb": verb,
        "outcome": outcome,
        "reason": reason,
        "message": message,
    }
    codes = {"Refused": Exit.REFUSED, "Pending": Exit.CANNOT_TELL}
    text = "\n".join(map(printable, [f"{outcome.lower()}   {name}: {verb}", f"{reason}: {message}"]))
    return Answer(document, text, codes.get(outcome, Exit.OK))
