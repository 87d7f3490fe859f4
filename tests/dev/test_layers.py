"""Layers go from buildah to containerd by hard links: the same tree that containerd would have unpacked, and no second copy."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from oneseek_dev import layers, nodeconfigs
from oneseek_dev.errors import DevError
from oneseek_dev.processes import Daemon
from oneseek_dev.readiness import wait_until
from oneseek_dev.shell import run

NAME, ALIAS = "registry.example/things:1234", "registry.example/things:v1"
LOCAL, BELOW = "localhost/things:latest", "localhost/below:latest"


@pytest.fixture
def ctr(tmp_path: Path) -> Iterator[list[str]]:
    socket, config = tmp_path / "c.sock", tmp_path / "containerd.toml"
    config.write_text(nodeconfigs.containerd_config(root=tmp_path / "root", state=tmp_path / "state", socket=socket))
    daemon = Daemon("containerd", tmp_path)
    daemon.start(["containerd", "--config", config])
    wait_until(socket.exists, "containerd to listen", alive=[daemon])
    yield ["ctr", "--address", str(socket), "--namespace", "k8s.io"]
    daemon.stop(within=30)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """buildah's storage with an image of two layers: links, owners, modes, and what the upper one hides."""
    below = _layer(tmp_path, "scratch", "below")
    (below / "first").mkdir()
    (below / "first" / "kept").write_text("below")
    (below / "first" / "hidden").write_text("below")
    (below / "first" / "removed").write_text("below")
    (below / "replaced").mkdir()
    (below / "replaced" / "old").write_text("below")
    _commit(tmp_path, "below")
    above = _layer(tmp_path, "below", "things")
    (above / "first" / "hidden").write_text("above")
    (above / "first" / "removed").unlink()
    shutil.rmtree(above / "replaced")
    (above / "replaced").mkdir()
    (above / "tool").write_text("#!/bin/true")
    (above / "tool").chmod(0o4755)
    os.link(above / "tool", above / "twin")
    (above / "link").symlink_to("first/kept")
    os.chown(above / "first", 10001, 10001)
    _commit(tmp_path, "things")
    return tmp_path / "store"


def _layer(place: Path, below: str, name: str) -> Path:
    run([*_buildah(place), "from", "--name", name, below])
    return Path(run([*_buildah(place), "mount", name]).strip())


def _commit(place: Path, name: str) -> None:
    run([*_buildah(place), "commit", "--quiet", "--rm", name, name])


def _buildah(place: Path) -> list[str | Path]:
    return ["buildah", "--root", place / "store", "--runroot", place / "run", "--storage-driver", "overlay"]


def _tree(folder: Path) -> dict[str, tuple[object, ...]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        info = path.lstat()
        text = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        hides = path.is_dir() and not path.is_symlink() and "trusted.overlay.opaque" in os.listxattr(path)
        found[str(path.relative_to(folder))] = (stat.filemode(info.st_mode), info.st_uid, info.st_gid, text, hides)
    return found


def _snapshots(ctr: list[str], chain: list[str]) -> list[Path]:
    """The folder of each layer."""
    folders = []
    for number, chain_id in enumerate(chain):
        said = run([*ctr, "snapshots", "view", "--target", "/mnt", f"look-{number}-{os.getpid()}", chain_id])
        folders.append(Path(re.findall(r"(/[^\s,:=]*/snapshots/\d+/fs)", said)[0]))
    return folders


def test_layers_handed_over_are_those_that_containerd_would_have_unpacked(
    ctr: list[str], store: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "layout.tar"
    run([*_buildah(tmp_path), "push", "--quiet", "things", f"oci-archive:{archive}:{NAME}"])
    found = layers.image(store, LOCAL)
    assert found is not None
    chain = layers.chain_ids(json.loads(found[1])["rootfs"]["diff_ids"])
    assert len(chain) == 2

    _layer(tmp_path, "things", "busy")  # another build has its storage mounted meanwhile
    layers.hand_over(ctr, store, LOCAL, [NAME, ALIAS])
    layers.hand_over(ctr, store, LOCAL, [NAME, ALIAS])  # once more changes nothing
    assert layers.listed(ctr).keys() == {NAME, ALIAS}
    run([*_buildah(tmp_path), "rm", "busy"])
    linked = [_tree(folder) for folder in _snapshots(ctr, chain)]
    inodes = {
        path.stat().st_ino for folder in layers.stored(store).values() for path in folder.rglob("*") if path.is_file()
    }
    assert all(
        path.stat().st_ino in inodes
        for folder in (tmp_path / "root").glob("*overlayfs/snapshots/*/fs")
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    listed = run([*ctr, "images", "check", f"name=={NAME}"])
    assert NAME in listed

    other = ["ctr", "--address", ctr[2], "--namespace", "other"]
    run([*other, "images", "import", archive])
    assert [_tree(folder) for folder in _snapshots(other, chain)] == linked
    assert linked[1]["tool"][0] == "-rwsr-xr-x"
    assert linked[1]["first"][1:3] == (10001, 10001)
    assert linked[1]["replaced"][4]  # nothing of the folder below shows through
    assert linked[1]["first/removed"][0] == "c---------"  # how overlayfs hides a file of the layer below

    removed = subprocess.run(
        [*ctr, "images", "remove", "--sync", NAME, ALIAS], capture_output=True, text=True, check=True
    )
    assert NAME in removed.stdout
    assert len(layers.stored(store)) == 2  # buildah's own stay


def test_a_folder_set_aside_is_a_layer_between_those_below_and_those_above(
    ctr: list[str], store: Path, tmp_path: Path
) -> None:
    aside = tmp_path / "aside" / "things-1234"
    (aside / "first").mkdir(parents=True)
    (aside / "first" / "hidden").write_text("aside")
    (aside / "package").write_text("aside")
    layers.hand_over(ctr, store, LOCAL, [NAME], aside=aside, below=BELOW)
    layers.hand_over(ctr, store, LOCAL, [NAME], aside=aside, below=BELOW)
    manifest, config = (json.loads(blob) for blob in _stored(ctr))
    chain = layers.chain_ids(config["rootfs"]["diff_ids"])
    assert len(chain) == len(manifest["layers"]) == 3
    folders = _snapshots(ctr, chain)
    assert [(folder / "first" / "hidden").read_text() for folder in folders] == ["below", "aside", "above"]
    assert (folders[1] / "package").samefile(aside / "package")

    with pytest.raises(DevError, match="has lost a layer of localhost/things:latest"):
        layers.hand_over(ctr, store, LOCAL, [ALIAS], aside=tmp_path / "aside" / "gone", below=BELOW)


def _stored(ctr: list[str]) -> tuple[str, str]:
    """The manifest and the configuration that containerd has for the image."""
    manifest = run([*ctr, "content", "get", layers.listed(ctr)[NAME]])
    return manifest, run([*ctr, "content", "get", json.loads(manifest)["config"]["digest"]])


def test_what_buildah_has_not_or_has_lost_is_told(ctr: list[str], store: Path) -> None:
    with pytest.raises(DevError, match="has no image localhost/other"):
        layers.hand_over(ctr, store, "localhost/other:latest", [NAME])
    for place in layers.stored(store).values():
        shutil.rmtree(place)
    with pytest.raises(DevError, match=r"has lost a layer of localhost/things:latest: run `make clean-cache`"):
        layers.hand_over(ctr, store, LOCAL, [NAME])
