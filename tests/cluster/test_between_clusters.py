"""A version that was trained and certified in one namespace answers in another, carried as an image; nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, url_of
from support.images import images
from support.kube import Kube, condition, scratch_namespace
from support.layouts import base_layout, push_layout
from support.ledgers_in_pods import ledger_types

Object = dict[str, Any]


@pytest.fixture(scope="module")
def there() -> Iterator[Kube]:
    """The other side: another namespace, which shares nothing with the first."""
    with scratch_namespace("other-side") as kube:
        yield kube


@pytest.fixture(scope="module")
def dna(kube: Kube) -> str:
    """A version that was trained here and answers here."""
    kube.apply(data(kube.namespace), tiny_model(kube.namespace), small_run(kube.namespace))
    run = kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=240)
    found: str = run["status"]["dna"]
    kube.wait("oneseekmodel", "zero", lambda item: current(item) == found, within=180)
    return found


def current(model: Object) -> str | None:
    found: str | None = model["status"].get("current", {}).get("dna")
    return found


def plugin(kube: Kube, *arguments: str) -> tuple[int, str, str]:
    """(exit code, stdout, stderr) of `kubectl oneseek ARGUMENTS` in the namespace."""
    command = [sys.executable, "-m", "oneseek_runtime.plugin", *arguments, "-n", kube.namespace]
    env = os.environ | {"KUBECTL": str(kube.kubectl_path), "KUBECONFIG": str(kube.kubeconfig)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def exported(kube: Kube, dna: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Object]:
    """The version as a layout on top of a small image, and what the plugin said of it."""
    home = tmp_path_factory.mktemp("exported")
    base = base_layout(home / "base")
    code, out, err = plugin(
        kube, "export", "zero", dna, "--to", str(home / "layout"), "--base", str(base), "-o", "json"
    )
    assert code == 0, err
    return home / "layout", json.loads(out)


@pytest.fixture(scope="module")
def trusting(kube: Kube, dna: str) -> Object:
    """What a model elsewhere says to believe this side's signatures."""
    trusted = kube.get("configmap", "zero-trusted-keys")
    assert trusted is not None
    return {"certification": {"trustedKeys": [trusted["data"]["model.pub"]]}}


