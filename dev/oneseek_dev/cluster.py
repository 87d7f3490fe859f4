"""Bringing a cluster up: each part is started if it does not run, so `up` also mends what was killed.

Order matters where Kubernetes says so: the controller manager and the scheduler end at once if the API server is
not yet ready to tell them what they may do.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from oneseek_dev import build, cgroups, configs, golden, network, nodeconfigs, pki, tools, volumes
from oneseek_dev.console import step
from oneseek_dev.errors import ProcessEndedError
from oneseek_dev.images import CATALOGUE, PAUSE, named
from oneseek_dev.layout import DNS_SERVICE_IP, REGISTRY_NAME, REGISTRY_PORT, SERVICE_CIDR, Cluster, checkout
from oneseek_dev.locks import locked
from oneseek_dev.processes import Daemon, boot_id
from oneseek_dev.readiness import call, node_is_ready, port_answers, wait_until
from oneseek_dev.shell import run

DAEMONS = (
    "registry",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
    "coredns",
    "recycler",
)
ENFORCER = "policies"  # of NetworkPolicies; only where it was asked for


def daemon(cluster: Cluster, name: str) -> Daemon:
    """One of the cluster's programs."""
    return Daemon(name, cluster.state)


def daemons(cluster: Cluster) -> tuple[str, ...]:
    """The cluster's programs."""
    return (*DAEMONS, ENFORCER) if _enforced(cluster).exists() else DAEMONS


def _enforced(cluster: Cluster) -> Path:
    """The file that says that NetworkPolicies are enforced, until the cluster is removed."""
    return cluster.state / "enforced"


def is_up(cluster: Cluster) -> bool:
    """Whether `up` once came to its end and every program of it still runs."""
    marker = cluster.state / "up"
    if not marker.exists() or marker.read_text() != boot_id():
        return False
    return all(daemon(cluster, name).pid() for name in daemons(cluster))


def lock_file(cluster: Cluster) -> Path:
    """The lock under which this cluster is changed; outside of its state, which `down` removes."""
    return cluster.root / ".local" / f".{cluster.name}.lock"


def up(cluster: Cluster, *, enforce: bool = False) -> None:
    """Afterwards the cluster runs, its node is ready and its DNS answers; NetworkPolicies are enforced if ever asked for."""
    if enforce:
        tools.policies()
        cluster.state.mkdir(parents=True, exist_ok=True)
        _enforced(cluster).touch()
    if is_up(cluster):
        return
    tools.ensure()
    with locked(lock_file(cluster), saying=f"another command on the cluster {cluster.name}"):
        build.ensure([PAUSE.name])
        with step(f"starting the cluster {cluster.name} ({cluster.node_ip})"):
            try:
                _start(cluster)
            except ProcessEndedError:
                # After a `kill -9` one may have looked alive for a moment, or still held its port: once more.
                _start(cluster)


def _start(cluster: Cluster) -> None:
    (cluster.state / "up").unlink(missing_ok=True)
    cluster.runtime.mkdir(parents=True, exist_ok=True)
    network.create(cluster)
    with ThreadPoolExecutor(2) as pool:
        node = pool.submit(_start_containerd, cluster)
        pki.create(cluster)
        _start_control_plane(cluster)
        shutil.copyfile(cluster.pki / "admin.kubeconfig", cluster.kubeconfig)
        cluster.kubeconfig.chmod(0o600)
        if cluster.name == "demo":
            shutil.copyfile(cluster.kubeconfig, checkout() / ".local" / "kubeconfig")
        node.result()
    _start_node(cluster)
    _apply(cluster, [*volumes.manifests(cluster), *_dns_manifests(cluster)])
    python = {"PYTHONPATH": str(checkout() / "dev")}
    recycle = [sys.executable, "-m", "oneseek_dev", "--name", cluster.name, "recycle"]
    daemon(cluster, "recycler").start(recycle, env=python)
    parts = [daemon(cluster, name) for name in DAEMONS]
    wait_until(lambda: node_is_ready(cluster), f"the node {cluster.node_name} to be ready", alive=parts)
    if _enforced(cluster).exists():
        parts.append(_start_enforcer(cluster))
    wait_until(lambda: _has_default_account(cluster), "the namespace `default` to have its account", alive=parts)
    (cluster.state / "up").write_text(boot_id())


def _has_default_account(cluster: Cluster) -> bool:
    """Pods are refused before this account exists."""
    return call(cluster, "GET", "/api/v1/namespaces/default/serviceaccounts/default")[0] == 200


def _write(cluster: Cluster, name: str, text: str) -> Path:
    path = cluster.state / "config" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _program(cluster: Cluster, name: str, arguments: list[str]) -> Daemon:
    """Start one of the Kubernetes programs in the cluster's network."""
    part = daemon(cluster, name)
    part.start([tools.node_folder() / name, *arguments], netns=cluster.netns_path)
    return part


