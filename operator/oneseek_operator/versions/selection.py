"""Which version should serve. Pure.

    quarantine > rollback > pin > promote > auto

A version in quarantine never serves. A person's rollback overrides the pin of Git, so that a GitOps tool that applies its
manifest again cannot undo it; another pin, or a release of the version that was left, ends it. After a choice by hand, `auto`
considers only versions that were certified after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_core.api.v1alpha1.promotion import Selection
from oneseek_operator.observe.model import is_resetting
from oneseek_operator.observe.pod_failures import Problem
from oneseek_operator.versions.gate import measures
from oneseek_operator.versions.quarantine import QUARANTINE_LIMIT
from oneseek_operator.versions.states import may_answer, newest, number

__all__ = ["Choice", "choose", "left_by_rollback"]


_BARRED_PINS = {
    names.STATE_QUARANTINED: names.PINNED_VERSION_QUARANTINED,
    names.STATE_REJECTED: names.PINNED_VERSION_REJECTED,
}


Why = Literal["auto", "pin", "promote", "rollback", "safe", "reset"]


@dataclass(frozen=True, slots=True)
class Choice:
    """The version that should serve (None: the base model), and why.

    `waiting`: the version that is previewed and waits for a person, `unmeasured` if because nothing has measured it. `blocked`:
    why the pinned version cannot serve.
    """

    version: Version | None
    why: Why
    waiting: Version | None = None
    blocked: Problem | None = None
    unmeasured: bool = False

    @property
    def is_forward(self) -> bool:
        """Whether following it is a promotion; going back never waits."""
        return self.why in ("auto", "pin", "promote")


def left_by_rollback(model: OneSeekModel) -> str | None:
    """The version that the standing rollback left: nothing chooses it, even while it still serves."""
    standing = model.status.selection
    return standing.left if standing and standing.verb == "rollback" else None


def choose(model: OneSeekModel, versions: Sequence[Version]) -> Choice:
    """The version that should serve; `versions` have their states, by quarantine and gate."""
    if is_resetting(model):
        return Choice(None, "reset")
    left = left_by_rollback(model)
    good = {item.dna: item for item in versions if may_answer(item) and item.dna != left}
    choice = _chosen(model, versions, good)
    if choice.why != "pin" and model.spec.version != "auto" and choice.blocked is None:
        return Choice(choice.version, choice.why, blocked=_blocked(model.spec.version, versions))
    return choice


def _chosen(model: OneSeekModel, versions: Sequence[Version], good: Mapping[str, Version]) -> Choice:
    standing = model.status.selection
    if standing is not None and standing.version != model.spec.version:
        standing = None  # the spec changed since
    pinned = model.spec.version != "auto"
    if standing and standing.verb == "rollback" and (standing.dna is None or standing.dna in good):
        return _standing(model, standing, good, pinned=pinned)
    if pinned:
        version = good.get(model.spec.version)
        if version:
            return Choice(version, "pin")
        return Choice(_safe(model, good), "safe", blocked=_blocked(model.spec.version, versions))
    current = model.status.current
    if current is not None and current.dna not in good:
        return Choice(_safe(model, good), "safe")  # first back to a version that is known to be good, then forward
    if standing and standing.verb == "promote" and standing.dna in good:
        return _standing(model, standing, good, pinned=False)
    if len(model.status.quarantine) >= QUARANTINE_LIMIT:
        return Choice(_safe(model, good), "safe")
    stays = good.get(current.dna) if current else None
    return _newest(model, good.values(), stays, "auto")


def _standing(model: OneSeekModel, standing: Selection, good: Mapping[str, Version], *, pinned: bool) -> Choice:
    """A choice by hand, until a version that is newer than all that were known then may serve."""
    chosen = good.get(standing.dna) if standing.dna else None
    if pinned:
        return Choice(chosen, standing.verb)
    above = (standing.major, standing.micro)
    if not any(number(item.dna) > above for item in good.values()) or len(model.status.quarantine) >= QUARANTINE_LIMIT:
        return Choice(chosen, standing.verb)
    return _newest(model, [item for item in good.values() if number(item.dna) > above], chosen, standing.verb)


def _newest(model: OneSeekModel, versions: Iterable[Version], stays: Version | None, why: Why) -> Choice:
    """The newest version, if it may be promoted automatically; else `stays`, and the newest waits."""
    known = list(versions)
    if model.spec.promotion.mode == "Manual":
        return Choice(stays, why, waiting=_above(newest(known), stays))
    if measures(model.spec.promotion):
        return Choice(newest(known), "auto")
    free = newest(item for item in known if not item.unattended or item == stays)
    waiting = _above(newest(known), free or stays)
    return Choice(free or stays, "auto" if free else why, waiting=waiting, unmeasured=waiting is not None)


def _above(best: Version | None, than: Version | None) -> Version | None:
    if best is None or (than is not None and number(best.dna) <= number(than.dna)):
        return None
    return best


def _safe(model: OneSeekModel, good: Mapping[str, Version]) -> Version | None:
    """The newest version that has served well; the base model (None) if there is none."""
    for reference in (model.status.current, model.status.previous):
        if reference and reference.dna in good:
            return good[reference.dna]
    passed = measures(model.spec.promotion)
    return newest(item for item in good.values() if passed or item.served_at or not item.unattended)


def _blocked(pin: str, versions: Sequence[Version]) -> Problem:
    """Why the pinned version does not serve."""
    version = next((item for item in versions if item.dna == pin), None)
    if version is None or version.state == names.STATE_DELETED:
        gone = "it was deleted" if version else "there is no certified version of that name on the claim"
        return Problem(
            names.PINNED_VERSION_UNKNOWN,
            f"spec.version names {pin}, but {gone}; `kubectl oneseek status` lists those there are",
        )
    reason = _BARRED_PINS.get(version.state)
    if reason is None:
        return Problem(
            names.PINNED_VERSION_QUARANTINED,
            f"spec.version names {pin}, but a rollback stands above it; release what it left, or pin another version",
        )
    hint = (
        "release it (oneseek.io/release) or pin another version"
        if version.state == names.STATE_QUARANTINED
        else "pin another version, or loosen promotion.gate"
    )
    return Problem(
        reason, f"spec.version names {pin}, which may not answer ({version.reason or version.state}); {hint}"
    )
