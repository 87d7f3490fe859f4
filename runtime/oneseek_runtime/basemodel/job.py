"""[I/O] The base Job, top to bottom. Killed at any line and run again it ends the same: the rename is the import."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import manifest_bytes, manifest_digest
from oneseek_core.errors import ArtifactError, JobError
from oneseek_core.files import digest_file, fsync_dir, read_json, write_atomic, write_synced
from oneseek_core.jobs.basemodel import BaseImportReport, BaseImportRequest
from oneseek_core.jobs.messages import parse_request
from oneseek_core.names import ExitCode
from oneseek_runtime.basemodel.claim import make_skeleton, take_claim
from oneseek_runtime.basemodel.fetch import FileTable, copy_model, fetch_model, files_of
from oneseek_runtime.basemodel.folder import adapter_files, check_small_files, check_weights
from oneseek_runtime.basemodel.report import report_of
from oneseek_runtime.hub import Hub
from oneseek_runtime.log import say

__all__ = ["Checks", "run"]


def _nothing(_folder: Path) -> None:
    """No check."""


@dataclass(frozen=True, slots=True)
class Checks:
    """What is looked at beside the files themselves; pods bring what takes torch (`engine.basecheck`).

    Each is given the folder and raises ArtifactError: the first once all but the weights is there, the second at the end.
    """

    small_files: Callable[[Path], None] = _nothing
    weights: Callable[[Path], None] = _nothing


def run(environment: Mapping[str, str], checks: Checks = Checks()) -> BaseImportReport:
    """Claim the volume and have the base model on it; what is there already is hashed again, not fetched again.

    Raises:
        JobError: the claim is another model's, the source cannot be had, or what came is not what is wanted.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), BaseImportRequest)
    root = Path(request.models_root)
    take_claim(root, request.model)
    make_skeleton(root)
    for leftover in (root / names.BASE_DIR).glob(f"{names.INCOMING_PREFIX}*"):
        shutil.rmtree(leftover)  # one base Job at a time: whatever is half-made is nobody's
    home = root / names.BASE_DIR / request.base_name
    if home.exists() or home.is_symlink():
        table = _present(request, home, checks)
        _check_digest(request, manifest_digest(table))
    else:
        table = _import(request, home, Hub.from_environment(environment), checks)
    report = report_of(root, table)
    say("imported", base=request.base_name, digest=report.digest, files=report.files, bytes=report.size_bytes)
    return report


def _present(request: BaseImportRequest, home: Path, checks: Checks) -> FileTable:
    """The files of a base model that is there: one imported before, or one that a person put there."""
    if home.is_symlink() or not home.is_dir():
        raise _invalid(f"basemodeller/{request.base_name} on the claim is no folder; remove it")
    given = request.source.path == f"{names.BASE_DIR}/{request.base_name}"
    manifest = read_json(home / names.BASE_MANIFEST)
    if manifest is None and not given:
        raise _invalid(
            f"the claim holds a folder basemodeller/{request.base_name} that was not imported (no"
            f" {names.BASE_MANIFEST} in it); remove it, or use it with source.path:"
            f" {names.BASE_DIR}/{request.base_name}"
        )
    _refuse_links(home)
    table = {name: digest_file(home / name) for name in files_of(home)}
    data = manifest_bytes(table)
    if manifest is None:
        if found := adapter_files(path.name for path in home.iterdir()):
            raise _invalid(
                f"basemodeller/{request.base_name} on the claim holds {found[0]} beside the model: an adapter is no part"
                " of a base model; remove it, or merge it into the weights first"
            )
        _check_small_files(request, checks, home)
        _check_weights(request, checks, home)
        _check_digest(request, manifest_digest(table))
        write_atomic(home / names.BASE_MANIFEST, data)
    elif (home / names.BASE_MANIFEST).read_bytes() != data:
        raise _invalid(
            f"the files in basemodeller/{request.base_name} are not those that were imported"
            f" ({_difference(manifest, table)}); "
            + (
                f"if that is meant, delete its {names.BASE_MANIFEST}"
                if given
                else "remove the folder to import it again"
            )
        )
    return table


