"""[I/O] The certified folder as old readers see it: which versions lie there, and where CURRENT points. Read-only.

Tolerant on purpose: folders that older trainers wrote are listed too, with the contract's defaults for what they lack.
What may be *served* is decided elsewhere.
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
    """One listed folder; `metadata` is empty where metadata.json is missing or unreadable."""

    path: Path
    merged: bool
    metadata: Mapping[str, Any]
    major: int
    minor: int
    numbered: bool = True
    """Whether name or metadata say the version; else its numbers are 0."""

    @property
    def name(self) -> str:
        """The folder's name: the DNA, for everything we wrote ourselves."""
        return self.path.name

    @property
    def readable(self) -> bool:
        """Whether metadata.json could be read."""
        return bool(self.metadata)

    @property
    def dna(self) -> str:
        """The DNA as the metadata has it, else the folder's name."""
        return self.text("dna", self.name)

    @property
    def created_at(self) -> str:
        """When the version was made; empty where unknown."""
        return self.text("createdAt", "")

    @property
    def language(self) -> str:
        """The language code, with the contract's defaults."""
        return self.text("language", "sv" if self.merged else "unknown")

    def text(self, key: str, default: str) -> str:
        """A field of the metadata; `default` where it is missing, empty or no text."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) and value else default

    def values(self, key: str) -> list[object]:
        """A field of the metadata; empty where it is no list."""
        value = self.metadata.get(key)
        return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class Current:
    """Where CURRENT points: the folder's name, the pointer's path, its text, and which of the two pointers it was."""

    name: str
    link: Path
    target: str
    from_marker: bool


def certified_folders(root: Path, family: str) -> list[CertifiedFolder]:
    """Real folders named `<family>.v…`, and whatever lies in `merged/`; newest first. A missing root lists nothing."""
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
        if merged and numbers is None:  # the old service let people name what they merged
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
    """Where the base model lies, beside the certified versions."""
    return str(PurePosixPath(serving.certified_path).parent / names.BASE_DIR / serving.base_name)


def current_pointer(root: Path, family: str) -> Current | None:
    """The CURRENT link, else the marker file beside it; None where neither says anything."""
    link = root / f"{family}-CURRENT"
    try:
        target = os.readlink(link)  # noqa: PTH115 - the link's own text, which Path.readlink would normalise
    except OSError:  # missing, or an ordinary folder: old readers fall back to the marker
        return _marker(root, family, link)
    return Current(Path(target).name, link, target, from_marker=False)


def _marker(root: Path, family: str, link: Path) -> Current | None:
    try:
        target = (root / f"{family}-CURRENT.txt").read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Current(Path(target).name, link, target, from_marker=True) if target else None
