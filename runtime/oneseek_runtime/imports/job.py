"""[I/O] The import Job, top to bottom: find → verify while copying under a dot name → durable → its own name → index.

Killed at any line and run again it ends the same: the rename is the import, and a version that is there is only looked
at again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.dna import Dna
from oneseek_core.errors import JobError
from oneseek_core.files import fsync_file, regular_files
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.imports import ImportReport, ImportRequest
from oneseek_core.jobs.messages import parse_request
from oneseek_core.names import ExitCode
from oneseek_runtime.artifact.folders import read_certified
from oneseek_runtime.artifact.index import write_index
from oneseek_runtime.artifact.layout import METADATA
from oneseek_runtime.artifact.publish import publish
from oneseek_runtime.imports.source import claimed_dna, version_folder
from oneseek_runtime.log import say
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.folder import verify_folder
from oneseek_runtime.verify.reading import LARGEST_HEAD
from oneseek_runtime.verify.refusal import RefusedError
from oneseek_runtime.verify.tree import Folder
from oneseek_runtime.verify.trust import trusted_keys

__all__ = ["run"]

_OTHER = (names.BASE_DIFFERS, names.FAMILY_DIFFERS, names.ARTIFACT_DIGEST_DIFFERS, names.DNA_DIFFERS)


def run(environment: Mapping[str, str]) -> ImportReport:
    """Have the version that the source holds lie in `oneseek-certified/`, proved, and listed in the index.

    Raises:
        JobError: with the verifier's reason, or why there is nothing to verify; nothing was taken in then.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), ImportRequest)
    certified = Path(request.models_root) / names.CERTIFIED_DIR
    for leftover in certified.glob(f"{names.IMPORT_PREFIX}*"):
        shutil.rmtree(leftover)  # one import at a time: whatever is half-made is nobody's
    try:
        report = _take_in(request, certified)
    except RefusedError as error:
        raise JobError(error.reason, error.message, _exit_code(error.reason)) from error
    write_index(certified)
    say("imported", dna=report.version.dna, digest=report.version.digest, already=report.already)
    return report


def _exit_code(reason: str) -> ExitCode:
    if reason == names.ARTIFACT_UNREADABLE:
        return ExitCode.UNAVAILABLE  # a volume that gives errors may not always do so
    return ExitCode.DIGEST_DIFFERS if reason in _OTHER else ExitCode.BAD_ARTIFACT


def _take_in(request: ImportRequest, certified: Path) -> ImportReport:
    source = version_folder(request)
    dna = claimed_dna(source)
    if dna.family != request.family:
        raise RefusedError(
            names.FAMILY_DIFFERS,
            f"{dna} is a version of the family {dna.family}, but this model's spec.family is {request.family}",
        )
    digest = _digest_of(source)
    _check_known(request, dna, digest)
    home = certified / str(dna)
    if os.path.lexists(home):
        return _look_again(request, home, dna, digest)
    incoming = certified / f"{names.IMPORT_PREFIX}{dna}"
    incoming.mkdir()
    try:
        report = verify_folder(source, _expected(request, dna, digest), incoming, whole=True)
        version = _version(incoming, dna)
        for file in regular_files(incoming):
            fsync_file(file)
        publish(incoming, home)
    except BaseException:
        shutil.rmtree(incoming, ignore_errors=True)  # the volume may just have become full
        raise
    return ImportReport(version=version, signed_by=str(report.signed_by))


def _digest_of(folder: Path) -> str:
    """The digest of the folder's manifest: which version it says it is. The verifier is held to it."""
    with Folder(folder) as held:
        files, _ = held.entries()
        if names.MANIFEST not in files:
            raise RefusedError(names.MANIFEST_INVALID, f"there is no {names.MANIFEST}: it was never certified")
        return digest_bytes(held.read_small(names.MANIFEST, LARGEST_HEAD))


def _check_known(request: ImportRequest, dna: Dna, digest: str) -> None:
    known = request.known.get(str(dna), digest)
    if known != digest:
        raise RefusedError(
            names.ARTIFACT_DIGEST_DIFFERS,
            f"{dna} is known with the digest {known}, this one has {digest}: one name is never given to two versions",
        )


def _look_again(request: ImportRequest, home: Path, dna: Dna, digest: str) -> ImportReport:
    """A version of that name is there: it must be this very one, and whole. It is never overwritten."""
    there = _digest_of(home)
    if there != digest:
        raise RefusedError(
            names.ARTIFACT_DIGEST_DIFFERS,
            f"{names.CERTIFIED_DIR}/{dna} is there with the digest {there}, this one has {digest}; a certified folder is"
            " never overwritten",
        )
    report = verify_folder(home, _expected(request, dna, digest))
    return ImportReport(version=_version(home, dna), signed_by=str(report.signed_by), already=True)


def _expected(request: ImportRequest, dna: Dna, digest: str) -> Expected:
    return Expected(
        dna=str(dna),
        digest=digest,
        trusted=trusted_keys(request.trusted_keys),
        base_name=request.base_name,
        base_digest=request.base_digest,
    )


def _version(folder: Path, dna: Dna) -> CertifiedVersion:
    found = read_certified(folder, str(dna))
    if found is None:
        raise RefusedError(names.METADATA_INVALID, f"{METADATA} has scores or times in a form that nobody can read")
    return found.version
