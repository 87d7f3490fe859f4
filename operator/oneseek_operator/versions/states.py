"""Which versions a model has, and which one should answer. Pure.

Versions come from runs that ended Certified and, for a model that was made again over an old claim, from what the
base Job found there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import Counters, Quarantined, Version, VersionRef
from oneseek_core.api.v1alpha1.promotion import Gate
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.dna import Dna
from oneseek_core.errors import DnaError
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_operator.conditions import find
from oneseek_operator.versions.gate import missed

__all__ = [
    "adopted",
    "barred",
    "certified_by",
    "counters_for",
    "gated",
    "may_answer",
    "merged",
    "newest",
    "number",
    "served",
    "served_before",
    "with_states",
]

_KEPT = 32  # the status' bound; the oldest fall out of the list, not off the claim


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
    """Whether the operator made the run itself: it then belongs to the model."""
    return any(ref.get("kind") == "OneSeekModel" and ref.get("controller") for ref in run.metadata.owner_references)


def adopted(found: Iterable[CertifiedVersion]) -> list[Version]:
    """The versions a base Job found on the claim."""
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
    """Known versions with new ones added, newest first, bounded."""
    by_dna: dict[str, Version] = {}
    for version in [*known, *new]:
        by_dna.setdefault(version.dna, version)
    return sorted(by_dna.values(), key=_order, reverse=True)[:_KEPT]


def may_answer(version: Version) -> bool:
    """Whether nothing bars the version."""
    return version.state not in (names.STATE_REJECTED, names.STATE_QUARANTINED, names.STATE_DELETED)


def newest(versions: Iterable[Version]) -> Version | None:
    """The newest version that may answer."""
    return max((item for item in versions if may_answer(item)), key=_order, default=None)


def gated(versions: Iterable[Version], current: str | None, gate: Gate | None) -> tuple[list[Version], dict[str, str]]:
    """The versions with those rejected that miss the gate, and why each of them does.

    What answers, or did, is past the gate: a gate that is raised later takes nothing away. And what is older than what
    answers is no regression but a way back.
    """
    known = list(versions)
    serving = next((item for item in known if item.dna == current), None)
    why: dict[str, str] = {}
    out = []
    for version in known:
        past = version.state in (names.STATE_CURRENT, names.STATE_PREVIOUS, names.STATE_DELETED)
        newer = serving is None or _order(version) > _order(serving)
        reason = None if past else missed(version, serving if newer else None, gate)
        if reason:
            why[version.dna] = f"{names.GATE_MISSED}: {reason}"
            out.append(version.model_copy(update={"state": names.STATE_REJECTED, "reason": why[version.dna][:256]}))
        elif version.state == names.STATE_REJECTED and (version.reason or "").startswith(names.GATE_MISSED):
            out.append(version.model_copy(update={"state": names.STATE_CERTIFIED, "reason": None}))
        else:
            out.append(version)
    return out, why


def barred(versions: Iterable[Version], quarantine: Iterable[Quarantined]) -> list[Version]:
    """The versions, those in quarantine marked so, those that left it free again.

    One that never answered because its preview failed is Rejected; one that did answer is Quarantined.
    """
    why = {item.dna: f"{item.reason}: {item.message}"[:256] for item in quarantine}
    out = []
    for item in versions:
        rejected = item.state == names.STATE_REJECTED
        missed = (item.reason or "").startswith(names.GATE_MISSED)
        if item.state == names.STATE_DELETED or (rejected and missed):
            out.append(item)
        elif item.dna in why:
            state = names.STATE_REJECTED if rejected else names.STATE_QUARANTINED
            out.append(item.model_copy(update={"state": state, "reason": why[item.dna]}))
        elif rejected or item.state == names.STATE_QUARANTINED:
            out.append(item.model_copy(update={"state": names.STATE_CERTIFIED, "reason": None}))
        else:
            out.append(item)
    return out


def served(versions: Iterable[Version], current: VersionRef | None) -> list[Version]:
    """The versions, the one that answers with the moment since when it does."""
    return [
        item.model_copy(update={"served_at": current.since}) if current and item.dna == current.dna else item
        for item in versions
    ]


def served_before(versions: Iterable[Version], current: VersionRef | None) -> VersionRef | None:
    """The last version that answered before `current` and still may."""
    answers = current.dna if current else None
    found = [item for item in versions if item.served_at and item.dna != answers and may_answer(item)]
    last = max(found, key=lambda item: item.served_at or "", default=None)
    return VersionRef(dna=last.dna, digest=last.digest, since=last.served_at or "") if last else None


def with_states(versions: Iterable[Version], roles: Mapping[str, str], rejected: Mapping[str, str]) -> list[Version]:
    """Versions with the state their role gives them; `rejected` maps a DNA to why."""
    out = []
    for version in versions:
        if version.dna in rejected:
            change: dict[str, str | None] = {"state": names.STATE_REJECTED, "reason": rejected[version.dna][:256]}
        elif version.state in (names.STATE_QUARANTINED, names.STATE_DELETED) or (
            version.state == names.STATE_REJECTED and version.dna not in roles
        ):
            change = {}
        else:
            change = {"state": roles.get(version.dna, names.STATE_CERTIFIED), "reason": None}
        out.append(version.model_copy(update=change))
    return out


def counters_for(old: Counters, versions: Iterable[Version]) -> Counters:
    """Counters that are at least as high as every version; they never fall."""
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
