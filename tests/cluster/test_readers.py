"""The real kubectl and helm on a real API server: who waits for a model is told the truth."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster_objects import tiny_model
from support.kube import ROOT, Kube, Object, condition

READY = "--for=condition=Ready"


def waits(kube: Kube, name: str, *, within: int, what: str = READY) -> subprocess.CompletedProcess[str]:
    """`kubectl wait` on a model; how it ended."""
    command = [str(kube.kubectl_path), "--kubeconfig", str(kube.kubeconfig), "-n", kube.namespace]
    command += ["wait", what, f"oneseekmodel/{name}", f"--timeout={within}s"]
    return subprocess.run(command, capture_output=True, text=True, timeout=within + 30, check=False)


def answering_pods(kube: Kube) -> list[str]:
    """Serving pods that are ready."""
    return [
        item["metadata"]["name"]
        for item in kube.list("pods", "oneseek.io/colour")
        if any(entry["type"] == "Ready" and entry["status"] == "True" for entry in item["status"].get("conditions", []))
    ]


def test_kubectl_wait_on_a_fresh_model_returns_when_it_answers_and_not_before(kube: Kube) -> None:
    kube.create(tiny_model(kube.namespace))
    at_once = waits(kube, "zero", within=0)
    assert at_once.returncode == 1, "a model of a moment ago is not ready"
    done = waits(kube, "zero", within=180)
    assert done.returncode == 0, done.stderr
    assert answering_pods(kube), "what kubectl calls ready answers"
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert model["status"]["observedGeneration"] == model["metadata"]["generation"]


def test_a_changed_spec_is_not_ready_by_the_verdict_on_the_old_one(kube: Kube) -> None:
    """The operator may be quick; so it is the answer's own generation that must fit, whenever kubectl looks."""
    kube.kubectl("patch", "oneseekmodel", "zero", "--type=merge", "-p", '{"spec":{"promotion":{"keepWarmSeconds":60}}}')
    done = waits(kube, "zero", within=60)
    assert done.returncode == 0, done.stderr
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert condition(model)["observedGeneration"] == model["metadata"]["generation"] >= 2


def test_what_needs_a_person_is_stalled_and_never_ready(kube: Kube) -> None:
    kube.create(tiny_model(kube.namespace, "homeless", storage={"claimName": "not-there"}))
    stalled = waits(kube, "homeless", within=60, what="--for=condition=Stalled")
    assert stalled.returncode == 0, stalled.stderr
    assert waits(kube, "homeless", within=2).returncode == 1
    model = kube.get("oneseekmodel", "homeless")
    assert model is not None
    assert "'not-there'" in condition(model, "Stalled")["message"]
    kube.delete("oneseekmodel", "homeless")


@pytest.fixture
def chart(kube: Kube, tmp_path: Path) -> Iterator[Path]:
    """A team's own chart: one OneSeekModel and nothing else."""
    model: Object = tiny_model(kube.namespace, "charted")
    model["metadata"].pop("namespace")
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: team-model\nversion: 0.1.0\n")
    (tmp_path / "templates/model.yaml").write_text(json.dumps(model))
    yield tmp_path
    helm(kube, "uninstall", "team", "--ignore-not-found", "--wait", "--timeout=120s")


def helm(kube: Kube, *words: str) -> str:
    """Run helm in the namespace."""
    command = [str(ROOT / ".local/bin/helm"), "--kubeconfig", str(kube.kubeconfig), "-n", kube.namespace, *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


def test_a_chart_with_a_model_installs_upgrades_and_goes_with_wait(kube: Kube, chart: Path) -> None:
    """Helm 3 takes custom resources for ready (docs/reference/readers.md), so --wait neither hangs nor promises anything."""
    began = time.monotonic()
    helm(kube, "install", "team", str(chart), "--wait", "--timeout=120s")
    assert time.monotonic() - began < 60, "helm does not wait for what it does not know"
    done = waits(kube, "charted", within=180)
    assert done.returncode == 0, done.stderr
    helm(kube, "upgrade", "team", str(chart), "--wait", "--timeout=120s")
    model = kube.get("oneseekmodel", "charted")
    assert model is not None
    assert condition(model)["status"] == "True", "an upgrade that changes nothing disturbs nothing"
    assert model["metadata"]["generation"] == 1
    helm(kube, "uninstall", "team", "--wait", "--timeout=120s")
    assert kube.get("oneseekmodel", "charted") is None
