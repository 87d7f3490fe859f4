"""Where the cluster comes from: `CLUSTER=embedded` (our own, the default), `kind`, or `existing`.

They differ in how a cluster starts and how images reach it; everything else is shared.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn, Protocol

from oneseek_dev import build, cluster, golden, teardown, tools
from oneseek_dev.errors import DevError
from oneseek_dev.existing import Existing
from oneseek_dev.images import CATALOGUE, references
from oneseek_dev.kind import Kind
from oneseek_dev.layout import Cluster
from oneseek_dev.services import node_port, url_of


class Backend(Protocol):
    """What every kind of cluster can do."""

    def tools(self) -> None:
        """Install what is needed on this machine."""

    def prepare(self, names: Sequence[str]) -> None:
        """Make what is made before `up`: programs, and these images (all, if none is named) where they are shared."""

    def up(self, *, enforce: bool = False) -> None:
        """Start the cluster; one of our own enforces NetworkPolicies only where that is asked for."""

    def down(self) -> None:
        """Remove the cluster."""

    def status(self) -> tuple[list[str], bool]:
        """What a person wants to know, and whether all is well."""

    def images(self, names: Sequence[str], *, only_print: bool) -> str:
        """Put images within reach of the cluster; returns a JSON map of names to references."""

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""

    def execute(self, words: Sequence[str]) -> NoReturn:
        """Become a command that reaches the cluster."""

    def url(self, service: str, port: str) -> str:
        """The URL of a NodePort service."""


class Embedded:
    """Our own cluster in a network namespace of this machine."""

    def __init__(self, which: Cluster) -> None:
        self._cluster = which

    def tools(self) -> None:
        """Debian packages, and the programs from their Go modules."""
        tools.ensure()

    def prepare(self, names: Sequence[str]) -> None:
        """Programs and images side by side, so that the cluster starts with the images in it."""
        self.images(names, only_print=False)
        tools.ensure()

    def up(self, *, enforce: bool = False) -> None:
        """Start it, or what is missing of it."""
        _require_root()
        cluster.up(self._cluster, enforce=enforce)

    def down(self) -> None:
        """Remove it and everything of it."""
        _require_root()
        teardown.down(self._cluster)

    def status(self) -> tuple[list[str], bool]:
        """One line for each program, then where things are."""
        pids = {name: cluster.daemon(self._cluster, name).pid() for name in cluster.daemons(self._cluster)}
        lines = [f"{name:24} {f'running ({pid})' if pid else 'not running'}" for name, pid in pids.items()]
        lines += [f"{'API server':24} {self._cluster.server}", f"{'kubeconfig':24} {self._cluster.kubeconfig}"]
        lines += [f"{'audit log':24} {self._cluster.audit_log}"]
        return lines, cluster.is_up(self._cluster)

    def images(self, names: Sequence[str], *, only_print: bool) -> str:
        """Build, keep the copy that clusters start from fresh, and hand over to the cluster if it runs."""
        if only_print:
            return json.dumps(references(also=names), indent=1)
        _require_root()
        tags = build.ensure(names or CATALOGUE)
        golden.refresh({name: tag for name, tag in tags.items() if name in CATALOGUE})
        if cluster.is_up(self._cluster):
            cluster.hand_over(self._cluster, tags)
        return json.dumps(references(tags, also=names), indent=1)

    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self._cluster.kubeconfig

    def execute(self, words: Sequence[str]) -> NoReturn:
        """Become a command in the cluster's network namespace."""
        if not self._cluster.netns_path.exists():
            raise DevError(f"The cluster {self._cluster.name} does not run; start it with `up`.")
        _become(["nsenter", f"--net={self._cluster.netns_path}", "--", *words], self._cluster.kubeconfig)

    def url(self, service: str, port: str) -> str:
        """The node's address is reachable from this machine, and from nowhere else."""
        return url_of(self._cluster.node_ip, node_port(self._cluster.kubeconfig, service, port))


def _require_root() -> None:
    if os.geteuid():
        raise DevError("The embedded cluster needs root (network namespaces, mounts, cgroups): run it with sudo.")


def _become(words: Sequence[str], kubeconfig: Path) -> NoReturn:
    path = f"{Path(__file__).resolve().parents[2] / '.local' / 'bin'}:{os.environ.get('PATH', '')}"
    os.execvpe(words[0], list(words), {**os.environ, "KUBECONFIG": str(kubeconfig), "PATH": path})  # noqa: S606


def chosen(environment: Mapping[str, str], which: Cluster) -> Backend:
    """The backend that CLUSTER names."""
    match environment.get("CLUSTER") or "embedded":
        case "embedded":
            return Embedded(which)
        case "kind":
            return Kind(which)
        case "existing":
            return Existing(environment)
        case other:
            raise DevError(f"CLUSTER={other} is not known; use embedded, kind or existing.")
