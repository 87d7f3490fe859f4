"""Content keys: a short hash of everything that goes into a thing, so that it is made once and never stale.

Two checkouts with the same content get the same key, which is what lets them share a cache.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

_SKIPPED_FOLDERS = frozenset({"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "node_modules", "dist"})
_SKIPPED_SUFFIXES = (".pyc", ".egg-info")
KEY_LENGTH = 16


def files_under(paths: Iterable[Path]) -> list[Path]:
    """Every file below the given files and folders, in a fixed order, caches left out."""
    found: list[Path] = []
    for path in paths:
        if path.is_file():
            found.append(path)
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS and not name.endswith(".egg-info")]
            found += [Path(folder) / name for name in names if not name.endswith(_SKIPPED_SUFFIXES)]
    return sorted(set(found))


def key_of(*parts: str, root: Path | None = None, paths: Iterable[Path] = ()) -> str:
    """The key of some words and some files; a file counts by its place under `root`, its x bit and its bytes."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:{part}".encode())
    for path in files_under(paths):
        place = path.relative_to(root) if root else path
        executable = bool(path.stat().st_mode & 0o100)
        digest.update(f"{place}:{executable}:{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:KEY_LENGTH]
