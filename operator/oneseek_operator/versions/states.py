"""Which versions a model has, and the state of each. Pure.

Versions come from runs that ended Certified; for a model that was created again over an old claim, also from what the
base Job found on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import Counters, Quarantined, Version, VersionRef
from oneseek_core.api.v1alpha1.promotion import Gate
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.dna import Dna
from oneseek_core.errors import DnaError
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_operator.conditions import find
from oneseek_operator.versions.gate import missed

__all__ = [
    "State",
    "adopted",
    "certified_by",
    "classified",
    "classify",
    "counters_for",
    "known_versions",
    "may_answer",
    "merged",
    "newest",
    "number",
    "roles",
    "served",
    "served_before",
]


State = Literal["Certified", "Rejected", "Candidate", "Current", "Previous", "Quarantined", "Deleted"]

_ROLES = (names.STATE_CURRENT, names.STATE_PREVIOUS, names.STATE_CANDIDATE)
_KEPT = 32  # limit of the status; older versions stay on the claim


def certified_by(runs: Iterable[TrainingRun]) -> list[Version]:
    """The versions that runs made."""
    versions = []
    for run in runs:
        status = run.status
        ready = find(status.conditions, names.READY)
        done = ready is not None and ready.status == "True"
        if not (done and status.dna and status.digest and status.resolved and status.resolved.created_at):
            continue
        versions.append(
            Version(
                dna=status.dna,
                digest=status.digest,
                type=run.spec.type,
                state="Certified",
                parent=status.resolved.parent,
                run=run.metadata.name,
                unattended=_is_unattended(run) or None,
                scores=status.scores,
                created_at=status.resolved.created_at,
            )
        )
    return versions


def _is_unattended(run: TrainingRun) -> bool:
    """Whether the operator created the run: it is owned by the model."""
    return any(ref.get("kind") == "OneSeekModel" and ref.get("controller") for ref in run.metadata.owner_references)


def adopted(found: Iterable[CertifiedVersion]) -> list[Version]:
    """The versions that a base Job found on the claim."""
    return [
        Version(
            dna=item.dna,
            digest=item.digest,
            type="Micro" if number(item.dna)[1] else "Major",
            state="Certified",
            parent=item.parent,
            run=item.run,
            scores=item.scores,
            created_at=item.created_at,
        )
        for item in found
    ]


def merged(known: Iterable[Version], new: Iterable[Version]) -> list[Version]:
    """Known versions with new ones added, newest first, at most _KEPT."""
    by_dna: dict[str, Version] = {}
    for version in [*known, *new]:
        by_dna.setdefault(version.dna, version)
    return sorted(by_dna.values(), key=_order, reverse=True)[:_KEPT]


def may_answer(version: Version) -> bool:
    """Whether the version is neither Rejected, Quarantined nor Deleted."""
    return version.state not in (names.STATE_REJECTED, names.STATE_QUARANTINED, names.STATE_DELETED)


def newest(versions: Iterable[Version]) -> Version | None:
    """The newest version that may answer."""
    return max((item for item in versions if may_answer(item)), key=_order, default=None)


def known_versions(model: OneSeekModel, runs: Iterable[TrainingRun]) -> tuple[list[Version], dict[str, str]]:
    """All versions, classified by the stored quarantine and the gate; and why each of those that miss the gate does."""
    stored, quarantine = merged(model.status.versions, certified_by(runs)), model.status.quarantine
    current = model.status.current.dna if model.status.current else None
    misses = missed_gate(stored, current, quarantine, model.spec.promotion.gate)
    return classified(stored, quarantine, misses), misses


def missed_gate(
    versions: Sequence[Version], current: str | None, quarantine: Iterable[Quarantined], gate: Gate | None
) -> dict[str, str]:
    """The versions that miss the gate, with the reason.

    A version that serves, or did before, has passed: a gate that is raised later changes nothing for it. A version older
    than the current one is not compared with it: it is a way back, not a regression.
    """
    serving, held = next((item for item in versions if item.dna == current), None), {item.dna for item in quarantine}
    found = {}
    for version in versions:
        served = version.state in (names.STATE_CURRENT, names.STATE_PREVIOUS) and version.dna not in held
        newer = serving is None or _order(version) > _order(serving)
        if served or version.state == names.STATE_DELETED:
            continue
        if reason := missed(version, serving if newer else None, gate):
            found[version.dna] = f"{names.GATE_MISSED}: {reason}"
    return found


def classify(
    version: Version, *, quarantined: Quarantined | None, rejected: str | None, role: State | None
) -> tuple[State, str | None]:
    """The state of a version and its reason, from the facts.

    `quarantined`: its entry in the quarantine. `rejected`: why it may not answer although it is not in quarantine yet, or
    misses the gate. `role`: Current, Previous or Candidate. A version whose preview failed before it ever served stays
    Rejected while it is in quarantine; one that served is Quarantined.
    """
    if version.state == names.STATE_DELETED:
        return "Deleted", version.reason
    if rejected:
        return "Rejected", rejected[:256]
    if quarantined and not (role and version.state == names.STATE_REJECTED):
        state: State = "Rejected" if version.state == names.STATE_REJECTED else "Quarantined"
        return state, f"{quarantined.reason}: {quarantined.message}"[:256]
    return role or "Certified", None


def classified(
    versions: Iterable[Version],
    quarantine: Iterable[Quarantined],
    rejected: Mapping[str, str],
    roles: Mapping[str, State] | None = None,
) -> list[Version]:
    """The versions with their states; without `roles` each keeps the role that it has."""
    held, out = {item.dna: item for item in quarantine}, []
    for version in versions:
        if roles is not None:
            role = roles.get(version.dna)
        else:
            role = version.state if version.state in _ROLES and version.dna not in held else None
        state, reason = classify(
            version, quarantined=held.get(version.dna), rejected=rejected.get(version.dna), role=role
        )
        out.append(version.model_copy(update={"state": state, "reason": reason}))
    return out


def served(versions: Iterable[Version], current: VersionRef | None) -> list[Version]:
    """The versions, with the time since when the current one serves."""
    return [
        item.model_copy(update={"served_at": current.since}) if current and item.dna == current.dna else item
        for item in versions
    ]


def served_before(versions: Iterable[Version], current: VersionRef | None) -> VersionRef | None:
    """The last version that served before `current` and may answer."""
    answers = current.dna if current else None
    found = [item for item in versions if item.served_at and item.dna != answers and may_answer(item)]
    last = max(found, key=lambda item: item.served_at or "", default=None)
    return VersionRef(dna=last.dna, digest=last.digest, since=last.served_at or "") if last else None


def roles(current: VersionRef | None, previous: VersionRef | None, candidate: VersionRef | None) -> dict[str, State]:
    """The role of each version that the status names."""
    found: dict[str, State] = {}
    if previous:
        found[previous.dna] = "Previous"
    if candidate:
        found[candidate.dna] = "Candidate"
    if current:
        found[current.dna] = "Current"
    return found


def counters_for(old: Counters, versions: Iterable[Version]) -> Counters:
    """Counters at least as high as every version; they never fall."""
    highest = max([(old.major, old.micro), *(number(item.dna) for item in versions)])
    return Counters(major=highest[0], micro=highest[1])


def number(dna: str) -> tuple[int, int]:
    """MAJOR and MICRO of a DNA; (0, 0) for one that cannot be read."""
    try:
        return Dna.parse(dna).order
    except DnaError:
        return (0, 0)


def _order(version: Version) -> tuple[tuple[int, int], str]:
    return (number(version.dna), version.created_at)
