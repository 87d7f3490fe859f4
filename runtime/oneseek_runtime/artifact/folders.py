"""[I/O] Reads the certified versions on a claim. Folders with a leading dot are incomplete or internal and never listed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.digest import digest_bytes
from oneseek_core.dna import Dna
from oneseek_core.errors import ArtifactError
from oneseek_core.jobs.common import CertifiedVersion

__all__ = ["Certified", "certified_versions", "read_certified"]


@dataclass(frozen=True, slots=True)
class Certified:
    """A certified folder: parsed name, metadata, and the row that Jobs report."""

    dna: Dna
    metadata: ArtifactMetadata
    version: CertifiedVersion


def certified_versions(folder: Path) -> list[Certified]:
    """Lists `oneseek-certified/`, newest first; unreadable folders are left out."""
    found = [item for child in _folders(folder) if (item := read_certified(child, child.name))]
    return sorted(found, key=lambda item: (item.dna.order, item.metadata.created_at, str(item.dna)), reverse=True)


def _folders(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    for child in folder.iterdir():
        if not child.name.startswith(".") and child.is_dir() and not child.is_symlink():
            yield child


def _scores(metadata: ArtifactMetadata) -> Scores | None:
    found = (metadata.model_extra or {}).get("scores")
    return Scores.model_validate(found) if found else None


def read_certified(folder: Path, name: str) -> Certified | None:
    """Reads the version `name` from a folder; None if it cannot be read."""
    try:
        dna = Dna.parse(name)
        metadata = ArtifactMetadata.from_bytes((folder / "metadata.json").read_bytes())
        digest = digest_bytes((folder / names.MANIFEST).read_bytes())
        if metadata.dna != name:
            return None
        made_by = metadata.provenance
        version = CertifiedVersion(
            dna=name,
            digest=digest,
            created_at=metadata.created_at,
            run=made_by.run if made_by else None,
            parent=made_by.parent if made_by else None,
            scores=_scores(metadata),
        )
    except (ValueError, ArtifactError, OSError):  # no DNA, a field that is no text of ours, or not readable
        return None
    return Certified(dna, metadata, version)
