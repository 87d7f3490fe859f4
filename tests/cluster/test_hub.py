"""A base model and a dataset from a hub: a real pod that speaks the hub's protocol, in the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from support.cluster_objects import ROWS, data, small_run, tiny_model
from support.images import images
from support.kube import ROOT, Kube, condition

HUB = "oneseek-hub"  # the chart's huggingFace.endpoint names this namespace
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


@pytest.fixture
def hub() -> Iterator[Kube]:
    """The hub; a mirror with one model and one dataset."""
    kube = Kube(HUB)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HUB, "labels": labels}})
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    program = (ROOT / "tests/support/hub.py").read_text()
    copy = [
        "sh",
        "-c",
        "mkdir -p /hub/models/team/tiny /hub/datasets/team/rows && cp -R /models/. /hub/models/team/tiny/",
    ]
    serve = "cp /program/rows.jsonl /hub/datasets/team/rows/ && exec python /program/hub.py --root /hub --host 0.0.0.0 --port 8000"
    volume = {"name": "hub", "mountPath": "/hub"}
    pod = {
        "metadata": {"labels": {"app": "hub"}},
        "spec": {
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [
                {
                    "name": "copy",
                    "image": images()["base-tiny"],
                    "command": copy,
                    "volumeMounts": [volume],
                    "securityContext": RESTRICTED,
                }
            ],
            "containers": [
                {
                    "name": "hub",
                    "image": images()["slim"],
                    "command": ["sh", "-c", serve],
                    "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 1},
                    "volumeMounts": [volume, {"name": "program", "mountPath": "/program"}],
                    "securityContext": RESTRICTED,
                }
            ],
            "volumes": [{"name": "hub", "emptyDir": {}}, {"name": "program", "configMap": {"name": "program"}}],
        },
    }
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "program"},
            "data": {"hub.py": program, "rows.jsonl": rows},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "hub"},
            "spec": {"selector": {"app": "hub"}, "ports": [{"port": 8000}]},
        },
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "hub"},
            "spec": {"selector": {"matchLabels": {"app": "hub"}}, "template": pod},
        },
    )
    kube.wait("deployment", "hub", lambda item: item.get("status", {}).get("readyReplicas") == 1, within=60)
    yield kube
    kube.kubectl("delete", "namespace", HUB, "--wait=true", timeout=120)


def test_a_hub_that_is_away_is_named_and_one_that_answers_serves_both(
    kube: Kube, request: pytest.FixtureRequest
) -> None:
    base = {"name": "tiny", "source": {"huggingFace": {"repo": "team/tiny"}}}
    idle = {"replicas": 0}
    kube.apply(tiny_model(kube.namespace, "away", baseModel=base, serving=idle))
    told = kube.wait_reason("oneseekmodel", "away", "BaseModelUnavailable", within=240)
    assert "team/tiny" in told["message"]
    kube.wait_event("away", "BaseModelUnavailable")

    request.getfixturevalue("hub")
    # The message says how to try again; nothing else needs to be done.
    assert "kubectl delete job away-base" in told["message"]
    kube.delete("job", "away-base")
    kube.wait("oneseekmodel", "away", lambda item: "baseModel" in item["status"], within=120)

    kube.apply(data(kube.namespace))
    source = {"huggingFace": {"repo": "team/rows", "file": "rows.jsonl"}}
    kube.apply(small_run(kube.namespace, model="away", epochs=1, datasets=[{"name": "rows_chat", "source": source}]))
    run = kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=150)
    assert ".dsConversational." in run["status"]["dna"]
    assert condition(run)["reason"] == "Certified"
