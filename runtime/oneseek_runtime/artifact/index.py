"""[I/O] ledger_proof.json beside the certified folders: the index that old readers list versions from."""

from __future__ import annotations

from pathlib import Path

from oneseek_core.digest import canonical_json
from oneseek_core.files import read_json, write_atomic
from oneseek_runtime.artifact.folders import certified_versions
from oneseek_runtime.artifact.layout import PROOF

__all__ = ["write_index"]


def write_index(certified: Path) -> None:
    """Have the index list the folders that are there, oldest first; rewritten in one step, and only if it changes.

    A run's certify Job and an import may end at the same moment. Each looks again after it has written, so whoever
    writes last has seen what the other made.
    """
    for leftover in certified.glob(f".{PROOF}.tmp-*"):  # of an attempt that was killed
        leftover.unlink(missing_ok=True)
    path = certified / PROOF
    while True:
        data = _listing(certified)
        if path.is_file() and path.read_bytes() == data:
            return
        write_atomic(path, data)


def _listing(certified: Path) -> bytes:
    """The index's bytes. A version without a proof of its own goes by its folder's digest."""
    rows = []
    for item in reversed(certified_versions(certified)):
        proof = read_json(certified / item.version.dna / PROOF) or {}
        rows.append(
            {
                "directory": item.version.dna,
                "createdAt": item.version.created_at,
                "dna": item.version.dna,
                "certifiedBy": "training-system",
                "immutableHash": proof.get("immutable_hash") or item.version.digest,
            }
        )
    return canonical_json({"models": rows}) + b"\n"
