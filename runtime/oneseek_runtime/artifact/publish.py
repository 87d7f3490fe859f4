"""[I/O] Publishes an incoming folder as a certified version: everything durable, then one rename."""

from __future__ import annotations

import shutil
from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import digest_bytes, manifest_bytes
from oneseek_core.errors import ArtifactError
from oneseek_core.files import digest_tree, fsync_dir, write_synced
from oneseek_runtime.artifact.layout import SIGNATURE
from oneseek_runtime.artifact.signature import Signed, SigningKeys, check_signature, public_pem, sign

__all__ = ["fresh_folder", "publish", "seal"]


def fresh_folder(certified: Path, run_uid: str) -> Path:
    """Makes an empty `.incoming-<run uid>`.

    Folders of killed attempts are removed, also of other runs: a model has one run at a time.
    """
    for leftover in certified.glob(f"{names.INCOMING_PREFIX}*"):
        shutil.rmtree(leftover)
    incoming = certified / f"{names.INCOMING_PREFIX}{run_uid}"
    incoming.mkdir()
    return incoming


def seal(incoming: Path, name: str, table: dict[str, tuple[str, int]], keys: SigningKeys | None) -> bytes:
    """Signs and publishes the folder under its name; returns its manifest. An existing folder is compared, never replaced.

    `table`: relative path -> (digest, size in bytes) as hashed while writing; the signature is over these digests, so nothing is read
    again. Raises ArtifactError if the existing folder differs or its signature is not ours.
    """
    manifest = manifest_bytes(table)
    home = incoming.with_name(name)
    signed = Signed(
        name, {path: digest for path, (digest, _) in table.items()} | {names.MANIFEST: digest_bytes(manifest)}
    )
    if home.exists():
        _compare(home, manifest, signed, keys)
        shutil.rmtree(incoming)
        return manifest
    write_synced(incoming / names.MANIFEST, manifest)
    if keys:
        write_synced(incoming / SIGNATURE, sign(signed, keys.signing_file))
    publish(incoming, home)
    return manifest


def publish(incoming: Path, home: Path) -> None:
    """Syncs the folders (their files are synced already) and renames the incoming folder."""
    for folder in sorted((path for path in incoming.rglob("*") if path.is_dir()), reverse=True):
        fsync_dir(folder)
    fsync_dir(incoming)
    incoming.rename(home)
    fsync_dir(home.parent)


def _compare(home: Path, manifest: bytes, signed: Signed, keys: SigningKeys | None) -> None:
    try:
        same = (home / names.MANIFEST).read_bytes() == manifest
        table = digest_tree(home)
        bundle = (home / SIGNATURE).read_bytes() if keys else None
    except OSError as error:
        raise ArtifactError(f"{home.name} exists and cannot be read: {error.strerror}") from error
    table.pop(names.MANIFEST, None)
    if bundle is not None and keys:
        table.pop(SIGNATURE, None)
        check_signature(bundle, signed, [public_pem(keys.signing)])
    if not same or manifest_bytes(table) != manifest:
        raise ArtifactError(
            f"{home.name} exists already and holds other files than this run made; a certified folder is never"
            " overwritten: move it away if it is damaged, then retry the run"
        )