def _start_control_plane(cluster: Cluster) -> None:
    _write(cluster, "audit-policy.yaml", configs.AUDIT_POLICY)
    etcd = _program(cluster, "etcd", configs.etcd(cluster))
    apiserver = _program(cluster, "kube-apiserver", configs.apiserver(cluster))
    what = f"the API server to be ready at {cluster.server}"
    wait_until(lambda: call(cluster, "GET", "/readyz")[0] == 200, what, alive=[etcd, apiserver])
    _program(cluster, "kube-controller-manager", configs.controller_manager(cluster))
    _program(cluster, "kube-scheduler", configs.scheduler(cluster))


def _start_containerd(cluster: Cluster) -> None:
    """The registry, and containerd over a clone of the shared images."""
    address = f"{cluster.host_ip}:{REGISTRY_PORT}"
    build.start_registry(daemon(cluster, "registry"), cluster.state / "config" / "registry.yaml", address)
    golden.clone_to(cluster.containerd_root)
    _write(cluster, "cni/10-oneseek.conflist", nodeconfigs.cni(cluster))
    _write(cluster, f"registries/{REGISTRY_NAME}/hosts.toml", nodeconfigs.registry_hosts(address))
    config = _write(cluster, "containerd.toml", nodeconfigs.containerd(cluster, PAUSE.reference()))
    part = daemon(cluster, "containerd")
    if part.pid() is None:
        cluster.containerd_socket.unlink(missing_ok=True)
    part.start(["containerd", "--config", config], netns=cluster.netns_path)
    wait_until(cluster.containerd_socket.exists, "containerd to listen", alive=[part])
    hand_over(cluster)


def hand_over(cluster: Cluster, tags: Mapping[str, str] | None = None) -> None:
    """Afterwards the cluster's containerd has these images (those of the catalogue that are built, if none are named)."""
    found = tags if tags is not None else {name: image.tag() for name, image in CATALOGUE.items()}
    built = {name: tag for name, tag in found.items() if build.is_there(named(name), tag)}
    build.hand_over(["ctr", "--address", str(cluster.containerd_socket), "--namespace", "k8s.io"], built)


def _start_node(cluster: Cluster) -> None:
    cgroups.create(cluster)
    volumes.create_folders(cluster)
    _write(cluster, "resolv.conf", "")
    _write(cluster, "kubelet.yaml", nodeconfigs.kubelet(cluster))
    proxy = _write(cluster, "kube-proxy.yaml", nodeconfigs.kube_proxy(cluster))
    corefile = _write(cluster, "Corefile", nodeconfigs.corefile(cluster))
    _program(cluster, "kubelet", nodeconfigs.kubelet_arguments(cluster))
    _program(cluster, "kube-proxy", [f"--config={proxy}"])
    coredns = _program(cluster, "coredns", ["-conf", str(corefile)])
    coredns.assert_alive()
    wait_until(lambda: port_answers(f"{cluster.node_ip}:53"), "CoreDNS to listen", alive=[coredns])


def _start_enforcer(cluster: Cluster) -> Daemon:
    """What enforces NetworkPolicies; returns once its chains are there."""
    part = daemon(cluster, ENFORCER)
    arguments = ["-kubeconfig", cluster.pki / "admin.kubeconfig", "-node", cluster.node_name, "-services", SERVICE_CIDR]
    part.start([tools.policies(), *arguments], netns=cluster.netns_path)
    chains: list[str | Path] = ["nsenter", f"--net={cluster.netns_path}", "iptables", "-S", "FORWARD"]
    wait_until(lambda: "KUBE-ROUTER-FORWARD" in run(chains), "NetworkPolicies to be enforced", alive=[part])
    return part


def _dns_manifests(cluster: Cluster) -> list[dict[str, Any]]:
    """The service `kube-dns` without a selector: CoreDNS runs beside the node, not in a pod."""
    ports = [
        {"name": "dns", "protocol": "UDP", "port": 53},
        {"name": "dns-tcp", "protocol": "TCP", "port": 53},
    ]
    meta = {"name": "kube-dns", "namespace": "kube-system"}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": meta,
            "spec": {"clusterIP": DNS_SERVICE_IP, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": "kube-dns"}},
            "addressType": "IPv4",
            "ports": ports,
            "endpoints": [{"addresses": [cluster.node_ip], "conditions": {"ready": True}}],
        },
    ]


def _apply(cluster: Cluster, manifests: list[dict[str, Any]]) -> None:
    kubectl: list[str | Path] = [
        tools.node_folder() / "kubectl",
        "--kubeconfig",
        cluster.kubeconfig,
        "apply",
        "--server-side",
        "--force-conflicts",
    ]
    run([*kubectl, "-f", "-"], stdin="\n---\n".join(json.dumps(item) for item in manifests))
