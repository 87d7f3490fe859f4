"""[I/O] The folder of certified versions as old readers list it, and where CURRENT points. Read-only.

Folders of older trainers are listed too, with the contract's defaults for missing fields.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from oneseek_core import names
from oneseek_core.dna import parse_legacy
from oneseek_core.errors import DnaError
from oneseek_core.files import read_json
from oneseek_core.serving.settings import ServingSettings

__all__ = ["CertifiedFolder", "Current", "base_path", "certified_folders", "current_pointer"]

_MERGED = "merged"


@dataclass(frozen=True, slots=True)
class CertifiedFolder:
    """A listed folder; `metadata` is empty if metadata.json cannot be read."""

    path: Path
    merged: bool
    metadata: Mapping[str, Any]
    major: int
    minor: int
    numbered: bool = True  # whether name or metadata hold the version; else its numbers are 0

    @property
    def name(self) -> str:
        """The folder's name; the DNA, unless an older service wrote it."""
        return self.path.name

    @property
    def readable(self) -> bool:
        """Whether metadata.json could be read."""
        return bool(self.metadata)

    @property
    def dna(self) -> str:
        """The DNA in the metadata, else the folder's name."""
        return self.text("dna", self.name)

    @property
    def created_at(self) -> str:
        """The creation time; empty if unknown."""
        return self.text("createdAt", "")

    @property
    def language(self) -> str:
        """The language code, with the contract's defaults."""
        return self.text("language", "sv" if self.merged else "unknown")

    def text(self, key: str, default: str) -> str:
        """A text field of the metadata; `default` if missing, empty or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) and value else default

    def values(self, key: str) -> list[object]:
        """A list field of the metadata; empty if missing or of another type."""
        value = self.metadata.get(key)
        return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Current:
    """The folder that CURRENT names, the link's path, its text, and whether it comes from the marker file."""

    name: str
    link: Path
    target: str
    from_marker: bool


def certified_folders(root: Path, family: str) -> list[CertifiedFolder]:
    """Lists folders named `<family>.v…` and those in `merged/`, newest first."""
    found = [*_scan(root, family, merged=False), *_scan(root / _MERGED, family, merged=True)]
    return sorted(found, key=lambda folder: (folder.major, folder.minor, folder.created_at), reverse=True)


def _scan(root: Path, family: str, *, merged: bool) -> Iterator[CertifiedFolder]:
    if not root.is_dir() or root.is_symlink():
        return
    for path in root.iterdir():
        if path.name.startswith(".") or path.is_symlink() or not path.is_dir():
            continue
        if not merged and not path.name.startswith(f"{family}.v"):
            continue
        metadata = read_json(path / "metadata.json") or {}
        numbers = _numbers(path.name)
        if merged and numbers is None:  # merged folders of the old service have free names
            numbers = _numbers(metadata.get("version"))
        if numbers is not None:
            yield CertifiedFolder(path, merged, metadata, *numbers)
        elif merged:
            yield CertifiedFolder(path, merged, metadata, 0, 0, numbered=False)


def _numbers(text: object) -> tuple[int, int] | None:
    try:
        version = parse_legacy(text) if isinstance(text, str) else None
    except DnaError:
        return None
    return (version.major, version.micro) if version else None


def base_path(serving: ServingSettings) -> str:
    """The base model's path."""
    return str(PurePosixPath(serving.certified_path).parent / names.BASE_DIR / serving.base_name)


def current_pointer(root: Path, family: str) -> Current | None:
    """The CURRENT link, else the marker file; None without either."""
    link = root / f"{family}-CURRENT"
    try:
        target = os.readlink(link)  # noqa: PTH115 - the link's own text, which Path.readlink would normalise
    except OSError:  # missing or no link: old readers use the marker file
        return _marker(root, family, link)
    return Current(Path(target).name, link, target, from_marker=False)


def _marker(root: Path, family: str, link: Path) -> Current | None:
    try:
        target = (root / f"{family}-CURRENT.txt").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Current(Path(target).name, link, target, from_marker=True) if target else None
