"""[I/O] `spec.suspend` of a model or a run, set as the user: what `pause` and `resume` share.

The operator never writes a spec, so this is no request but a change of the object, like one with `kubectl edit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.base import Condition
from oneseek_core.api.lenient import Object
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.plugin import reading, requests
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.errors import CannotTellError, ConflictError, NotFoundError
from oneseek_runtime.plugin.gitops import owner_of
from oneseek_runtime.plugin.times import duration

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

    Raises CannotTellError: there is no such object, or two of that name, or it cannot be written.
    """
    verb = "pause" if wanted else "resume"
    for _ in range(_ATTEMPTS):
        resource, item = _find(call, call.arguments.target)
        found = reading.as_kind(resource, item)
        if refused := _obstacle(found, item, wanted=wanted):
            return _answer(found, verb, "Refused", *refused)
        if found.spec.suspend == wanted:
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


def _obstacle(found: Object, item: Mapping[str, Any], *, wanted: bool) -> tuple[str, str] | None:
    name = found.metadata.name
    if found.metadata.deletion_timestamp:
        return requests.BEING_DELETED, f"{name} is being deleted"
    if isinstance(found, TrainingRun) and lenient.phase(found) != "UnderWay":
        reason = lenient.ready(found).reason
        return ENDED, f"{name} is over ({reason}): there is nothing to {'pause' if wanted else 'resume'}"
    if found.spec.suspend != wanted and (owner := owner_of(item, ("spec", "suspend"))):
        value = str(wanted).lower()
        return OWNED_BY_GITOPS, f"spec.suspend is kept by {owner}, which would undo it: set suspend: {value} in Git"
    return None


def _outcome(call: Call, resource: str, found: Object, verb: str, *, wanted: bool) -> Answer:
    meta, seconds = found.metadata, call.arguments.wait
    if not seconds:
        return _answer(found, verb, "Asked", "Written", f"spec.suspend is {str(wanted).lower()}")
    newest: Object = found

    def look() -> Condition | None:
        nonlocal newest
        newest = reading.as_kind(resource, call.kubectl.get(resource, meta.name, f"--namespace={meta.namespace}"))
        ready = lenient.ready(newest)
        acted = newest.metadata.generation > meta.generation and lenient.is_observed(newest)
        return ready if acted and (ready.reason == names.SUSPENDED) == wanted else None

    ready = call.clock.wait(look, seconds=seconds)
    if ready is not None:
        return _answer(found, verb, "Succeeded", ready.reason, ready.message)
    sentence = f"spec.suspend is written; not acted on within {duration(seconds)}: {reading.state_of(newest)}"
    return _answer(found, verb, "Pending", requests.NO_OUTCOME, sentence)


def _answer(found: Object, verb: str, outcome: str, reason: str, message: str) -> Answer:
    head = {"verb": verb, "outcome": outcome, "reason": reason, "message": message}
    return requests.answer(found, head, verb, requests.told_by_us(outcome, reason, message))
