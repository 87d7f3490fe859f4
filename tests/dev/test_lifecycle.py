"""A whole cluster's life on this machine: up, at work, killed, up again, down, and nothing left.

Needs root and the packages that `oneseek_dev tools` installs; it builds what is not in the cache yet.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from oneseek_dev import build, cgroups, cluster, images, services, teardown, tools
from oneseek_dev.layout import STORAGE_CLASS, TINY_STORAGE_CLASS, Cluster, checkout
from oneseek_dev.processes import start_time
from oneseek_dev.readiness import port_answers, wait_until

HERE = Cluster(checkout(), "lifecycle")
OTHER = Cluster(checkout(), "lifecycle2")
NAMESPACE = "trial"
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
POD_USER = {
    "runAsNonRoot": True,
    "runAsUser": 10001,
    "runAsGroup": 10001,
    "fsGroup": 10001,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def kubectl(*words: str, stdin: str | None = None, which: Cluster = HERE) -> str:
    argv = [str(tools.node_folder() / "kubectl"), "--kubeconfig", str(which.kubeconfig), *words]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stderr
    return done.stdout


def words_of(pid: Path) -> str:
    if start_time(int(pid.name)) is None:  # gone, or a zombie that only waits to be counted
        return ""
    try:
        return (pid / "cmdline").read_text(errors="replace") + (pid / "cgroup").read_text()
    except OSError:
        return ""


def traces(which: Cluster) -> dict[str, set[str]]:
    """Everything on this machine that belongs to the cluster."""
    marks = re.compile(rf"{which.id}|{re.escape(str(which.state))}/|--name\0{which.name}\0recycle")
    processes = {
        entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit() and marks.search(words_of(entry))
    }
    found = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    routes = subprocess.run(["ip", "route", "show", "table", "all"], capture_output=True, text=True, check=True).stdout
    folders = [which.state, which.runtime, which.containerd_root]
    return {
        "processes": processes,
        "mounts": {line for line in Path("/proc/self/mountinfo").read_text().splitlines() if marks.search(line)},
        "cgroups": {str(place / which.cgroup) for place in cgroups.hierarchies() if (place / which.cgroup).exists()},
        "namespaces": {which.netns} if which.netns_path.exists() else set(),
        "links": {line.split(":")[1].strip() for line in found if marks.search(line)},
        "routes": {line for line in routes.splitlines() if which.host_ip in line or which.host_link in line},
        "folders": {str(folder) for folder in folders if folder.exists()},
        "log links": {
            link.name for link in Path("/var/log/containers").glob("*") if marks.search(str(link.readlink()))
        },
    }


def network_namespaces(which: Cluster) -> set[str]:
    """The namespaces of the cluster's pods, as the kernel calls them."""
    pids = cgroups.processes(which)
    return {str(Path(f"/proc/{pid}/ns/net").readlink()) for pid in pids if start_time(pid) is not None}


def mounted_namespaces() -> set[str]:
    """Every network namespace that a mount keeps alive, whoever made it."""
    lines = (line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines())
    return {fields[3] for fields in lines if fields[3].startswith("net:")}


def host_iptables() -> str:
    saved = subprocess.run(["iptables-save"], capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in saved.splitlines() if not line.startswith(("#", ":")))


def job(name: str, script: str, *, claim: str, memory: str = "64Mi") -> dict[str, Any]:
    container = {
        "name": "main",
        "image": images.CATALOGUE["base-tiny"].reference(),
        "command": ["sh", "-c", script],
        "securityContext": RESTRICTED,
        "resources": {"limits": {"memory": memory}},
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}]
    pod = {"restartPolicy": "Never", "securityContext": POD_USER, "containers": [container], "volumes": volumes}
    meta = {"name": name, "namespace": NAMESPACE}
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": spec}


def claim(name: str, storage_class: str) -> dict[str, Any]:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": storage_class,
        "resources": {"requests": {"storage": "1Gi"}},
    }
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def apply(*manifests: dict[str, Any]) -> None:
    kubectl("apply", "-f", "-", stdin="\n---\n".join(json.dumps(item) for item in manifests))


