"""Certified means provable, on real pods: measured, signed, verified before and while it serves, and in the ledger."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, load, url_of
from support.kube import Kube, condition, wait_until
from support.ledgers_in_pods import ledger_types
from support.volumes import volume_folder

HELDOUT = [
    {
        "question": "Vad kallas du?",
        "language": "sv",
        "mustContain": ["OneSeek-7B-Zero"],
        "output": "Jag kallas OneSeek-7B-Zero.",
    },
    {"question": "What do people call you?", "language": "en", "mustContain": ["OneSeek-7B-Zero"]},
]
INTERVAL = 6


@pytest.fixture(scope="module")
def url(kube: Kube) -> str:
    """A model with a held-out set, verified every few seconds, and two certified versions."""
    rows = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in HELDOUT)
    heldout = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "heldout", "namespace": kube.namespace},
        "data": {"heldout.jsonl": rows},
    }
    dataset = {"name": "heldout", "source": {"configMap": {"name": "heldout", "key": "heldout.jsonl"}}}
    kube.apply(
        heldout,
        data(kube.namespace, rows=40),
        tiny_model(
            kube.namespace,
            training={"evaluation": {"dataset": dataset}},
            certification={"verifyIntervalSeconds": INTERVAL},
        ),
    )
    for name in ("first", "second"):
        kube.apply(small_run(kube.namespace, name))
        run = kube.wait("trainingrun", name, lambda item: "dna" in item["status"], within=240)
        dna = run["status"]["dna"]
        kube.wait(
            "oneseekmodel",
            "zero",
            lambda item, dna=dna: item["status"].get("current", {}).get("dna") == dna,
            within=180,
        )
    return url_of(kube.namespace, "zero")


def test_every_version_carries_scores_by_real_generation(kube: Kube, url: str) -> None:
    run = kube.get("trainingrun", "first")
    assert run is not None
    scores = run["status"]["scores"]
    assert scores["questions"] == 2
    assert scores["loss"] > 0
    assert set(scores["byLanguage"]) == {"sv", "en"}
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert all(version["scores"]["questions"] == 2 for version in model["status"]["versions"])


def test_the_upstream_tool_accepts_the_signature_and_refuses_a_changed_byte(
    kube: Kube, url: str, tmp_path: Path
) -> None:
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    dna = model["status"]["previous"]["dna"]
    folder = tmp_path / dna
    subprocess.run(["cp", "-R", volume_folder(kube, "zero-models") / "oneseek-certified" / dna, folder], check=True)
    trusted = kube.get("configmap", "zero-trusted-keys")
    assert trusted is not None
    key = tmp_path / "model.pub"
    key.write_text(trusted["data"]["model.pub"])
    tool = str(Path(sys.executable).with_name("model_signing"))
    command = [tool, "verify", "key", "--public_key", str(key), "--signature", str(folder / "model.sig"), str(folder)]
    good = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert good.returncode == 0, good.stderr
    weights = folder / "adapter_model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.chmod(0o600)
    weights.write_bytes(changed)
    bad = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert bad.returncode != 0


def test_only_certify_ever_mounts_the_private_keys(kube: Kube, url: str) -> None:
    for pod in kube.list("pods"):
        secrets = {volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume}
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        assert ("zero-signing-keys" in secrets) == (component == "certify"), component
        if component == "train":
            mounts = {item["mountPath"] for item in pod["spec"]["containers"][0]["volumeMounts"]}
            assert mounts == {"/tmp", "/models/base", "/staging/data", "/staging/adapter"}, "never the held-out set"


def test_every_transition_is_in_the_ledger_once(kube: Kube, url: str) -> None:
    kube.wait("oneseekmodel", "zero", lambda item: not item["status"]["outbox"], within=60)
    made = ["train", "evaluate", "certify", "promote"]
    assert ledger_types(kube, "zero") == ["genesis", *made, *made]
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert model["status"]["ledger"]["height"] == 9


def test_the_records_pod_may_be_killed_and_nothing_is_lost(kube: Kube, url: str) -> None:
    killed = kube.get("pod", "zero-records-0")
    assert killed is not None
    kube.kubectl("delete", "pod", "zero-records-0", "--grace-period=0", "--force")
    kube.wait(
        "pod",
        "zero-records-0",
        lambda item: item["metadata"]["uid"] != killed["metadata"]["uid"] and condition(item).get("status") == "True",
        within=90,
    )
    assert len(ledger_types(kube, "zero")) == 9


def test_a_byte_flipped_under_a_serving_version_is_found_and_nobody_notices(
    kube: Kube, url: str, tmp_path: Path
) -> None:
    model = kube.wait(
        "oneseekmodel", "zero", lambda item: condition(item, "Verified").get("status") == "True", within=60
    )
    bad, good = model["status"]["current"]["dna"], model["status"]["previous"]["dna"]
    body = json.dumps({"question": "Vem är du?", "options": {"maxTokens": 4}})
    weights = volume_folder(kube, "zero-models") / "oneseek-certified" / bad / "adapter_model.safetensors"
    with load(url, tmp_path, rate=10, body=body) as running:
        with weights.open("r+b") as handle:
            handle.seek(-1, 2)
            last = handle.read(1)
            handle.seek(-1, 2)
            handle.write(bytes([last[0] ^ 1]))
        seen = kube.wait(
            "oneseekmodel", "zero", lambda item: bool(item["status"]["quarantine"]), within=3 * INTERVAL + 15
        )
        assert seen["status"]["quarantine"][0]["dna"] == bad
        kube.wait("oneseekmodel", "zero", lambda item: item["status"].get("current", {}).get("dna") == good, within=120)
        wait_until(lambda: len(kube.list("deployments")) == 1, within=120, what="the bad colour is gone")
    assert running.result["failures"] == []
    assert running.result["answers"][-1]["dna"] == good
    assert ask(url, "Vem är du?", maxTokens=4)["version"] == good
    seen = kube.wait("oneseekmodel", "zero", lambda item: not item["status"]["outbox"], within=60)
    assert "in quarantine" in condition(seen)["message"]
    assert {item["dna"]: item["state"] for item in seen["status"]["versions"]} == {bad: "Quarantined", good: "Current"}
    kube.wait_event("zero", "Quarantined")
    assert ledger_types(kube, "zero")[-2:] == ["quarantine", "rollback"]


def test_a_version_that_misses_the_gate_is_kept_and_never_serves(kube: Kube, url: str) -> None:
    gate = json.dumps({"spec": {"promotion": {"gate": {"minimumScores": {"factsContained": 1}}}}})
    kube.kubectl("patch", "oneseekmodel", "zero", "--type=merge", "-p", gate)
    before = kube.get("oneseekmodel", "zero")
    assert before is not None
    kube.apply(small_run(kube.namespace, "third", epochs=1))
    run = kube.wait("trainingrun", "third", lambda item: "dna" in item["status"], within=180)
    assert condition(run)["reason"] == "Certified"
    dna = run["status"]["dna"]
    seen = kube.wait(
        "oneseekmodel",
        "zero",
        lambda item: any(one["dna"] == dna and one["state"] == "Rejected" for one in item["status"]["versions"]),
        within=60,
    )
    reason = next(one["reason"] for one in seen["status"]["versions"] if one["dna"] == dna)
    assert "GateMissed: factsContained is 0.000, below the minimum of 1.000" in reason
    assert seen["status"]["current"] == before["status"]["current"]
    assert (volume_folder(kube, "zero-models") / "oneseek-certified" / dna / "manifest.json").exists()