def helper(kube: Kube, claim: str) -> None:
    """A pod of the user's own that mounts the claim."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "main", "image": images()["slim"], "command": ["sleep", "600"], "securityContext": security,
        "volumeMounts": [{"name": "claim", "mountPath": "/claim"}],
    }  # fmt: skip
    pod_security = {
        "runAsNonRoot": True, "runAsUser": names.USER_ID, "runAsGroup": names.USER_ID, "fsGroup": names.USER_ID,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    spec = {
        "restartPolicy": "Never", "securityContext": pod_security, "containers": [container],
        "terminationGracePeriodSeconds": 0, "volumes": [{"name": "claim", "persistentVolumeClaim": {"claimName": claim}}],
    }  # fmt: skip
    kube.apply(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "helper", "namespace": kube.namespace}, "spec": spec}
    )
    kube.wait("pod", "helper", lambda item: item["status"].get("phase") == "Running", within=60)


def unpack(kube: Kube, layer: Path) -> None:
    """`kubectl exec -i helper -- tar -x -C /claim < LAYER`, as the plugin's help says."""
    command = [str(kube.kubectl_path), "--kubeconfig", str(kube.kubeconfig), "-n", kube.namespace]
    command += ["exec", "-i", "helper", "--", "tar", "-x", "-C", "/claim"]
    with layer.open("rb") as file:
        done = subprocess.run(command, stdin=file, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def imported(model: Object) -> Object:
    return condition(model, names.IMPORTED)


def want(kube: Kube, model: str, **spec: Any) -> None:
    kube.kubectl("patch", "oneseekmodel", model, "--type=merge", "-p", json.dumps({"spec": spec}))


def test_a_tampered_version_is_refused_with_its_reason_and_the_model_goes_on(
    there: Kube, exported: tuple[Path, Object], trusting: Object, dna: str
) -> None:
    layout, said = exported
    path = f"models/{dna}"
    there.apply(tiny_model(there.namespace, imports=[{"path": path}], **trusting))
    missing = there.wait(
        "oneseekmodel", "zero", lambda item: imported(item).get("reason") == names.ARTIFACT_MISSING, within=120
    )
    assert "put the version there first" in imported(missing)["message"]
    helper(there, "zero-models")
    unpack(there, layout / "blobs" / "sha256" / said["layer"].removeprefix("sha256:"))
    flip = (
        f"f = open('/claim/{path}/adapter_model.safetensors', 'r+b'); f.seek(-1, 2); b = f.read(1); f.seek(-1, 2);"
        " f.write(bytes([b[0] ^ 1])); f.close()"
    )
    there.kubectl("exec", "helper", "--", "python", "-c", flip)
    job = imported(missing)["message"].split("kubectl delete job ")[1].split("`")[0]
    there.kubectl("delete", "job", job)
    refused = there.wait(
        "oneseekmodel", "zero", lambda item: imported(item).get("reason") == names.FILE_CHANGED, within=60
    )
    assert "adapter_model.safetensors does not hold the bytes that were certified" in imported(refused)["message"]
    assert refused["status"].get("versions", []) == []
    assert any(reason == names.FILE_CHANGED for reason, _ in there.events("zero"))
    there.wait_reason("oneseekmodel", "zero", names.BASE_SERVING, within=120)
    there.kubectl("exec", "helper", "--", "python", "-c", flip)  # the same bit again: whole
    there.kubectl("delete", "job", job)


def test_the_whole_version_is_taken_in_by_path_and_answers_under_its_name(there: Kube, dna: str) -> None:
    want(there, "zero", version=dna)
    seen = there.wait("oneseekmodel", "zero", lambda item: current(item) == dna, within=180)
    assert imported(seen)["status"] == "True"
    assert [(row["state"], row["dna"]) for row in seen["status"]["imports"]] == [("Imported", dna)]
    answer = ask(url_of(there.namespace, "zero"), "Vem är du?", maxTokens=4)
    assert (answer["version"], answer["header"]) == (dna, dna)
    there.wait("oneseekmodel", "zero", lambda item: not item["status"]["outbox"], within=60)
    assert ledger_types(there, "zero") == ["genesis", "import", "promote"]
    there.wait("oneseekmodel", "zero", lambda item: condition(item, "Verified").get("status") == "True", within=60)
    code, out, err = plugin(there, "verify", "zero", "--deep")
    assert code == 0, out + err


def test_an_image_made_of_the_export_brings_the_same_version(
    there: Kube, exported: tuple[Path, Object], trusting: Object, dna: str
) -> None:
    layout, said = exported
    reference = push_layout(layout, "test-versions", uuid.uuid4().hex[:12])
    there.apply(tiny_model(there.namespace, "by-image", imports=[{"image": reference}], version=dna, **trusting))
    seen = there.wait("oneseekmodel", "by-image", lambda item: current(item) == dna, within=240)
    assert seen["status"]["imports"][0]["source"] == f"image {reference}"
    assert seen["status"]["current"]["digest"] == said["digest"]
    (job,) = [item for item in there.list("jobs") if item["metadata"]["name"].startswith("by-image-import-")]
    spec = job["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert not [volume for volume in spec["volumes"] if "secret" in volume]


def test_a_model_that_does_not_trust_the_key_refuses_the_same_image(there: Kube) -> None:
    model = there.get("oneseekmodel", "by-image")
    assert model is not None
    entry = model["spec"]["imports"][0]
    there.apply(tiny_model(there.namespace, "stranger", imports=[entry]))
    seen = there.wait(
        "oneseekmodel", "stranger", lambda item: imported(item).get("reason") == names.SIGNATURE_UNTRUSTED, within=120
    )
    assert "which is not trusted" in imported(seen)["message"]
    assert seen["status"].get("versions", []) == []