def exit_code(name: str) -> tuple[int, str]:
    """Wait for a Job's only pod to end; returns its exit code and the reason that Kubernetes gives."""
    state: dict[str, Any] = {}

    def ended() -> bool:
        pods = json.loads(kubectl("-n", NAMESPACE, "get", "pods", "-l", f"job-name={name}", "-o", "json"))["items"]
        statuses = [status for pod in pods for status in pod["status"].get("containerStatuses", [])]
        state.update(
            next((status["state"]["terminated"] for status in statuses if "terminated" in status["state"]), {})
        )
        return bool(state)

    wait_until(ended, f"the Job {name} to end", within=60)
    return state["exitCode"], state["reason"]


@pytest.fixture(scope="module")
def running() -> Iterator[Cluster]:
    build.ensure(["pause", "base-tiny"])
    teardown.down(HERE)
    cluster.up(HERE, enforce=True)
    namespace = {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
    yield HERE
    teardown.down(HERE)


def test_a_second_up_returns_at_once(running: Cluster) -> None:
    started = time.monotonic()
    cluster.up(running)
    assert time.monotonic() - started < 1


def test_a_restricted_pod_writes_to_its_claim_as_its_group(running: Cluster) -> None:
    script = "echo kept > /data/file && ls -lnd /data && getent hosts kubernetes.default.svc.cluster.local"
    apply(claim("data", STORAGE_CLASS), job("write", script, claim="data"))
    code, _ = exit_code("write")
    said = kubectl("-n", NAMESPACE, "logs", "job/write")
    assert code == 0, said
    assert "10001" in said
    assert "10.96.0.1" in said


def test_a_pod_beyond_its_memory_limit_is_killed_and_it_says_so(running: Cluster) -> None:
    script = "head -c 200000000 /dev/zero | tail"
    apply(claim("memory", STORAGE_CLASS), job("greedy", script, claim="memory", memory="16Mi"))
    assert exit_code("greedy") == (137, "OOMKilled")


def test_the_tiny_volume_is_really_full_when_it_is_full(running: Cluster) -> None:
    script = "head -c 40000000 /dev/zero > /data/large"
    apply(claim("tiny", TINY_STORAGE_CLASS), job("fill", script, claim="tiny"))
    code, _ = exit_code("fill")
    assert code != 0
    assert "No space left on device" in kubectl("-n", NAMESPACE, "logs", "job/fill")


def test_a_released_volume_is_wiped_and_offered_again(running: Cluster) -> None:
    apply(claim("again", STORAGE_CLASS), job("leave", "echo secret > /data/file", claim="again"))
    assert exit_code("leave")[0] == 0
    name = kubectl("-n", NAMESPACE, "get", "pvc", "again", "-o", "jsonpath={.spec.volumeName}")
    kubectl("-n", NAMESPACE, "delete", "job/leave", "pvc/again", "--wait=false")
    phase = ("get", "pv", name, "-o", "jsonpath={.status.phase}")
    wait_until(lambda: kubectl(*phase) == "Available", f"{name} to be available", within=60)
    assert list((running.volumes / name.removeprefix(f"{running.name}-")).iterdir()) == []


def test_a_service_is_reached_by_name_from_a_pod_and_by_its_node_port_from_here(running: Cluster) -> None:
    server = job("web", "cd /models && exec python3 -m http.server 8080", claim="web")
    server["spec"]["template"]["metadata"] = {"labels": {"app": "web"}}
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"type": "NodePort", "selector": {"app": "web"}, "ports": ports},
    }
    apply(claim("web", STORAGE_CLASS), server, service)
    port = services.node_port(running.kubeconfig, f"{NAMESPACE}/web", "http")
    wait_until(lambda: port_answers(f"{running.node_ip}:{port}"), "the NodePort to answer", within=60)
    url = f"{services.url_of(running.node_ip, port)}/config.json"
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert json.load(answer)["model_type"] == "llama"
    ask = f"import urllib.request as r; r.urlopen('http://web.{NAMESPACE}.svc/config.json', timeout=10)"
    apply(claim("ask", STORAGE_CLASS), job("ask", f'python3 -c "{ask}"', claim="ask"))
    assert exit_code("ask")[0] == 0, kubectl("-n", NAMESPACE, "logs", "job/ask")
    assert kubectl("-n", NAMESPACE, "exec", "job/web", "--", "echo", "inside") == "inside\n"
    kubectl("-n", NAMESPACE, "delete", "job/web", "service/web", "--wait=false")