def _import(request: BaseImportRequest, home: Path, hub: Hub, checks: Checks) -> FileTable:
    """Make the folder under a dot name, and give it its name when every byte of it is on the disk."""
    incoming = home.parent / f"{names.INCOMING_PREFIX}{request.model.uid}"
    incoming.mkdir()
    small_files_there = partial(_check_small_files, request, checks, incoming)
    try:
        if source := request.source.hugging_face:
            table = fetch_model(hub, source, incoming, small_files_there)
        else:
            table = copy_model(_source_folder(request), incoming, small_files_there)
        _check_weights(request, checks, incoming)
        _check_digest(request, manifest_digest(table))
        write_synced(incoming / names.BASE_MANIFEST, manifest_bytes(table))
        fsync_dir(incoming)
        incoming.rename(home)
    except (JobError, OSError):
        shutil.rmtree(incoming, ignore_errors=True)  # models are large, and the volume may just have become full
        raise
    fsync_dir(home.parent)
    return table


def _source_folder(request: BaseImportRequest) -> Path:
    """The folder to copy from: what an image's init container left, or a path on the claim."""
    if request.source.image:
        folder = Path(request.import_path)
        if not folder.is_dir() or not any(folder.iterdir()):
            raise _invalid(f"image {request.source.image} left no files: it must hold the model under /models")
        return folder
    root = Path(request.models_root).resolve()
    path = request.source.path
    if path is None:
        raise JobError(names.BAD_REQUEST, "the base model's source names nothing", ExitCode.BAD_REQUEST)
    folder = (root / path).resolve()
    if not folder.is_relative_to(root):
        raise _invalid(f"source.path {path} leads out of the claim; put the model's folder on the claim itself")
    if not folder.is_dir():
        raise JobError(
            names.BASE_UNAVAILABLE,
            f"the claim holds no folder {path}: check source.path, or put the model there first",
            ExitCode.BAD_INPUT,
        )
    _refuse_links(folder)
    return folder


def _refuse_links(folder: Path) -> None:
    """On the claim a link could point at anything a pod can read."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink():
            raise _invalid(
                f"{path.name} in {folder.name} is a link; only plain files are accepted: copy the folder with `cp -rL`"
            )


def _check_small_files(request: BaseImportRequest, checks: Checks, folder: Path) -> None:
    with _usable(request):
        check_small_files(folder, files_of(folder))
        checks.small_files(folder)


def _check_weights(request: BaseImportRequest, checks: Checks, folder: Path) -> None:
    with _usable(request):
        check_weights(folder, files_of(folder))
        checks.weights(folder)


@contextmanager
def _usable(request: BaseImportRequest) -> Iterator[None]:
    """Say whose files they are that a check refuses."""
    try:
        yield
    except ArtifactError as error:
        raise _invalid(f"{_origin(request)} is no usable model: {error}") from error


def _check_digest(request: BaseImportRequest, digest: str) -> None:
    if request.digest is not None and request.digest != digest:
        raise JobError(
            names.BASE_DIGEST_DIFFERS,
            f"{_origin(request)} has the digest {digest}, but spec.baseModel.digest pins {request.digest}: the source"
            " changed or is another model; pin a commit, or the digest that you trust",
            ExitCode.DIGEST_DIFFERS,
        )


def _origin(request: BaseImportRequest) -> str:
    source = request.source
    if source.hugging_face:
        return f"{source.hugging_face.repo} at {source.hugging_face.revision}"
    return f"image {source.image}" if source.image else f"the folder {source.path} on the claim"


def _difference(manifest: Mapping[str, object], table: FileTable) -> str:
    rows = manifest.get("files")
    then = {row["path"]: row.get("digest") for row in rows} if isinstance(rows, list) else {}
    for name in sorted(then.keys() | table.keys()):
        if name not in table:
            return f"{name} is missing"
        if then.get(name) != table[name][0]:
            return f"{name} differs" if name in then else f"{name} is new"
    return "the manifest itself differs"


def _invalid(sentence: str) -> JobError:
    return JobError(names.BASE_INVALID, sentence, ExitCode.BAD_INPUT)
