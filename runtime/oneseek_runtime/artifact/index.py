"""[I/O] ledger_proof.json beside the certified folders, from which old readers list versions."""

from __future__ import annotations

from pathlib import Path

from oneseek_core.digest import canonical_json
from oneseek_core.files import read_json, write_atomic
from oneseek_runtime.artifact.folders import certified_versions
from oneseek_runtime.artifact.layout import PROOF

__all__ = ["write_index"]


def write_index(certified: Path) -> None:
    """Rewrites the index atomically, oldest version first, if it changed.

    A certify Job and an import may end at the same moment. Each checks again after writing, so the last writer has seen both.
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
    """The index's bytes. A version without a proof has its folder's digest."""
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
