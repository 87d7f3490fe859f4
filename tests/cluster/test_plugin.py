"""The plugin as a person runs it: the real program, the real kubectl, real pods."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.kube import Kube, condition
from support.yaml_scalars import MEANINGS

QUESTION = "Vem är du?"


@dataclass(frozen=True)
class Plugin:
    """`kubectl oneseek` in a namespace of the test cluster."""

    kube: Kube

    @contextmanager
    def start(self, *arguments: str, **more: Any) -> Iterator[subprocess.Popen[str]]:
        """The program, running; killed at the end, so that a test which waited in vain fails and does not wait on."""
        flags = ["--kubeconfig", str(self.kube.kubeconfig), "-n", self.kube.namespace]
        command = [sys.executable, "-m", "oneseek_runtime.plugin", *arguments, *flags]
        environment = {**os.environ, "KUBECTL": str(self.kube.kubectl_path)}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=environment, **pipes, **more) as running:
            try:
                yield running
            finally:
                running.kill()

    def __call__(self, *arguments: str, timeout: float = 180) -> tuple[int, str, str]:
        """(exit code, stdout, stderr)."""
        with self.start(*arguments) as running:
            out, err = running.communicate(timeout=timeout)
            return running.returncode, out, err

    def json(self, *arguments: str) -> Any:
        """The document."""
        code, out, err = self(*arguments, "-o", "json")
        assert out, (code, err)
        return json.loads(out)


@dataclass(frozen=True)
class Story:
    """A model with two versions; the second answers."""

    kube: Kube
    plugin: Plugin
    first: str
    second: str

    def current(self) -> str | None:
        """What the status says answers."""
        model = self.kube.get("oneseekmodel", "zero")
        assert model is not None
        found: str | None = (model["status"].get("current") or {}).get("dna")
        return found

    def answers(self, dna: str) -> None:
        """Wait until a version answers and Ready says so."""
        self.kube.wait(
            "oneseekmodel",
            "zero",
            lambda item: (
                (item["status"].get("current") or {}).get("dna") == dna and condition(item)["status"] == "True"
            ),
            within=120,
            what=f"{dna} answers",
        )


@pytest.fixture(scope="module")
def story(kube: Kube) -> Story:
    kube.apply(
        data(kube.namespace, rows=60),
        tiny_model(kube.namespace, promotion={"keepWarmSeconds": 1, "watch": {"seconds": 0}}),
    )
    versions = []
    for name in ("first", "second"):
        kube.apply(small_run(kube.namespace, name))
        run = kube.wait("trainingrun", name, lambda item: "dna" in item["status"], within=240)
        versions.append(run["status"]["dna"])
        told = Story(kube, Plugin(kube), versions[0], versions[-1])
        told.answers(versions[-1])
    return told


def test_status_shows_the_tree_and_a_watch_ends_with_ctrl_c(story: Story) -> None:
    code, out, err = story.plugin("status", "zero")
    assert (code, err) == (0, "")
    assert f"● {story.second}   Current" in out
    assert f"○ {story.first}   Previous" in out
    assert out.count("pod zero-") >= 1
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # so inherits what runs in a shell's background
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with story.plugin.start("status", "zero", "-w", "-o", "json", start_new_session=True) as running:
        assert running.stdout is not None
        assert json.loads(running.stdout.readline())["name"] == "zero"
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: kubectl, too, is told
        assert running.wait(timeout=20) == 130


def test_a_question_is_answered_by_the_version_it_is_put_to(story: Story) -> None:
    found = story.plugin.json("ask", "zero", QUESTION)
    assert (found["version"], found["tokens"] > 0, 0 < found["confidence"] <= 1) == (story.second, True, True)
    assert story.plugin.json("ask", "zero", QUESTION, "--dna", story.second)["version"] == story.second
    assert story.plugin.json("ask", "zero", QUESTION, "--candidate")["reason"] == "NoCandidate"


def test_logs_losses_and_differences_are_told(story: Story) -> None:
    code, out, err = story.plugin("logs", "second", "--step", "train")
    assert (code, err) == (0, "")
    assert any('"step"' in line for line in out.splitlines())
    code, out, _ = story.plugin("plot", "second")
    assert (code, "└" in out) == (0, True)
    code, out, err = story.plugin("diff", "zero", "v1", "v2", "--all")
    assert (code, err) == (0, "")  # no note: the certified metadata was read in a pod
    assert "parameters   lora rank" in out
    assert "data   dataset oneseek_identity_v1" in out


def test_back_released_and_forth_each_with_its_outcome(story: Story) -> None:
    found = story.plugin.json("rollback", "zero")
    assert (found["outcome"], found["dna"]) == ("Succeeded", story.first)
    assert story.current() == story.first
    assert story.plugin.json("ask", "zero", QUESTION)["version"] == story.first
    who = json.loads(story.kube.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    model = story.kube.get("oneseekmodel", "zero")
    assert model is not None
    assert model["status"]["request"]["requestedBy"] == who
    assert "oneseek.io/rollback" not in model["metadata"].get("annotations", {})

    refused = story.plugin.json("promote", "zero", story.second)
    assert (refused["outcome"], refused["reason"]) == ("Refused", "VersionQuarantined")
    code, out, _ = story.plugin("promote", "zero")
    assert (code, "NoCandidate" in out) == (1, True)

    assert story.plugin.json("release", "zero", "v2")["outcome"] == "Succeeded"
    story.answers(story.second)  # the rollback is over: auto takes the newest again
    assert story.plugin.json("promote", "zero", "v1")["dna"] == story.first
    assert story.current() == story.first
    assert story.plugin.json("promote", "zero", "v2")["outcome"] == "Succeeded"
    story.answers(story.second)


def test_what_is_paused_stops_and_what_is_resumed_answers_again(story: Story) -> None:
    found = story.plugin.json("pause", "zero")
    assert (found["outcome"], found["reason"]) == ("Succeeded", "Suspended")
    assert story.plugin.json("resume", "osm/zero")["outcome"] in ("Succeeded", "Pending")
    story.answers(story.second)


def test_a_run_that_did_not_fail_is_not_retried_and_a_reset_needs_its_word(story: Story) -> None:
    assert story.plugin.json("retry", "second")["outcome"] == "Refused"
    assert story.plugin.json("reset", "zero")["reason"] == "NotConfirmed"
    assert story.current() == story.second


@pytest.fixture(scope="module")
def kubectl_reads(kube: Kube) -> dict[str, Any]:
    """What the real kubectl makes of each scalar, without any server."""
    return {text: _read(kube, text) for text in MEANINGS}


def _read(kube: Kube, text: str) -> Any:
    manifest = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  key: {text}\n"
    told = kube.kubectl("label", "--local", "-f", "-", "a=b", "-o", "json", stdin=manifest)
    return json.loads(told)["data"].get("key")


def test_kubectl_reads_scalars_as_the_linter_says(kubectl_reads: dict[str, Any]) -> None:
    assert kubectl_reads == MEANINGS


def test_the_linter_likes_what_the_api_server_takes(kube: Kube, tmp_path: Path) -> None:
    manifests: Sequence[dict[str, Any]] = (tiny_model(kube.namespace, "other"), small_run(kube.namespace, "other"))
    path = tmp_path / "all.json"
    path.write_text("".join(json.dumps(manifest) for manifest in manifests))
    kube.kubectl("create", "--dry-run=server", "--validate=strict", "-f", str(path))
    code, out, err = Plugin(kube)("lint", str(path))
    assert (code, err) == (0, ""), out
