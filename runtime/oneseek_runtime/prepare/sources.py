"""[I/O] Bring a dataset's file into staging: from a mount, from the claim, from a hub. The copy is what is read."""

from __future__ import annotations

from pathlib import Path

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import HuggingFaceDataset
from oneseek_core.errors import JobError
from oneseek_core.files import copy_hashing
from oneseek_core.jobs.prepare import DatasetInput
from oneseek_core.names import ExitCode
from oneseek_runtime.hub import Hub, HubError
from oneseek_runtime.log import say
from oneseek_runtime.prepare.files import LARGEST

__all__ = ["LARGEST", "fetch_dataset"]


def fetch_dataset(item: DatasetInput, root: Path, hub: Hub, target: Path) -> str:
    """Copy the dataset's file to `target`; the result is the digest of its bytes.

    What is validated and trained on is this copy, so nothing that changes the source meanwhile matters.

    Raises:
        JobError: the source names nothing, cannot be reached, is too large, or is not what the spec pins.
    """
    dataset = item.dataset
    path = _locate(item, root, hub, target.with_suffix(".hub"))
    size = path.stat().st_size
    if size > LARGEST:
        raise JobError(
            names.DATASET_INVALID,
            f"dataset {dataset.name} has {size} bytes; {LARGEST} (1 GiB) is the most: split it into several datasets",
            ExitCode.BAD_INPUT,
        )
    digest, _ = copy_hashing(path, target)
    if dataset.digest is not None and digest != dataset.digest:
        raise JobError(
            names.DATASET_DIGEST_DIFFERS,
            f"dataset {dataset.name} has the digest {digest}, but its spec pins {dataset.digest}: the data changed;"
            " restore it, or pin the new digest in a new run",
            ExitCode.DIGEST_DIFFERS,
        )
    return digest


def _locate(item: DatasetInput, root: Path, hub: Hub, scratch: Path) -> Path:
    """The file to copy, made sure to be one."""
    name, source = item.dataset.name, item.dataset.source
    if source.hugging_face:
        return _download(name, source.hugging_face, hub, scratch)
    if source.path:
        path = _on_claim(name, source.path, root)
        what = f"path {source.path} on the claim"
    else:
        # Mounted files are links to begin with (that is how a ConfigMap is swapped), and what they point at is the
        # kubelet's or the init container's doing.
        path = Path(item.file or "")
        what = f"image {source.image.reference}" if source.image else "its ConfigMap"
        if source.config_map:
            what = f"key {source.config_map.key} of ConfigMap {source.config_map.name}"
    if not path.exists():
        raise JobError(
            names.DATASET_NOT_FOUND,
            f"dataset {name}: {what} does not exist; check the name, or put the file there first",
            ExitCode.BAD_INPUT,
        )
    if not path.is_file():
        raise JobError(
            names.DATASET_INVALID, f"dataset {name}: {what} is a folder; name the JSONL file in it", ExitCode.BAD_INPUT
        )
    return path


def _on_claim(name: str, path: str, root: Path) -> Path:
    """The file below the claim; a link that leads out of it could show a pod's other mounts."""
    base = root.resolve()
    found = (base / path).resolve()
    if not found.is_relative_to(base):
        raise JobError(
            names.DATASET_INVALID,
            f"dataset {name}: path {path} leads out of the claim; put the file on the claim itself",
            ExitCode.BAD_INPUT,
        )
    return found


def _download(name: str, source: HuggingFaceDataset, hub: Hub, scratch: Path) -> Path:
    try:
        snapshot = hub.resolve("dataset", source.repo, source.revision)
        say("resolved", repo=source.repo, revision=source.revision, commit=snapshot.commit, endpoint=hub.endpoint)
        return hub.download(snapshot, source.file, scratch)
    except HubError as error:
        reason = names.DATASET_NOT_FOUND if error.missing else names.DATASET_UNAVAILABLE
        code = ExitCode.BAD_INPUT if error.final else ExitCode.UNAVAILABLE
        raise JobError(reason, f"dataset {name} cannot be fetched: {error}", code) from error
