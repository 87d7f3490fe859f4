"""The progress of a takeover: when the status may name the version that took over. Pure.

The Service selects it, every pod that could answer otherwise hands over, and a fresh connection through the Service was
answered by it: only then `status.current` names it and the model is Ready with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import Version, VersionRef
from oneseek_operator.conditions import find, timestamp
from oneseek_operator.observe.model import Snapshot
from oneseek_operator.resources.serving import Colour
from oneseek_operator.rollout import handover
from oneseek_operator.rollout.handover import Takeover

__all__ = ["TakeoverState", "current_reference", "progress", "soon"]

# Seconds between looks during a takeover, which is over in a moment or stuck.
_SOON, _LATER, _SWAP_LATER = 0.1, 5.0, 0.5


@dataclass(frozen=True, slots=True)
class TakeoverState:
    """`done`: the status may name the version. `answers`: the model may be Ready with it.

    `is_flipped`: pods still have to report, but none has to start. `sentence`: what is waited for; empty if nothing.
    `asks_service`: everything else is certain.
    """

    done: bool
    answers: bool
    is_flipped: bool = False
    asks_service: bool = False
    sentence: str = ""


def progress(snapshot: Snapshot, to: Takeover, now: datetime, *, flips: bool, zero: bool) -> TakeoverState:
    """The progress; `flips`: this step flips the Service, or changes the version of its pods."""
    status = snapshot.model.status
    if zero:
        return TakeoverState(done=True, answers=False)
    if to.colour is None:
        sentence = f"{to.left} may not answer any more: new requests wait until {to.name} is up"
        return TakeoverState(done=False, answers=False, sentence=sentence)
    ready = find(status.conditions, names.READY)
    stays = ready is not None and (ready.status == "True" or ready.reason in _ANSWERING_UNREADY)
    confirmed = snapshot.confirms(to.colour, to.dna)
    if not flips and status.colour == to.colour and snapshot.current_dna == to.dna:
        if stays or not confirmed:
            return TakeoverState(done=True, answers=confirmed)
        through = _through_the_service(snapshot, to)
        return TakeoverState(
            done=True, answers=not through, asks_service=snapshot.service_answer is None, sentence=through
        )
    # A pod that takes the version over within itself (HotSwap) answers with the one before until it does, unless that one
    # is in quarantine: then new requests wait.
    current = snapshot.current_dna
    before = status.colour == to.colour and current not in to.barred and snapshot.confirms(to.colour, current)
    answers = stays and (confirmed or before)
    if flips:
        return TakeoverState(done=False, answers=answers, is_flipped=True, sentence=f"{to.name} takes over")
    waits = handover.waiting(snapshot, to, now)
    if waits:
        more = f" (and {len(waits) - 3} more)" if len(waits) > 3 else ""
        sentence = f"{to.name} takes over: {'; '.join(waits[:3])}{more}"
        return TakeoverState(done=False, answers=answers, is_flipped=True, sentence=sentence)
    through = _through_the_service(snapshot, to)
    return TakeoverState(
        done=not through,
        answers=confirmed and (stays or not through),
        is_flipped=True,
        asks_service=snapshot.service_answer is None,
        sentence=through,
    )


# Reasons for which a model that answers is not Ready.
_ANSWERING_UNREADY = (names.PINNED_VERSION_UNKNOWN, names.PINNED_VERSION_QUARANTINED, names.PINNED_VERSION_REJECTED)


def _through_the_service(snapshot: Snapshot, to: Takeover) -> str:
    """What is wrong with the answer to a fresh connection; empty if the right version gave it."""
    answer = snapshot.service_answer
    if answer is None:
        return f"{to.name} takes over: the Service was not asked yet"
    if answer.error:
        return f"{to.name} takes over: a fresh connection through the Service was not answered: {answer.error}"
    if answer.name != (to.dna or snapshot.model.spec.base_model.name):
        return f"{to.name} takes over: a fresh connection through the Service was answered by {answer.name}"
    return ""


def current_reference(dna: str | None, target: Colour, versions: Sequence[Version], now: datetime) -> VersionRef | None:
    """The version as `status.current`; None for the base model."""
    if dna is None:
        return None
    digest = target.digest if target.dna == dna else next((item.digest for item in versions if item.dna == dna), None)
    return VersionRef(dna=dna, digest=digest, since=timestamp(now)) if digest else None


def soon(snapshot: Snapshot, now: datetime) -> float:
    """Seconds until the next look: short, and longer the longer the takeover lasts."""
    service = snapshot.service
    if service is None or not service.flipped_at:
        return _SOON
    age = (now - datetime.fromisoformat(service.flipped_at)).total_seconds()
    swaps = any(item.colour == service.colour and item.shape for item in snapshot.deployments)
    return max(_SOON, min(age / 20, _SWAP_LATER if swaps else _LATER))
