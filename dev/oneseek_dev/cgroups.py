"""The cgroup above one cluster's pods: its own, so that two clusters on one machine never touch each other's."""

import os
import signal
import time
from pathlib import Path

from oneseek_dev.layout import Cluster


def hierarchies() -> list[Path]:
    """Every mounted cgroup hierarchy: many with version 1, one with version 2."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return sorted({Path(fields[1]) for fields in mounts if fields[2] in {"cgroup", "cgroup2"}})


def create(cluster: Cluster) -> None:
    """Afterwards the cluster's cgroup is in every hierarchy, with the controllers that the kubelet wants."""
    for hierarchy in hierarchies():
        folder = hierarchy / cluster.cgroup
        folder.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # version 1: empty means that no process may be in it
            mine, parent = folder / name, hierarchy / name
            if mine.exists() and parent.exists() and not mine.read_text().strip():
                mine.write_text(parent.read_text())
        if (hierarchy / "cgroup.controllers").exists():
            _enable_controllers(hierarchy)
            _enable_controllers(folder)


def _enable_controllers(folder: Path) -> None:
    for controller in (folder / "cgroup.controllers").read_text().split():
        try:
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")
        except OSError:  # one that may not be delegated here; the kubelet says so if it needs it
            continue


def processes(cluster: Cluster) -> set[int]:
    """Every process in the cluster's cgroups: its pods, whoever started them."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for listing in (hierarchy / cluster.cgroup).glob("**/cgroup.procs"):
            try:
                found |= {int(line) for line in listing.read_text().split()}
            except OSError:
                continue
    return found


def remove(cluster: Cluster, *, within: float = 20.0) -> None:
    """Afterwards no process of the cluster's pods is left and its cgroups are gone."""
    deadline = time.monotonic() + within
    while pids := processes(cluster):
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            break
        time.sleep(0.02)
    for hierarchy in hierarchies():
        top = hierarchy / cluster.cgroup
        if not top.exists():
            continue
        folders = [Path(folder) for folder, _, _ in os.walk(top, topdown=False)]
        for folder in folders:
            _remove_folder(folder, deadline)


def _remove_folder(folder: Path, deadline: float) -> None:
    """A cgroup stays busy for a moment after its last process ended."""
    while folder.exists():
        try:
            folder.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
