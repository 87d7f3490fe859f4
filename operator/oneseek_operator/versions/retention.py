"""Which versions retention deletes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import Version

__all__ = ["retired"]

_ROLES = (names.STATE_CURRENT, names.STATE_PREVIOUS, names.STATE_CANDIDATE)


def retired(versions: Sequence[Version], keep: int | None, in_use: Collection[str]) -> list[str]:
    """DNAs to delete, oldest first; `versions` are newest first, `in_use` are those that a pod may mount.

    Never the current, previous or candidate version, nor their parents: a rollback must stay possible.
    """
    if keep is None:
        return []
    there = [item for item in versions if item.state != names.STATE_DELETED]
    held = {item.dna for item in there if item.state in _ROLES} | set(in_use)
    held |= {item.parent for item in there if item.dna in held and item.parent}
    return [item.dna for item in reversed(there[keep:]) if item.dna not in held]
