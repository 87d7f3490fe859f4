"""[I/O] Verify a certified folder, or a base model's: list → manifest → read once, copying → contents → signatures.

`verify_folder` and `verify_base` raise; `verdict` gives the answer as a value. Both serve the init container, the
watching verifier and the plugin.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.files import empty_folder
from oneseek_core.jobs.verify import VerifyReport
from oneseek_runtime.artifact.layout import LOADED, PROOF, PROVENANCE, SIGNATURE
from oneseek_runtime.artifact.signature import Signed
from oneseek_runtime.basemodel.folder import adapter_files, wanted_files
from oneseek_runtime.verify.contents import check_contents, dna_of_folder
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.manifest import check_names, check_present, parse_manifest
from oneseek_runtime.verify.proofs import check_model_signature, check_proof, check_provenance
from oneseek_runtime.verify.reading import LARGEST_HEAD, check_files
from oneseek_runtime.verify.refusal import RefusedError
from oneseek_runtime.verify.tree import Folder

__all__ = ["verdict", "verify_base", "verify_copy", "verify_folder"]


def verdict(check: Callable[[], VerifyReport]) -> VerifyReport:
    """What a check found, refusals as values."""
    try:
        return check()
    except RefusedError as error:
        return VerifyReport(ok=False, reason=error.reason, message=error.message[:2000])


def verify_folder(path: Path, expected: Expected, target: Path | None = None, *, whole: bool = False) -> VerifyReport:
    """Make sure that `path` is the certified version that is expected, and leave what is loaded of it in `target`.

    The source is read once: what was hashed is what was written to `target`, and what every check looked at. `target`
    (emptied first) holds the files of `LOADED`, with `whole` all of the version, or nothing after a refusal.

    Raises:
        RefusedError: with the reason.
        OSError: `target` cannot be written.
    """
    if target is None:
        return _verify(path, expected)
    empty_folder(target)
    try:
        return _verify(path, expected, target, whole=whole)
    except BaseException:
        empty_folder(target)
        raise


def _verify(path: Path, expected: Expected, target: Path | None = None, *, whole: bool = False) -> VerifyReport:
    if expected.require_signature and not expected.trusted.signing:
        raise RefusedError(names.TRUSTED_KEYS_INVALID, "a signature is required, but no EC P-256 key is trusted")
    dna = dna_of_folder(path.name, expected.dna)
    with Folder(path) as folder:
        files, folders = folder.entries()
        manifest = _read_manifest(folder, files)
        table = parse_manifest(manifest, expected.digest)
        check_names(table)
        check_present(table, files, folders, signed=expected.require_signature)
        bundle = folder.read_small(SIGNATURE, LARGEST_HEAD) if SIGNATURE in files else None
        copies = _copies(table, target, whole=whole) if target else {}
        heads = check_files(folder, table, copies=copies)
    metadata = check_contents(dna, table, heads, expected)
    signed_by = None
    if PROOF in table:
        check_proof(heads[PROOF], str(dna), table, expected.trusted, signed=expected.require_signature)
    if bundle is not None and expected.trusted.signing:
        digests = {name: digest for name, (digest, _) in table.items()}
        signed = Signed(str(dna), digests | {names.MANIFEST: digest_bytes(manifest)})
        signed_by = check_model_signature(bundle, signed, expected.trusted)
        check_provenance(heads.get(PROVENANCE, b""), str(dna), table, metadata, expected.trusted)
    if target is not None:
        (target / names.MANIFEST).write_bytes(manifest)
        if whole and bundle is not None:
            (target / SIGNATURE).write_bytes(bundle)
    return VerifyReport(
        ok=True,
        reason=names.ARTIFACT_VERIFIED,
        message=f"{dna} is the version that was certified",
        dna=str(dna),
        digest=digest_bytes(manifest),
        signed_by=signed_by,
        files=len(table),
        bytes=sum(size for _, size in table.values()),
    )


def _copies(table: Collection[str], target: Path, *, whole: bool) -> dict[str, Path]:
    """Where which file is copied; the folders are made."""
    copies = {name: target / name for name in table if whole or name in LOADED}
    for copy in copies.values():
        copy.parent.mkdir(exist_ok=True)
    return copies


def _read_manifest(folder: Folder, files: dict[str, int]) -> bytes:
    if names.MANIFEST not in files:
        raise RefusedError(names.MANIFEST_INVALID, f"there is no {names.MANIFEST}: it was never certified")
    return folder.read_small(names.MANIFEST, LARGEST_HEAD)


def verify_copy(target: Path, digest: str) -> VerifyReport:
    """Make sure that the pod's own copy still holds what was verified into it; `digest` is the version's.

    Raises:
        RefusedError: with the reason.
    """
    with Folder(target) as folder:
        files, _ = folder.entries()
        listed = parse_manifest(_read_manifest(folder, files), digest)
        table = {name: listed[name] for name in LOADED if name in listed}
        for path in sorted(set(files) - set(LOADED)):
            raise RefusedError(names.FILE_UNKNOWN, f"{path} is in the verified copy and was not put there")
        check_files(folder, table, heads=False)
    return VerifyReport(
        ok=True,
        reason=names.ARTIFACT_VERIFIED,
        message="the copy that is loaded holds what was verified",
        digest=digest,
        files=len(table),
        bytes=sum(size for _, size in table.values()),
    )


def verify_base(path: Path, digest: str) -> VerifyReport:
    """Make sure that a base model is the one whose digest was pinned at import.

    Other files may lie beside it (a person may have put the folder there), but none that a loader would read.

    Raises:
        RefusedError: BaseModelDigestDiffers where its manifest is another's; else as `verify_folder`.
    """
    with Folder(path, hard_links=True) as folder:
        files, _ = folder.entries()
        if names.BASE_MANIFEST not in files:
            raise RefusedError(names.MANIFEST_INVALID, f"there is no {names.BASE_MANIFEST}: it was never imported")
        data = folder.read_small(names.BASE_MANIFEST, LARGEST_HEAD)
        if digest_bytes(data) != digest:
            raise RefusedError(
                names.BASE_DIGEST_DIFFERS, f"the base model is {digest_bytes(data)}, but {digest} was pinned"
            )
        table = parse_manifest(data, digest, names.BASE_MANIFEST)
        unknown = set(files) - set(table)
        for name in [*wanted_files(unknown), *adapter_files(unknown)]:
            raise RefusedError(names.FILE_UNKNOWN, f"{name} lies in the base model and was not imported with it")
        check_files(folder, table, heads=False)
    return VerifyReport(
        ok=True,
        reason=names.ARTIFACT_VERIFIED,
        message="the base model is the one that was imported",
        base_digest=digest,
        files=len(table),
        bytes=sum(size for _, size in table.values()),
    )
