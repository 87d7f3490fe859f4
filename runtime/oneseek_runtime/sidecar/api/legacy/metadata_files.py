"""[I/O] `/models/*`: metadata files of the certified folders.

Only the named files: no listing, no weights, and no held-out questions and answers, which are in other files.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["SERVED", "read_metadata"]

SERVED = frozenset(
    {
        "adapter_config.json",
        "ledger_proof.json",
        "live_metrics.json",
        "merge_manifest.json",
        "metadata.json",
        "oneseek_dna.json",
        "training_results.json",
    }
)
_LIMIT = 4 * 1024 * 1024  # bytes


def read_metadata(certified: Path, path: str) -> bytes | None:
    """Reads `<certified folder's name>/<path inside>`; None if it is not served."""
    root, _, inside = path.partition("/")
    parts = inside.split("/")
    if root != certified.name or parts[-1] not in SERVED:
        return None
    if any(not part or part.startswith(".") or "\x00" in part or "\\" in part for part in parts):
        return None
    try:
        real = certified.joinpath(*parts).resolve(strict=True)  # CURRENT is a link; its target must be inside
        if not real.is_relative_to(certified.resolve()) or real.name not in SERVED or not real.is_file():
            return None
        if real.stat().st_size > _LIMIT:
            return None
        return real.read_bytes()
    except (OSError, RuntimeError, ValueError):  # missing, a loop of links, an impossible name
        return None
