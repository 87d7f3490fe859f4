"""The golden containerd root: all images unpacked once, which every cluster's own root then points into.

Layers never change once they are there, so a cluster's root holds a link for each layer's folder (the kernel follows
it when it mounts a container), hard links to the blobs, and copies of the databases: made in milliseconds, where
unpacking takes more than a minute. Removing a layer from a cluster's root removes its link and nothing else. A new
generation is built beside the old one, and an old one goes when no cluster points into it any more.
"""

import json
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from oneseek_dev import build, layers, nodeconfigs
from oneseek_dev.console import step
from oneseek_dev.content import key_of
from oneseek_dev.errors import CommandError
from oneseek_dev.images import CATALOGUE
from oneseek_dev.layout import cache_folder
from oneseek_dev.locks import locked
from oneseek_dev.processes import Daemon
from oneseek_dev.readiness import wait_until
from oneseek_dev.shell import run

_SNAPSHOTTER = "io.containerd.snapshotter.v1.overlayfs"
_IMAGES = "images.json"  # in a generation: what it holds
_MARKER = "oneseek-golden"  # in a cluster's root: the generation that it points into


def _folder() -> Path:
    return cache_folder() / "golden"


def _lock_file() -> Path:
    return cache_folder() / "golden.lock"


def wanted(names: Iterable[str]) -> dict[str, str]:
    """What the golden root would hold of these images for the sources as they are: their expensive layers."""
    return {name: CATALOGUE[name].dependencies_key() for name in names}


def current_key(folder: Path) -> str:
    """The generation in place; empty if there is none."""
    link = folder / "current"
    return link.readlink().name if link.is_symlink() else ""


def held(folder: Path) -> dict[str, str]:
    """The images of the generation in place, as in `wanted`."""
    try:
        images: dict[str, str] = json.loads((folder / "current" / _IMAGES).read_text())
    except FileNotFoundError:
        return {}
    return images


def has(names: Iterable[str]) -> bool:
    """Whether the golden root holds these images for the sources as they are."""
    return wanted(names).items() <= held(_folder()).items()


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
    """Afterwards the golden root holds these images; nothing happens while their layers are the same.

    Others of the catalogue that it holds and that are up to date stay.
    """
    if has(tags):
        return
    with locked(cache_folder() / "golden-build.lock", saying="another preparation of the shared images"):
        if has(tags):
            return
        current = wanted(CATALOGUE)
        kept = {name: key for name, key in held(_folder()).items() if key == current.get(name)}
        with step("laying out the images once for all clusters", quiet_below=2):
            _rebuild({**kept, **wanted(tags)}, tags)


def _rebuild(images: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Make the generation with these images the current one; one that is still there is used again."""
    folder = _folder()
    key = key_of(*(f"{name}={layers}" for name, layers in sorted(images.items())))
    if not (folder / key).exists():
        part = folder / f"{key}.part"
        run(["rm", "-rf", part])
        part.mkdir(parents=True)
        if before := current_key(folder):
            _copy_with_links(folder / before / "root", part / "root")
            _separate_mutable_files(part / "root")
        with tempfile.TemporaryDirectory(prefix="oneseek-golden-") as work:
            _take(part / "root", Path(work), images, tags)
        (part / _IMAGES).write_text(json.dumps(images))
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


def _take(root: Path, work: Path, images: Mapping[str, str], tags: Mapping[str, str]) -> None:
    """Run a containerd on `root` for as long as it takes to hand it the images and forget those that are out of date."""
    socket = work / "containerd.sock"
    config = work / "containerd.toml"
    config.write_text(nodeconfigs.containerd_config(root=root, state=work / "state", socket=socket))
    daemon = Daemon("containerd", work)
    daemon.start(["containerd", "--config", config])
    try:
        ctr = ["ctr", "--address", str(socket), "--namespace", "k8s.io"]
        wait_until(socket.exists, "containerd to listen", alive=[daemon])
        build.hand_over(ctr, tags)
        new = {CATALOGUE[name].reference(word) for name, tag in tags.items() for word in (tag, CATALOGUE[name].alias)}
        if stale := [name for name in layers.listed(ctr) if name not in new and not _is_kept(name, images, tags)]:
            run([*ctr, "images", "remove", "--sync", *stale])
    finally:
        daemon.stop(within=30)


def _is_kept(reference: str, images: Mapping[str, str], tags: Mapping[str, str]) -> bool:
    """Whether an image of the generation before stays: up to date, and not among those that are new."""
    name = reference.rpartition(":")[0].rpartition("/")[2]
    return name in images and name not in tags