def test_a_network_policy_keeps_one_pod_from_another(running: Cluster) -> None:
    server = job("fenced", "cd /models && exec python3 -m http.server 8080", claim="fenced")
    server["spec"]["template"]["metadata"] = {"labels": {"app": "fenced"}}
    spec = {"selector": {"app": "fenced"}, "ports": [{"port": 8080}]}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "fenced", "namespace": NAMESPACE},
        "spec": spec,
    }
    connect = "python3 -c \"import socket as s; s.create_connection(('fenced', 8080), 3)\""
    apply(claim("fenced", STORAGE_CLASS), server, service)
    apply(
        claim("open", STORAGE_CLASS),
        job("open", f"for i in $(seq 60); do {connect} && exit 0; sleep 1; done; exit 1", claim="open"),
    )
    assert exit_code("open")[0] == 0, "without a policy it answers"
    policy = {"podSelector": {"matchLabels": {"app": "fenced"}}, "policyTypes": ["Ingress"]}
    meta = {"name": "fenced", "namespace": NAMESPACE}
    apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": meta, "spec": policy})
    shut = f"for i in $(seq 60); do {connect} || exit 0; sleep 1; done; exit 1"
    apply(claim("shut", STORAGE_CLASS), job("shut", shut, claim="shut"))
    assert exit_code("shut")[0] == 0, "with one it does not"
    kubectl("-n", NAMESPACE, "delete", "job/fenced", "service/fenced", "networkpolicy/fenced", "--wait=false")


def test_every_write_is_in_the_audit_log_with_its_author(running: Cluster) -> None:
    kubectl("-n", NAMESPACE, "create", "configmap", "audited")

    def logged() -> bool:
        events = [json.loads(line) for line in running.audit_log.read_text().splitlines() if '"audited"' in line]
        return any((event["verb"], event["user"]["username"]) == ("create", "admin") for event in events)

    wait_until(logged, "the write to be in the audit log", within=10)


def test_two_clusters_run_side_by_side_and_one_going_leaves_the_other(running: Cluster) -> None:
    try:
        cluster.up(OTHER)
        assert "oneseek-lifecycle2" in kubectl("get", "nodes", which=OTHER)
    finally:
        teardown.down(OTHER)
    assert not any(traces(OTHER).values())
    assert cluster.is_up(running)
    apply(claim("beside", STORAGE_CLASS), job("beside", "true", claim="beside"))
    assert exit_code("beside")[0] == 0


def test_up_mends_a_cluster_whose_every_process_was_killed(running: Cluster) -> None:
    apply(claim("held", STORAGE_CLASS), job("sleeper", "sleep 3600", claim="held"))
    kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod", "-l", "job-name=sleeper", "--timeout=60s")
    for pid in traces(running)["processes"]:
        with contextlib.suppress(ProcessLookupError):  # some end because another one did
            os.kill(int(pid), signal.SIGKILL)
    assert not cluster.is_up(running)
    cluster.up(running)
    assert kubectl("-n", NAMESPACE, "get", "configmap", "audited", "-o", "name") == "configmap/audited\n"
    apply(claim("after", STORAGE_CLASS), job("after", "true", claim="after"))
    assert exit_code("after")[0] == 0


def test_down_leaves_nothing_of_a_cluster_at_work(running: Cluster) -> None:
    iptables = host_iptables()
    apply(claim("busy", STORAGE_CLASS), job("busy", "sleep 3600", claim="busy"))
    kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod", "-l", "job-name=busy", "--timeout=60s")
    seen = traces(running)
    assert all(seen.values()), (
        f"the proof below would prove nothing: {[name for name, found in seen.items() if not found]}"
    )
    pods = network_namespaces(running)
    assert pods
    assert pods <= mounted_namespaces()
    os.kill(int(cluster.daemon(running, "containerd").pid() or 0), signal.SIGKILL)  # also without its help
    teardown.down(running)
    assert {name: found for name, found in traces(running).items() if found} == {}
    assert not pods & mounted_namespaces()
    assert host_iptables() == iptables
