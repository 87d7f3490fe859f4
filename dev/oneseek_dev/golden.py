"""The golden containerd root: all images unpacked once, from which each cluster's own root is cloned.

Layers and blobs never change once they are there, so a clone shares them by hard links and costs a second instead
of the minute and more that unpacking takes; only the databases are copied. A golden root is built beside the old
one and put in its place by a rename, and no containerd ever runs on the one in place.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from oneseek_dev import build, configs
from oneseek_dev.console import say, step
from oneseek_dev.content import key_of
from oneseek_dev.errors import CommandError
from oneseek_dev.images import CATALOGUE
from oneseek_dev.layout import REGISTRY_NAME, cache_folder
from oneseek_dev.locks import locked
from oneseek_dev.processes import Daemon
from oneseek_dev.readiness import wait_until
from oneseek_dev.shell import run, run_logged

_DATABASES = "*.db"


def _folder() -> Path:
    return cache_folder() / "golden"


def _lock_file() -> Path:
    return cache_folder() / "golden.lock"


def wanted_key() -> str:
    """What the golden root would hold for the sources as they are: the expensive layers of every image."""
    return key_of(*(f"{image.name}={image.dependencies_key()}" for image in CATALOGUE.values()))


def current_key() -> str:
    """What the golden root holds; empty if there is none."""
    try:
        return str(json.loads((_folder() / "images.json").read_text())["key"])
    except (FileNotFoundError, json.JSONDecodeError, KeyError):
        return ""


def clone_to(target: Path) -> None:
    """Afterwards `target` is a containerd root with everything that the golden one has (or empty, without one)."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(_lock_file(), saying="the shared images to be put in place", shared=True):
        source = _folder() / "root"
        part = target.with_name(f".{target.name}.part")
        run(["rm", "-rf", part])
        if source.exists():
            _clone(source, part)
        else:
            part.mkdir(mode=0o711)
        part.rename(target)


def _clone(source: Path, target: Path) -> None:
    try:
        run(["cp", "-al", source, target])
    except CommandError:  # another file system, or one without hard links
        say("    (hard links do not work here: the unpacked images are copied)")
        run(["rm", "-rf", target])
        run(["cp", "-a", "--reflink=auto", source, target])
        return
    for database in target.rglob(_DATABASES):
        if "/snapshots/" in str(database) or database.is_symlink():
            continue
        copy = database.with_suffix(".copy")
        shutil.copy2(database, copy)
        copy.replace(database)
    for unfinished in target.glob("*content*/ingest/*"):
        run(["rm", "-rf", unfinished])


def refresh(tags: Mapping[str, str]) -> None:
    """Afterwards the golden root holds every image of the catalogue; nothing happens while its layers are the same."""
    key = wanted_key()
    if current_key() == key:
        return
    with locked(cache_folder() / "golden-build.lock", saying="another preparation of the shared images"):
        if current_key() == key:
            return
        with step("unpacking the images once for all clusters"):
            _rebuild(key, [CATALOGUE[name].reference(tag) for name, tag in tags.items()])


def _rebuild(key: str, names: list[str]) -> None:
    folder = _folder()
    part = folder.with_name(f"golden-{key}.part")
    run(["rm", "-rf", part])
    part.mkdir(parents=True)
    if (folder / "root").exists():
        _clone(folder / "root", part / "root")
    with build.passing_registry() as address, tempfile.TemporaryDirectory(prefix="oneseek-golden-") as work:
        _pull(part / "root", Path(work), address, names)
    (part / "images.json").write_text(json.dumps({"key": key, "images": names}, indent=1))
    with locked(_lock_file(), saying="clusters to finish copying the shared images"):
        old = folder.with_name("golden.old")
        run(["rm", "-rf", old])
        if folder.exists():
            folder.rename(old)
        part.rename(folder)
    run(["rm", "-rf", old])


def _pull(root: Path, work: Path, address: str, names: list[str]) -> None:
    """Run a containerd on `root` for as long as it takes to pull the images and forget all others."""
    socket = work / "containerd.sock"
    config = work / "containerd.toml"
    config.write_text(configs.containerd_config(root=root, state=work / "state", socket=socket))
    hosts = work / "registries" / REGISTRY_NAME
    hosts.mkdir(parents=True)
    (hosts / "hosts.toml").write_text(configs.registry_hosts(address))
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
