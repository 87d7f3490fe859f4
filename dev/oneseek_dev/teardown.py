"""Taking a cluster down so that nothing of it is left, whatever state its parts are in.

Killing containerd alone would leave its pods, their mounts and their cgroups behind. So: first those who would
start pods again, then the pods by their cgroup, then the shims, and only then mounts, namespace and folders.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from oneseek_dev import cgroups, network
from oneseek_dev.cluster import DAEMONS, ENFORCER, daemon, lock_file
from oneseek_dev.console import step
from oneseek_dev.errors import DevError
from oneseek_dev.layout import Cluster
from oneseek_dev.locks import locked
from oneseek_dev.processes import end_processes, start_time
from oneseek_dev.shell import run

_FIRST = ("recycler", ENFORCER, "kubelet", "kube-controller-manager", "kube-scheduler", "kube-proxy", "coredns")


def down(cluster: Cluster) -> None:
    """Afterwards no process, mount, cgroup, namespace, link, route or file of the cluster is left."""
    if not any(_traces(cluster)):
        return
    waited_for = f"another command on the cluster {cluster.name}"
    with locked(lock_file(cluster), saying=waited_for), step(f"removing the cluster {cluster.name}"):
        _stop(cluster)
    lock_file(cluster).unlink(missing_ok=True)


def _traces(cluster: Cluster) -> list[bool]:
    folders = (cluster.state, cluster.runtime, cluster.containerd_root, cluster.netns_path)
    return [path.exists() for path in folders]


def _stop(cluster: Cluster) -> None:
    (cluster.state / "up").unlink(missing_ok=True)
    _end([daemon(cluster, name).pid() for name in _FIRST])
    for pid in cgroups.processes(cluster):
        _kill(pid)
    _end([daemon(cluster, "containerd").pid()])
    _end(shims(cluster))
    _end([daemon(cluster, name).pid() for name in DAEMONS])  # what they would still write is thrown away
    cgroups.remove(cluster)
    _end(shims(cluster))  # those that a dying shim had just started
    owned = (cluster.state, cluster.runtime, cluster.containerd_root)
    unmount_below(owned)
    network.remove(cluster)
    for link in _dangling_links(cluster):
        link.unlink(missing_ok=True)
    run(["rm", "-rf", "--one-file-system", *owned])
    if cluster.name == "demo":
        (cluster.root / ".local" / "kubeconfig").unlink(missing_ok=True)


def _end(pids: Iterable[int | None]) -> None:
    end_processes({pid: start_time(pid) for pid in pids if pid}, within=1)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def shims(cluster: Cluster) -> list[int]:
    """Containerd's shims that belong to this cluster: those that were told its socket."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        program = Path(words[0]).name
        if program.startswith(("containerd-shim", "runc")) and any(f"{cluster.runtime}/" in word for word in words):
            found.append(int(entry.name))
    return found


def mounts_below(folders: Iterable[Path]) -> list[Path]:
    """Mount points at or below the folders, the deepest first."""
    tops = [str(folder) for folder in folders]
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    points = [point.encode().decode("unicode_escape") if "\\" in point else point for point in points]
    mine = [point for point in points if any(point == top or point.startswith(f"{top}/") for top in tops)]
    return [Path(point) for point in reversed(mine)]  # a mount is listed after the one that it is in


def unmount_below(folders: Iterable[Path], *, within: float = 10.0) -> None:
    """Afterwards nothing is mounted there; raises DevError rather than let anybody delete through a mount."""
    folders = list(folders)
    deadline = time.monotonic() + within
    while points := mounts_below(folders):
        run(["umount", "--lazy", *points], check=False)
        if time.monotonic() > deadline:
            raise DevError(f"{points[0]} cannot be unmounted; see who uses it: `fuser -vm {points[0]}`.")


def _dangling_links(cluster: Cluster) -> list[Path]:
    """The kubelet's links to its pods' logs, in the one folder that it does not let us choose."""
    folder = Path("/var/log/containers")
    mine = str(cluster.state / "pod-logs")
    return [link for link in folder.glob("*.log") if link.is_symlink() and str(link.readlink()).startswith(mine)]
