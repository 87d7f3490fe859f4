"""The golden containerd root: all images unpacked once, which every cluster's own root then points into.

Layers never change once they are there, so a cluster's root holds a link for each layer's folder (the kernel follows
it when it mounts a container), hard links to the blobs, and copies of the databases: made in milliseconds, where
unpacking takes more than a minute. Removing a layer from a cluster's root removes its link and nothing else. A new
generation is built beside the old one, and an old one goes when no cluster points into it any more.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from oneseek_dev import build, nodeconfigs
from oneseek_dev.console import step
from oneseek_dev.content import key_of
from oneseek_dev.errors import CommandError
from oneseek_dev.images import CATALOGUE
from oneseek_dev.layout import REGISTRY_NAME, cache_folder
from oneseek_dev.locks import locked
from oneseek_dev.processes import Daemon
from oneseek_dev.readiness import wait_until
from oneseek_dev.shell import run, run_logged

_SNAPSHOTTER = "io.containerd.snapshotter.v1.overlayfs"
_MARKER = "oneseek-golden"  # in a cluster's root: the generation that it points into


def _folder() -> Path:
    return cache_folder() / "golden"


def _lock_file() -> Path:
    return cache_folder() / "golden.lock"


def wanted_key() -> str:
    """What the golden root would hold for the sources as they are: the expensive layers of every image."""
    return key_of(*(f"{image.name}={image.dependencies_key()}" for image in CATALOGUE.values()))


def current_key(folder: Path) -> str:
    """The generation in place; empty if there is none."""
    link = folder / "current"
    return link.readlink().name if link.is_symlink() else ""


def clone_to(target: Path) -> None:
    """Afterwards `target` is a containerd root with everything that the golden one has (or empty, without one)."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(_lock_file(), saying="the shared images to be put in place", shared=True):
        part = target.with_name(f".{target.name}.part")
        run(["rm", "-rf", part])
        key = current_key(_folder())
        if key:
            point_into(_folder() / key / "root", part)
            (part / _MARKER).write_text(key)
        else:
            part.mkdir(mode=0o711)
        part.rename(target)


def point_into(source: Path, target: Path) -> None:
    """Make `target` a root of its own whose layers are those of `source`, which stays as it is."""
    target.mkdir(mode=0o711)
    for entry in source.iterdir():
        if entry.name != _SNAPSHOTTER:
            _copy_with_links(entry, target / entry.name)
    layers = target / _SNAPSHOTTER / "snapshots"
    layers.mkdir(parents=True, mode=0o700)
    for layer in (source / _SNAPSHOTTER / "snapshots").iterdir():
        (layers / layer.name).symlink_to(layer)
    shutil.copy2(source / _SNAPSHOTTER / "metadata.db", target / _SNAPSHOTTER / "metadata.db")
    _separate_mutable_files(target)


def _copy_with_links(source: Path, target: Path) -> None:
    try:
        run(["cp", "-al", source, target])
    except CommandError:  # another file system, or one without hard links
        run(["rm", "-rf", target])
        run(["cp", "-a", "--reflink=auto", source, target])


def _separate_mutable_files(root: Path) -> None:
    """Give a root, made with hard links, databases of its own; downloads that never ended are dropped."""
    for database in root.glob("*/*.db"):
        copy = database.with_suffix(".copy")
        shutil.copy2(database, copy)
        copy.replace(database)
    for unfinished in root.glob("*content*/ingest/*"):
        run(["rm", "-rf", unfinished])


def refresh(tags: Mapping[str, str]) -> None:
    """Afterwards the golden root holds every image of the catalogue; nothing happens while its layers are the same."""
    key = wanted_key()
    if current_key(_folder()) == key:
        return
    with locked(cache_folder() / "golden-build.lock", saying="another preparation of the shared images"):
        if current_key(_folder()) == key:
            return
        with step("unpacking the images once for all clusters"):
            _rebuild(key, [CATALOGUE[name].reference(tag) for name, tag in tags.items()])


def _rebuild(key: str, names: list[str]) -> None:
    """Make the generation `key` the current one; one that is still there, for a cluster's sake, is used again."""
    folder = _folder()
    if not (folder / key).exists():
        part = folder / f"{key}.part"
        run(["rm", "-rf", part])
        part.mkdir(parents=True)
        if before := current_key(folder):
            _copy_with_links(folder / before / "root", part / "root")
            _separate_mutable_files(part / "root")
        with build.passing_registry() as address, tempfile.TemporaryDirectory(prefix="oneseek-golden-") as work:
            _pull(part / "root", Path(work), address, names)
        part.rename(folder / key)
    with locked(_lock_file(), saying="clusters that are just starting"):
        link = folder / "current.part"
        link.unlink(missing_ok=True)
        link.symlink_to(key)
        link.replace(folder / "current")
        for unused in unused_generations(folder, cache_folder() / "nodes"):
            run(["rm", "-rf", unused])


def unused_generations(folder: Path, nodes: Path) -> list[Path]:
    """Generations that are not in place and into which no cluster points."""
    used = {marker.read_text() for marker in nodes.glob(f"*/{_MARKER}")} | {current_key(folder)}
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and path.name not in used
    )


def _pull(root: Path, work: Path, address: str, names: list[str]) -> None:
    """Run a containerd on `root` for as long as it takes to pull the images and forget all others."""
    socket = work / "containerd.sock"
    config = work / "containerd.toml"
    config.write_text(nodeconfigs.containerd_config(root=root, state=work / "state", socket=socket))
    hosts = work / "registries" / REGISTRY_NAME
    hosts.mkdir(parents=True)
    (hosts / "hosts.toml").write_text(nodeconfigs.registry_hosts(address))
    daemon = Daemon("containerd", work)
    daemon.start(["containerd", "--config", config])
    try:
        ctr = ["ctr", "--address", str(socket), "--namespace", "k8s.io"]
        wait_until(socket.exists, "containerd to listen", alive=[daemon])
        log = cache_folder() / "logs" / "golden.log"
        for name in names:
            run_logged([*ctr, "images", "pull", "--hosts-dir", hosts.parent, name], log)
        listed = run([*ctr, "images", "list", "--quiet"]).split()
        if stale := [name for name in listed if name not in names]:
            run([*ctr, "images", "remove", "--sync", *stale])
    finally:
        daemon.stop(within=30)
