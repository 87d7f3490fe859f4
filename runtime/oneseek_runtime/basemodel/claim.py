"""[I/O] Whose claim it is: the marker file, and the folders that every other part counts on."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import canonical_json
from oneseek_core.errors import JobError
from oneseek_core.files import fsync_dir, write_synced
from oneseek_core.jobs.common import Ref
from oneseek_core.names import ExitCode

__all__ = ["make_skeleton", "take_claim"]


def take_claim(root: Path, model: Ref) -> None:
    """Put the model's name on the claim. A model created again under the same name finds its own mark.

    Raises:
        JobError: the claim carries another model's mark.
    """
    marker = root / names.OWNER_MARKER
    data = canonical_json({"namespace": model.namespace, "name": model.name}) + b"\n"
    if _create(marker, data):
        fsync_dir(root)
        return
    owner = _owner(marker)
    if owner == (model.namespace, model.name):
        return
    if owner is None:
        sentence = (
            f"the claim's marker {names.OWNER_MARKER} cannot be read, so it is unknown whose claim it is; if it is"
            f" {model.namespace}/{model.name}'s, delete that file, else give the model another claim"
        )
    else:
        sentence = (
            f"the claim belongs to the OneSeekModel {owner[0]}/{owner[1]} and {model.namespace}/{model.name} may not"
            f" use it: one claim holds one model; give {model.namespace}/{model.name} its own claim"
        )
    raise JobError(names.CLAIM_IN_USE, sentence, ExitCode.CLAIM_IN_USE)


def make_skeleton(root: Path) -> None:
    """The folders of an empty tree; what is there stays."""
    for name in (names.BASE_DIR, names.CERTIFIED_DIR, names.STAGING_DIR):
        (root / name).mkdir(exist_ok=True)
    fsync_dir(root)


def _create(marker: Path, data: bytes) -> bool:
    """Whether the file was made now; of two pods at the same moment one makes it, and nobody sees half of it."""
    if marker.exists():
        return False
    draft = marker.with_name(f"{marker.name}.tmp-{os.urandom(8).hex()}")
    write_synced(draft, data)
    try:
        os.link(draft, marker)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        return _create_plain(marker, data)  # a volume without hard links
    finally:
        draft.unlink()
    return True


def _create_plain(marker: Path, data: bytes) -> bool:
    try:
        with marker.open("xb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
    except FileExistsError:
        return False
    return True


def _owner(marker: Path) -> tuple[str, str] | None:
    try:
        value = json.loads(marker.read_bytes())
        return str(value["namespace"]), str(value["name"])
    except (ValueError, KeyError, TypeError):
        return None
