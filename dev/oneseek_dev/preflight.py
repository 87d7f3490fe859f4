"""What `make demo`, `cluster`, `test` and `prove` need of this machine, looked at before anything is built.

`python3 -m oneseek_dev.preflight WHAT`. Everything that is missing is told at once, a sentence each, with exit status 2.
What a registry would give is not asked for where it is in the cache already, so a second demo needs no network.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from oneseek_dev import base, build, cgroups, cluster, golden, images, memory, registries, tools
from oneseek_dev.console import say
from oneseek_dev.layout import Cluster, cache_folder, checkout

GIB = 2**30
GOALS = ("demo", "cluster", "test", "prove")
_CAPABILITIES = {  # bits of CapEff, capabilities(7)
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "SETGID": 6,
    "SETUID": 7,
    "NET_ADMIN": 12,
    "SYS_CHROOT": 18,
    "SYS_ADMIN": 21,
    "MKNOD": 27,
}
_CONTROLLERS = ("cpu", "cpuset", "memory", "pids")
_CORES = 2
_MEMORY = 6 * GIB  # Kubernetes' linker takes 3 GiB; a training beside two engines and the cluster takes 5
_MEMORY_BESIDE = 2 * GIB  # for a training in a cluster that runs already
_CACHE_COLD, _CACHE_WARM = 20 * GIB, 2 * GIB
_CHECKOUT = {"demo": 2 * GIB, "cluster": 2 * GIB, "test": 4 * GIB, "prove": 4 * GIB}  # the volumes of its clusters
_VENV = 7 * GIB
_PRIVILEGED = "start it with --privileged if it is a container"
_OTHERWISE = "or name a cluster that you have: CLUSTER=existing"


@dataclass(frozen=True, slots=True)
class Need:
    """What is still to be made, and so what a registry has to give."""

    goal: str
    embedded: bool
    running: bool  # the cluster is up, and has its memory
    programs: bool  # Kubernetes and helm are to be compiled
    images: bool  # what they depend on is to be fetched and built
    base: bool  # the image that Debian's packages go into
    venv: bool
    packages: tuple[str, ...]  # of Debian

    @property
    def registries(self) -> set[str]:
        """Those that are needed."""
        wanted = set[str]()
        if self.programs:
            wanted |= {"Go"} if shutil.which("go") or shutil.which("/usr/local/go/bin/go") else {"Go", "Python"}
        if self.images:
            wanted |= {"Python", "npm"}
        if self.packages or (self.images and self.base):
            wanted.add("Debian")
        if self.venv:
            wanted.add("Python")
        return wanted


def need(goal: str) -> Need:
    """What this goal still needs, by what is in the cache."""
    with_venv = goal in {"test", "prove"}
    embedded = (os.environ.get("CLUSTER") or "embedded") == "embedded"
    try:
        programs = not tools.node_folder().exists()
        names = images.wanted(goal)
        if embedded:  # a change of our own code needs no registry and little room
            missing = not golden.has(names)
        else:
            missing = any(not build.is_there(images.named(name), images.named(name).tag()) for name in names)
        bare = not os.environ.get("ONESEEK_BASE_IMAGE") and not base.is_made()
    except OSError:  # another user's cache
        programs = missing = bare = True
    return Need(
        goal=goal,
        embedded=embedded,
        running=embedded and any(cluster.is_up(Cluster(checkout(), name)) for name in ("demo", "test")),
        programs=programs,
        images=missing,
        base=bare,
        venv=with_venv and not (checkout() / ".venv" / ".installed").exists(),
        packages=tuple(tools.missing_packages()),
    )


def findings(wanted: Need) -> list[str]:
    """Everything that is missing, a sentence each; looked at side by side."""
    looks = [_settings, _room, _memory, _cores, _registries]
    if wanted.embedded:
        looks = [_rights, *looks]
    with ThreadPoolExecutor(len(looks)) as pool:
        return [sentence for found in pool.map(lambda look: list(look(wanted)), looks) for sentence in found]


def _settings(_: Need) -> Iterator[str]:
    match os.environ.get("CLUSTER") or "embedded":
        case "existing":
            if not Path(os.environ.get("KUBECONFIG") or "-").is_file():
                yield "CLUSTER=existing needs KUBECONFIG to name the kubeconfig file of your cluster."
            if not os.environ.get("ONESEEK_REGISTRY"):
                yield "CLUSTER=existing needs ONESEEK_REGISTRY, the place that your cluster pulls the images from."
        case "kind":
            if not shutil.which("kind"):
                yield "CLUSTER=kind needs the program kind: install it, and a container engine."
        case "embedded":
            pass
        case other:
            yield f"CLUSTER={other} is not known: use embedded, kind or existing."


def _rights(_: Need) -> Iterator[str]:
    if os.geteuid():
        yield f"Root is needed (network namespaces, mounts, cgroups): run it with sudo, {_OTHERWISE}."
        return
    held = int(
        next(line for line in _text("/proc/self/status").splitlines() if line.startswith("CapEff")).split()[1], 16
    )
    if lacking := [name for name, bit in _CAPABILITIES.items() if not held >> bit & 1]:
        names = ", ".join(f"CAP_{name}" for name in lacking)
        yield f"This root lacks {names}: {_PRIVILEGED}, {_OTHERWISE}."
        return
    yield from _cgroups()
    yield from _namespaces()


def _cgroups() -> Iterator[str]:
    places = cgroups.hierarchies()
    offered = {name for place in places for name in _text(place / "cgroup.controllers").split()}
    offered |= {place.name for place in places} | {word for place in places for word in place.name.split(",")}
    if lacking := [name for name in _CONTROLLERS if name not in offered]:
        yield (
            f"No cgroup hierarchy with {', '.join(lacking)} is mounted under /sys/fs/cgroup, and the kubelet needs it: "
            f"mount it, {_OTHERWISE}."
        )
    for place in places:
        folder = place / f"oneseek-preflight-{os.getpid()}"
        try:
            folder.mkdir()
            folder.rmdir()
        except OSError as error:
            yield f"No cgroup can be made in {place} ({error.strerror}): {_PRIVILEGED}, {_OTHERWISE}."
            return


def _namespaces() -> Iterator[str]:
    if said := _fails("unshare", "--net", "--mount", "true"):
        yield f"No network namespace can be made ({said}): {_PRIVILEGED}, {_OTHERWISE}."
        return
    if shutil.which("ip") and (
        said := _fails("unshare", "--net", "ip", "link", "add", "name", "v0", "type", "veth", "peer", "name", "v1")
    ):
        yield f"No veth pair can be made ({said}): load the kernel's module veth, {_OTHERWISE}."
    base = _standing(cache_folder())
    try:
        scratch = Path(tempfile.mkdtemp(prefix=".oneseek-preflight-", dir=base))
    except OSError:
        return  # told with the room that is there
    try:
        for name in ("l", "u", "w", "m"):
            (scratch / name).mkdir()
        layers = f"lowerdir={scratch}/l,upperdir={scratch}/u,workdir={scratch}/w"
        if said := _fails("unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", layers, f"{scratch}/m"):
            yield (
                f"No overlay can be mounted on the filesystem of {base} ({said}): set XDG_CACHE_HOME to a folder on "
                "ext4 or xfs, for example a volume of the container."
            )
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _room(wanted: Need) -> Iterator[str]:
    """Room by filesystem: the cache's and the checkout's may be one."""
    asked: dict[int, tuple[Path, int]] = {}
    cache = _CACHE_COLD if wanted.programs or wanted.images else _CACHE_WARM
    here = _CHECKOUT[wanted.goal] + (_VENV if wanted.venv else 0)
    for folder, size, change in ((cache_folder(), cache, "XDG_CACHE_HOME"), (checkout(), here, "")):
        place = _standing(folder)
        if not os.access(place, os.W_OK):
            hint = f"set {change} to a folder of your own" if change else "work in a checkout of your own"
            yield f"{folder} cannot be written to: {hint}."
            continue
        device = place.stat().st_dev
        before = asked.get(device)
        asked[device] = (before[0] if before else place, size + (before[1] if before else 0))
    for place, size in asked.values():
        free = shutil.disk_usage(place).free
        if free < size:
            yield (
                f"{place} has {free / 1e9:.1f} GB of room and this needs {size / 1e9:.0f} GB: make room, "
                "or set XDG_CACHE_HOME to a folder on another disk."
            )


def _memory(wanted: Need) -> Iterator[str]:
    free, limit = memory.free(), memory.limit()
    size = _MEMORY_BESIDE if wanted.running else _MEMORY
    if limit is not None and limit < size:
        yield (
            f"This container may use {limit / 1e9:.1f} GB of memory and {size / 1e9:.0f} GB are needed: "
            "raise its memory limit."
        )
    elif free < size:
        yield (
            f"{free / 1e9:.1f} GB of memory are free and {size / 1e9:.0f} GB are needed: "
            "end something, or use a larger machine."
        )


def _cores(_: Need) -> Iterator[str]:
    cores = len(os.sched_getaffinity(0))
    if cores < _CORES:
        yield f"{cores} core can be used and {_CORES} are needed: the pods of a training ask for more than one has."


def _registries(wanted: Need) -> Iterator[str]:
    for name, reason in registries.silent(wanted.registries, within=1.6).items():
        yield (
            f"The {name} registry {reason}: check the network and proxies, "
            f"or name another in {registries.SETTINGS[name]}."
        )


def _fails(*words: str) -> str:
    """Why a short program failed; "" if it did not, or is not installed yet."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=2)
    except FileNotFoundError:
        return ""
    except subprocess.TimeoutExpired:
        return "it did not end"
    lines = done.stderr.strip().splitlines()
    return (lines[-1] if lines else f"exit status {done.returncode}") if done.returncode else ""


def _standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    for place in (folder, *folder.parents):
        with suppress(OSError):
            if place.is_dir():
                return place
    return Path("/")


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def main() -> int:
    """Look, and say what is missing."""
    goal = sys.argv[1]
    missing = findings(need(goal))
    for sentence in missing:
        say(f"  ✗ {sentence}")
    if missing:
        say(f"`make {goal}` cannot work here; nothing was built.")
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
