"""Where everything of one cluster is, and how it is called. Pure: names and addresses, no effects.

All of them derive from the checkout's path and the cluster's name, so that clusters of two checkouts, and the
demo and test clusters of one, run at the same time and never meet.
"""

import hashlib
import ipaddress
import os
import re
from dataclasses import dataclass
from pathlib import Path

from oneseek_dev.errors import DevError

ADDRESSES = ipaddress.ip_network("198.18.0.0/15")  # set aside for tests of network gear: nobody routes it
API_PORT = 6443
REGISTRY_PORT = 5000
REGISTRY_NAME = "registry.oneseek.internal"  # the same in every checkout, so that unpacked images can be shared
POD_CIDR = "10.244.0.0/24"
SERVICE_CIDR = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_SERVICE_IP = "10.96.0.10"
STORAGE_CLASS = "oneseek-local"
TINY_STORAGE_CLASS = "oneseek-tiny"
VOLUME_COUNT = 30


def checkout() -> Path:
    """The root of this checkout."""
    return Path(__file__).resolve().parents[2]


def cache_folder() -> Path:
    """The user's cache: whatever is expensive and the same for every cluster."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "oneseek"


@dataclass(frozen=True, slots=True)
class Cluster:
    """One local cluster: equal checkouts and names give equal values everywhere."""

    root: Path
    name: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,19}", self.name):
            raise DevError(f"The cluster name {self.name!r} will not do: use 1-20 of a-z, 0-9 and -, a letter first.")

    @property
    def digest(self) -> int:
        """The number from which names and addresses derive."""
        return int.from_bytes(hashlib.sha256(f"{self.root}\n{self.name}".encode()).digest()[:8], "big")

    @property
    def id(self) -> str:
        """Eight hexadecimal digits, short enough for a network interface's name."""
        return f"{self.digest:016x}"[:8]

    @property
    def subnet(self) -> ipaddress.IPv4Network:
        """The /30 between the host and the node."""
        count = 2 ** (30 - ADDRESSES.prefixlen)
        first = int(ADDRESSES.network_address) + 4 * (self.digest % count)
        return ipaddress.IPv4Network((first, 30))

    @property
    def host_ip(self) -> str:
        """The host's end; the registry listens there."""
        return str(self.subnet[1])

    @property
    def node_ip(self) -> str:
        """The node's end; the API server and every NodePort listen there."""
        return str(self.subnet[2])

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.node_ip}:{API_PORT}"

    @property
    def netns(self) -> str:
        """The network namespace's name."""
        return f"oneseek-{self.id}"

    @property
    def netns_path(self) -> Path:
        """The network namespace as a file."""
        return Path("/run/netns") / self.netns

    @property
    def host_link(self) -> str:
        """The veth's end on the host."""
        return f"os{self.id}h"

    @property
    def node_link(self) -> str:
        """The veth's end in the namespace."""
        return f"os{self.id}n"

    @property
    def node_name(self) -> str:
        """The node as Kubernetes calls it."""
        return f"oneseek-{self.name}"

    @property
    def cgroup(self) -> str:
        """The cgroup above all of this cluster's pods."""
        return f"oneseek-{self.id}"

    @property
    def state(self) -> Path:
        """Everything that belongs to this cluster and survives a restart of its processes."""
        return self.root / ".local" / self.name

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Every write that the API server was asked for, one JSON object a line."""
        return self.state / "audit.log"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def volumes(self) -> Path:
        """The folders behind the PersistentVolumes."""
        return self.state / "volumes"

    @property
    def runtime(self) -> Path:
        """Sockets and what must not outlive a reboot; short, for a socket's path may have 107 characters."""
        return Path("/run/oneseek") / self.id

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.runtime / "containerd.sock"

    @property
    def containerd_root(self) -> Path:
        """Images and containers; in the cache folder, so that it can share files with the golden one by hard links."""
        return cache_folder() / "nodes" / self.id

    @property
    def kubelet_root(self) -> Path:
        """The kubelet's folder: pods' volumes are mounted below."""
        return self.state / "kubelet"
