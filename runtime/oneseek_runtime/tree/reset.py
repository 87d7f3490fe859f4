"""[I/O] A reset: every certified version goes, base models stay, and who had it done is written down and kept.

The old service erased the log of earlier resets with the folder; here `.ledger` outlives them all.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from oneseek_core import names
from oneseek_core.files import fsync_dir, write_atomic
from oneseek_core.jobs.tree import ResetOrder
from oneseek_runtime.log import say

__all__ = ["README", "wipe"]

README = """\
# Certified versions

Each folder here is one certified version and is never changed: its name (the DNA) says what it was trained on and
from which weights, `manifest.json` holds a SHA-256 of each of its files.
`<family>-CURRENT` and `<family>-CURRENT.txt` name the version that answers; they follow the OneSeekModel's
status.current a little later, and moving them by hand changes nothing but them.
Names that start with a dot are half-made and belong to OneSeek. Base models lie in `../basemodeller`.
"""

_BASE_README = """\
# Base models

Each folder here is a base model as it was imported. A reset of the certified versions leaves them untouched.
"""
_LOG_DIR, _LOG = ".ledger", "reset-log.jsonl"


def wipe(models_root: Path, family: str, order: ResetOrder) -> list[str]:
    """Delete everything in the certified folder but the reset log; returns the versions that went.

    Done again (after a crash, or twice) it ends in the same place; the same order is written down once.
    """
    certified, base = models_root / names.CERTIFIED_DIR, models_root / names.BASE_DIR
    certified.mkdir(exist_ok=True)
    base.mkdir(exist_ok=True)
    removed = []
    # CURRENT first: nothing may point at a version that is half deleted.
    for path in sorted(
        certified.iterdir(), key=lambda item: (not item.name.startswith(f"{family}-CURRENT"), item.name)
    ):
        if path.name in (_LOG_DIR, "README.md"):
            continue
        if path.is_dir() and not path.is_symlink():
            doomed = path if path.name.startswith(".") else path.with_name(f".deleted-{path.name}")
            path.replace(doomed)  # a crash leaves no half version listed
            shutil.rmtree(doomed)
            if not path.name.startswith("."):
                removed.append(path.name)
        else:
            path.unlink()
    fsync_dir(certified)
    write_atomic(certified / "README.md", README.encode())
    if not (base / "README.md").exists():
        write_atomic(base / "README.md", _BASE_README.encode())
    _write_down(certified / _LOG_DIR, models_root, order)
    say("reset", versions=len(removed), user=order.user)
    return removed[:32]


def _write_down(folder: Path, models_root: Path, order: ResetOrder) -> None:
    folder.mkdir(exist_ok=True)
    line = json.dumps(
        {
            "action": "FULL_RESET",
            "timestamp": order.timestamp,
            "user": order.user,
            "ip": None,  # a request comes through the API server, which does not pass addresses on
            "modelsDir": str(models_root),
            "certifiedDir": str(models_root / names.CERTIFIED_DIR),
        },
        ensure_ascii=False,
    )
    log = folder / _LOG
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    if line not in lines:
        write_atomic(log, ("\n".join([*lines, line]) + "\n").encode())
