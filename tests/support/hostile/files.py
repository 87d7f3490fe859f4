"""Bytes, files, links, names and manifests that are not what was certified."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oneseek_core import names
from oneseek_core.digest import canonical_json
from support.certified import edit_json, reseal
from support.hostile.folder import (
    CONFIG,
    WEIGHTS,
    Case,
    Change,
    World,
    flip,
    metadata,
    remove,
    resealed,
    swap,
    unpinned,
    write,
)


def link_to(name: str, target: str) -> Change:
    def change(world: World) -> None:
        (world.folder / name).unlink(missing_ok=True)
        (world.folder / name).symlink_to(target)

    return change


def link_to_same_bytes(world: World) -> None:
    outside = world.home / "outside.safetensors"
    (world.folder / WEIGHTS).rename(outside)
    (world.folder / WEIGHTS).symlink_to(outside)


def folder_link(world: World) -> None:
    (world.folder / "tiny-adapter").rename(world.home / "elsewhere")
    (world.folder / "tiny-adapter").symlink_to(world.home / "elsewhere")


def root_link(world: World) -> None:
    real = world.home / "real"
    world.folder.rename(real)
    world.folder.symlink_to(real)


def hard_link(world: World) -> None:
    (world.home / "other-name").hardlink_to(world.folder / WEIGHTS)


def fifo(world: World) -> None:
    (world.folder / CONFIG).unlink()
    os.mkfifo(world.folder / CONFIG)


def listening_socket(world: World) -> None:
    here = Path.cwd()
    os.chdir(world.folder)  # a socket's path may be 107 bytes long
    try:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind("s")
        listening.close()
    finally:
        os.chdir(here)


def undecodable(world: World) -> None:
    (Path(os.fsdecode(os.fsencode(world.folder) + b"/\xff\xfe"))).write_text("x")


def manifest_rows(change: Callable[[list[dict[str, Any]]], object]) -> Change:
    """Another manifest, without a pinned digest; the signature no longer fits, but names are looked at before."""

    def both(world: World) -> None:
        path = world.folder / "manifest.json"
        value = json.loads(path.read_bytes())
        change(value["files"])
        value["files"].sort(key=lambda row: str(row["path"]))
        path.write_bytes(canonical_json(value) + b"\n")
        world.unpin()

    return both


def named(path: str) -> Change:
    digest = "sha256:" + "0" * 64
    return manifest_rows(lambda rows: rows.append({"path": path, "digest": digest, "size": 1}))


CASES: dict[str, Case] = {
    # bytes
    "weights-byte-flipped": (flip(WEIGHTS), names.FILE_CHANGED),
    "weights-header-flipped": (flip(WEIGHTS, 20), names.FILE_CHANGED),
    "old-readers-weights-flipped": (flip("adapter_model.bin"), names.FILE_CHANGED),
    "nested-weights-flipped": (flip(f"tiny-adapter/{WEIGHTS}", 100), names.FILE_CHANGED),
    "config-flipped": (flip(CONFIG, 5), names.FILE_CHANGED),
    "metadata-flipped": (flip("metadata.json", 9), names.FILE_CHANGED),
    "script-changed": (write("verify_integrity.py", "import os"), names.FILE_CHANGED),
    "weights-cut": (lambda w: os.truncate(w.folder / WEIGHTS, 100), names.FILE_CHANGED),
    "weights-grown": (lambda w: os.truncate(w.folder / WEIGHTS, 4096), names.FILE_CHANGED),
    "weights-swapped-with-another-version": (swap(WEIGHTS), names.FILE_CHANGED),
    "manifest-of-another-version": (swap("manifest.json"), names.ARTIFACT_DIGEST_DIFFERS),
    "manifest-flipped": (flip("manifest.json", 30), names.ARTIFACT_DIGEST_DIFFERS),
    "resealed-with-the-key-but-not-pinned": (
        lambda w: [edit_json(w.folder / "metadata.json", status="failed"), reseal(w.folder, w.keys)],
        names.ARTIFACT_DIGEST_DIFFERS,
    ),
    # files
    "extra-file": (write("extra.txt", "x"), names.FILE_UNKNOWN),
    "extra-dot-file": (write(".hidden", "x"), names.FILE_UNKNOWN),
    "extra-gitattributes": (write(".gitattributes", "x"), names.FILE_UNKNOWN),
    "extra-git-folder": (write(".git/hooks/post-checkout", "x"), names.FILE_UNKNOWN),
    "extra-github-folder": (write(".github/x", "x"), names.FILE_UNKNOWN),
    "extra-empty-folder": (lambda w: (w.folder / "empty").mkdir(), names.FILE_UNKNOWN),
    "extra-python": (write("modeling_evil.py", "x"), names.FILE_UNKNOWN),
    "extra-nested": (write("tiny-adapter/tokenizer_config.json", "{}"), names.FILE_UNKNOWN),
    "extra-file-listed-and-signed": (resealed(write("tokenizer_config.json", "{}")), names.FILE_UNKNOWN),
    "missing-weights": (remove(WEIGHTS), names.FILE_MISSING),
    "missing-config": (remove(CONFIG), names.FILE_MISSING),
    "missing-old-readers-weights": (remove("adapter_model.bin"), names.FILE_MISSING),
    # layouts: old readers' files are all there or none is, even for somebody with the key
    "old-readers-weights-left-out": (resealed(remove("adapter_model.bin")), names.FILE_MISSING),
    "nested-weights-left-out": (resealed(remove(f"tiny-adapter/{WEIGHTS}")), names.FILE_MISSING),
    "nested-config-left-out": (resealed(remove(f"tiny-adapter/{CONFIG}")), names.FILE_MISSING),
    "nested-folder-left-out": (resealed(lambda w: shutil.rmtree(w.folder / "tiny-adapter")), names.FILE_MISSING),
    "nested-folder-of-another-name": (
        resealed(lambda w: (w.folder / "tiny-adapter").rename(w.folder / "other-adapter")),
        names.FILE_MISSING,
    ),
    "nested-folder-twice": (
        resealed(lambda w: shutil.copytree(w.folder / "tiny-adapter", w.folder / "other-adapter")),
        names.FILE_UNKNOWN,
    ),
    "old-readers-files-not-announced": (metadata(adapters=[]), names.FILE_UNKNOWN),
    "another-folder-announced": (metadata(adapters=["other-adapter"]), names.METADATA_INVALID),
    "two-folders-announced": (metadata(adapters=["tiny-adapter", "other-adapter"]), names.METADATA_INVALID),
    "layout-not-said": (metadata(adapters=None), names.METADATA_INVALID),
    "missing-manifest": (remove("manifest.json"), names.MANIFEST_INVALID),
    "missing-metadata-signed": (resealed(remove("metadata.json")), names.FILE_MISSING),
    "missing-folder": (lambda w: shutil.rmtree(w.folder), names.ARTIFACT_MISSING),
    "folder-is-a-file": (
        lambda w: [shutil.rmtree(w.folder), w.folder.write_text("x")],
        names.ARTIFACT_UNREADABLE,
    ),
    # links and special files
    "weights-a-link-to-the-same-bytes": (link_to_same_bytes, names.FILE_NOT_PLAIN),
    "config-a-link-to-a-secret": (link_to(CONFIG, "/etc/passwd"), names.FILE_NOT_PLAIN),
    "dangling-link": (link_to("x", "/nowhere"), names.FILE_NOT_PLAIN),
    "link-to-itself": (link_to("x", "x"), names.FILE_NOT_PLAIN),
    "nested-folder-a-link": (folder_link, names.FILE_NOT_PLAIN),
    "version-a-link": (root_link, names.FILE_NOT_PLAIN),
    "weights-hard-linked": (hard_link, names.FILE_NOT_PLAIN),
    "pipe": (fifo, names.FILE_NOT_PLAIN),
    "socket": (listening_socket, names.FILE_NOT_PLAIN),
    # names
    "manifest-climbs": (named("../evil"), names.FILE_NAME_INVALID),
    "manifest-climbs-in-the-middle": (named("a/../../evil"), names.FILE_NAME_INVALID),
    "manifest-absolute": (named("/etc/passwd"), names.FILE_NAME_INVALID),
    "manifest-backslash": (named("..\\evil"), names.FILE_NAME_INVALID),
    "manifest-empty-name": (named(""), names.FILE_NAME_INVALID),
    "manifest-dot": (named("./adapter_config.json"), names.FILE_NAME_INVALID),
    "manifest-null-byte": (named("a\0b"), names.FILE_NAME_INVALID),
    "manifest-line-end": (named("a\nb"), names.FILE_NAME_INVALID),
    "manifest-right-to-left": (named("a\u202egpj.py"), names.FILE_NAME_INVALID),
    "file-name-with-line-end": (write("a\nb", "x"), names.FILE_NAME_INVALID),
    "file-name-no-utf8": (undecodable, names.FILE_NAME_INVALID),
    # manifests
    "manifest-no-json": (unpinned(write("manifest.json", "{")), names.MANIFEST_INVALID),
    "manifest-a-list": (unpinned(write("manifest.json", "[]")), names.MANIFEST_INVALID),
    "manifest-deep": (unpinned(write("manifest.json", "[" * 200_000)), names.MANIFEST_INVALID),
    "manifest-without-a-file": (manifest_rows(lambda rows: rows.pop()), names.FILE_UNKNOWN),
    "manifest-without-the-config": (manifest_rows(lambda rows: rows.pop(0)), names.FILE_MISSING),
    "manifest-lists-twice": (manifest_rows(lambda rows: rows.append(dict(rows[0]))), names.MANIFEST_INVALID),
    "manifest-negative-size": (manifest_rows(lambda rows: rows[0].update(size=-1)), names.MANIFEST_INVALID),
    "manifest-weak-digest": (manifest_rows(lambda rows: rows[0].update(digest="md5:0")), names.MANIFEST_INVALID),
    "manifest-number-for-a-name": (manifest_rows(lambda rows: rows[0].update(path=7)), names.MANIFEST_INVALID),
}  # fmt: skip
