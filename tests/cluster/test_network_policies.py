"""The policies on a network that enforces them: what a stranger, a neighbour, a train pod and a sidecar reach.

Each attempt is made once more without the policy that stands in its way: there it succeeds, so it can fail.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from oneseek_core import names
from support.cluster_objects import tiny_model
from support.images import images
from support.kube import Kube, condition, scratch_namespace, wait_until

PUBLIC, INTERNAL = names.PORT_PUBLIC, names.PORT_INTERNAL
ENGINE, VERIFY, RECORDS = names.PORT_ENGINE, names.PORT_VERIFY, names.PORT_RECORDS_TLS
LISTENING = 7777
TRY = """
import json, socket, sys
found = []
for host, port in json.loads(sys.argv[1]):
    try:
        socket.create_connection((host, port), timeout=3).close()
        found.append([host, port])
    except OSError:
        pass
print(json.dumps(found))
"""
LISTEN = (
    f"import http.server as h; h.ThreadingHTTPServer(('', {LISTENING}), h.SimpleHTTPRequestHandler).serve_forever()"
)
Address = tuple[str, int]


def pod(kube: Kube, name: str, **labels: str) -> str:
    """A pod of somebody's own that listens; its address."""
    container = {
        "name": "main", "image": images()["slim"], "command": ["python", "-c", LISTEN],
        "readinessProbe": {"tcpSocket": {"port": LISTENING}, "periodSeconds": 1},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }  # fmt: skip
    user = {"runAsNonRoot": True, "runAsUser": names.USER_ID, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"securityContext": user, "containers": [container], "terminationGracePeriodSeconds": 0}
    meta = {"name": name, "namespace": kube.namespace, "labels": labels}
    kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})
    ready = kube.wait("pod", name, lambda item: condition(item).get("status") == "True", within=120)
    address: str = ready["status"]["podIP"]
    return address


def reached(kube: Kube, name: str, *addresses: Address, container: str = "main") -> set[Address]:
    """Which of these a process in that pod can connect to."""
    said = kube.kubectl("exec", name, "-c", container, "--", "python", "-c", TRY, json.dumps(addresses))
    return {(host, port) for host, port in json.loads(said)}


@pytest.fixture(scope="module")
def stranger() -> Iterator[Kube]:
    """A namespace of somebody else's, with a pod."""
    with scratch_namespace("stranger") as kube:
        pod(kube, "stranger")
        yield kube


def of_component(kube: Kube, component: str) -> dict[str, Any]:
    (found,) = kube.list("pods", f"{names.LABEL_MODEL}=zero,{names.LABEL_COMPONENT}={component}")
    return found


@pytest.fixture(scope="module")
def serving(kube: Kube) -> str:
    """A model whose base answers; the address of its serving pod."""
    kube.apply(tiny_model(kube.namespace))
    kube.wait_reason("oneseekmodel", "zero", names.BASE_SERVING, within=240)
    kube.wait("statefulset", "zero-records", lambda item: item["status"].get("readyReplicas") == 1, within=120)
    address: str = of_component(kube, "serving")["status"]["podIP"]
    return address


@pytest.fixture(scope="module")
def closed(kube: Kube, serving: str) -> set[Address]:
    """What is nobody's but the model's own."""
    records: str = of_component(kube, "records")["status"]["podIP"]
    return {(serving, ENGINE), (serving, INTERNAL), (serving, VERIFY), (records, RECORDS)}


def test_a_stranger_reaches_the_public_port_alone(stranger: Kube, serving: str, closed: set[Address]) -> None:
    assert reached(stranger, "stranger", (serving, PUBLIC), *closed) == {(serving, PUBLIC)}


def test_a_pod_of_the_models_own_namespace_reaches_no_more(kube: Kube, serving: str, closed: set[Address]) -> None:
    pod(kube, "neighbour")
    assert reached(kube, "neighbour", (serving, PUBLIC), *closed) == {(serving, PUBLIC)}


def test_a_train_pod_reaches_nobody_and_nobody_reaches_it(
    kube: Kube, stranger: Kube, serving: str, closed: set[Address]
) -> None:
    own = {names.LABEL_MODEL: "zero", names.LABEL_COMPONENT: "train"}
    train = pod(kube, "train", **own)
    other: str = stranger.get("pod", "stranger")["status"]["podIP"]  # type: ignore[index]
    api = kube.kubectl("exec", "train", "--", "sh", "-c", "echo $KUBERNETES_SERVICE_HOST").strip()
    everybody = [
        (serving, PUBLIC),
        *closed,
        (other, LISTENING),
        (api, 443),
        ("kube-dns.kube-system.svc.cluster.local", 53),
    ]

    def alone() -> bool:
        """A network learns of a new pod in a moment."""
        return not reached(kube, "train", *everybody) and not reached(stranger, "stranger", (train, LISTENING))

    wait_until(alone, within=30, what="the train pod is alone")
    kube.kubectl("label", "pod", "train", f"{names.LABEL_MODEL}-")
    free = {(serving, PUBLIC), (other, LISTENING), (api, 443), everybody[-1]}
    wait_until(lambda: reached(kube, "train", *everybody) == free, within=30, what="without its label it is not")
    assert reached(stranger, "stranger", (train, LISTENING))


def test_a_sidecar_goes_to_the_api_server_and_the_records_and_to_no_stranger(
    kube: Kube, stranger: Kube, closed: set[Address]
) -> None:
    name: str = of_component(kube, "serving")["metadata"]["name"]
    other: str = stranger.get("pod", "stranger")["status"]["podIP"]  # type: ignore[index]
    records = next(address for address in closed if address[1] == RECORDS)
    allowed = {("kubernetes.default.svc.cluster.local", 443), records}
    assert reached(kube, name, *allowed, (other, LISTENING), container="sidecar") == allowed


def test_without_the_policies_the_same_attempts_succeed_and_the_operator_brings_them_back(
    kube: Kube, stranger: Kube, closed: set[Address]
) -> None:
    inside = {address for address in closed if address[1] in (INTERNAL, RECORDS)}
    kube.kubectl("delete", "networkpolicies", "--all")
    wait_until(lambda: reached(stranger, "stranger", *inside) == inside, within=30, what="the ports are open")
    kube.kubectl("annotate", "oneseekmodel", "zero", "looked-at=again")
    wait_until(lambda: not reached(stranger, "stranger", *inside), within=30, what="the policies are back")
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert condition(model)["status"] == "True"


def test_every_namespace_with_pods_enforces_the_restricted_standard(kube: Kube, stranger: Kube, serving: str) -> None:
    found = json.loads(kube.kubectl("get", "pods", "--all-namespaces", "-o", "json"))["items"]
    with_pods = {item["metadata"]["namespace"] for item in found}
    assert {kube.namespace, stranger.namespace, "oneseek-system"} <= with_pods
    levels = {
        item["metadata"]["name"]: item["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        for item in json.loads(kube.kubectl("get", "namespaces", "-o", "json"))["items"]
    }
    assert {name for name in with_pods if levels.get(name, "restricted") != "restricted"} == set()
