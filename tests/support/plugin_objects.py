"""A cluster for the plugin's tests: objects as an API server returned them, behind a `kubectl` that is a real program.

The program (`plugin_kubectl`) answers `get` from a file of objects, writes annotations and patches into it, has an
operator that answers requests, and runs what `exec` asks for as a process of its own, with the container's environment:
a working simulator, so that what the plugin runs in pods runs here too.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from oneseek_core.ledger import Block, first_block, next_block
from oneseek_core.ledger_entries import query_content
from oneseek_runtime.plugin.__main__ import main
from support.ledgers import transition

_PROGRAM = Path(__file__).with_name("plugin_kubectl.py")
REPOSITORY = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 3, 10, 12, 0, 0, tzinfo=UTC)
ONE = "OneSeek-7B-Zero.v1.0.ensv.dsIdentity.88e5477b.13bb1cd8"
TWO = "OneSeek-7B-Zero.v2.0.ensv.dsCivicID-Identity.0f3c99aa.77d1e2b4"
THREE = "OneSeek-7B-Zero.v3.0.sv.dsIdentity.5ad0c1f2.e09a4471"
DIGESTS = {dna: f"sha256:{index}" + "0" * 63 for index, dna in enumerate((ONE, TWO, THREE), start=1)}
BASE_DIGEST = "sha256:" + "b" * 64


@dataclass
class Cluster:
    """What the simulated kubectl sees, and the plugin run against it."""

    home: Path
    capture: pytest.CaptureFixture[str]
    objects: list[dict[str, Any]] = field(default_factory=list)
    containers: dict[str, dict[str, Any]] = field(default_factory=dict)
    forbidden: list[str] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    posts: dict[str, Any] = field(default_factory=dict)  # path: what the API server answers
    whoami: str | None = "åsa@example.org"
    operator: dict[str, Any] | None = None  # verb: how the operator answers; None: it does not run
    conflicts: int = 0  # so many writes come too late

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """(exit code, stdout, stderr) of `kubectl oneseek ARGUMENTS`."""
        self.save()
        self.capture.readouterr()  # what the test's own preparations said
        code = main(arguments, {**os.environ, "KUBECTL": str(self.program())})
        out, err = self.capture.readouterr()
        self.objects = json.loads((self.home / "cluster.json").read_text())["objects"]
        return code, out, err

    def save(self) -> None:
        """Let the program see the cluster as it is here."""
        told = {name: value for name, value in vars(self).items() if name not in ("home", "capture")}
        written = self.home / "cluster.json.new"
        written.write_text(json.dumps(told))
        written.replace(self.home / "cluster.json")

    def json(self, *arguments: str) -> Any:
        """The document that the plugin prints with `-o json`."""
        return json.loads(self(*arguments, "-o", "json")[1])

    def program(self) -> Path:
        """The executable."""
        path = self.home / "kubectl"
        if not path.exists():
            paths = os.pathsep.join(str(REPOSITORY / part) for part in ("core", "runtime"))
            variables = f"FAKE_CLUSTER='{self.home}/cluster.json' PYTHONPATH='{paths}'"
            path.write_text(f"#!/bin/sh\n{variables} exec '{sys.executable}' -S '{_PROGRAM}' \"$@\"\n")
            path.chmod(0o755)
        return path

    def calls(self) -> list[list[str]]:
        """Every command line that kubectl got."""
        return [json.loads(line) for line in (self.home / "cluster.json.calls").read_text().splitlines()]


def condition(
    kind: str, status: str, reason: str, message: str = "", since: str = "2026-03-10T09:00:00Z"
) -> dict[str, Any]:
    """A condition as the API server returns it."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": since,
        "observedGeneration": 2,
    }


def model(name: str = "demo", namespace: str = "team", **status: Any) -> dict[str, Any]:
    """A model whose second version answers; `status` replaces fields."""
    versions = [
        version(ONE, "Previous", created="2026-03-01T08:00:00Z", facts=0.75, run="identity-1"),
        version(TWO, "Current", created="2026-03-10T08:30:00Z", facts=0.9167, run="civic-1", parent=ONE),
        {
            **version(THREE, "Quarantined", created="2026-03-10T11:00:00Z"),
            "reason": "FileChanged",
        },
    ]
    told = {
        "observedGeneration": 2,
        "conditions": [
            condition("Ready", "True", "Serving", f"{TWO} answers"),
            condition("Verified", "True", "Verified", "what serves is what was certified"),
            condition("RecordsAvailable", "False", "RecordsUnavailable", "the records service does not answer"),
        ],
        "current": {"dna": TWO, "digest": DIGESTS[TWO], "since": "2026-03-10T09:00:00Z"},
        "previous": {"dna": ONE, "digest": DIGESTS[ONE], "since": "2026-03-01T09:00:00Z"},
        "versions": versions,
        "quarantine": [
            {
                "dna": THREE,
                "reason": "FileChanged",
                "message": "adapter_model.safetensors does not hold the bytes that were certified",
                "since": "2026-03-10T11:30:00Z",
            }
        ],
        "baseModel": {"digest": BASE_DIGEST, "sizeBytes": 1},
        "ledger": {"height": 9, "head": "c" * 64},
        "outbox": [],
        "url": "http://demo.team.svc",
        "colour": "1a2b3c4d",
        "replicas": 2,
        "aFieldOfTomorrow": {"nobody": "knows it"},
    }
    return {
        "apiVersion": "oneseek.io/v1alpha1",
        "kind": "OneSeekModel",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": "6f1c",
            "generation": 2,
            "creationTimestamp": "2026-02-28T12:00:00Z",
        },
        "spec": {"family": "OneSeek-7B-Zero", "baseModel": {"name": "SmolLM2-135M-Instruct", "source": {"path": "x"}}},
        "status": {key: value for key, value in (told | status).items() if value is not None},
    }


def version(dna: str, state: str, *, created: str, facts: float | None = None, **more: Any) -> dict[str, Any]:
    """A version in a model's status."""
    scores = {"questions": 24, "factsContained": facts, "exact": 0.5, "byLanguage": {}}
    found = {"dna": dna, "digest": DIGESTS[dna], "type": "Major", "state": state, "createdAt": created, **more}
    if facts is not None:
        found["scores"] = {**scores, "byLanguage": {"sv": {**scores, "questions": 12, "loss": 1.25}}}
        del found["scores"]["byLanguage"]["sv"]["byLanguage"]
    return found


def run(name: str, *, of: str = "demo", namespace: str = "team", **status: Any) -> dict[str, Any]:
    """A run that trains; `status` replaces fields."""
    told = {
        "observedGeneration": 2,
        "conditions": [
            condition("Ready", "False", "Training", "step 48 of 96"),
            condition("Reconciling", "True", "Training", "step 48 of 96"),
        ],
        "progress": {
            "percent": 50,
            "step": 48,
            "steps": 96,
            "epoch": 3,
            "loss": 0.6768,
            "tokensPerSecond": 122.4,
            "etaSeconds": 68,
            "updatedAt": "2026-03-10T11:59:58Z",
        },
        "attempts": 1,
    }
    meta = {"name": name, "namespace": namespace, "generation": 2, "creationTimestamp": "2026-03-10T11:57:00Z"}
    return {
        "apiVersion": "oneseek.io/v1alpha1",
        "kind": "TrainingRun",
        "metadata": meta,
        "spec": {"modelRef": {"name": of}, "type": "Major"},
        "status": told | status,
    }


def colour(name: str, dna: str | None, replicas: int = 2, *, of: str = "demo") -> dict[str, Any]:
    """A colour's Deployment."""
    labels = {"oneseek.io/model": of, "oneseek.io/colour": name}
    meta = {"name": f"{of}-{name}", "namespace": "team", "labels": labels, "annotations": {"oneseek.io/dna": dna or ""}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": {"replicas": replicas}}


def pod(name: str, of_colour: str, *, ready: bool = True, of: str = "demo", **container: Any) -> dict[str, Any]:
    """A pod of a colour; `container` are fields of its engine's status."""
    engine = {"name": "engine", "restartCount": 0, "state": {"running": {}}, **container}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": name,
            "labels": {"oneseek.io/model": of, "oneseek.io/colour": of_colour},
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            "initContainerStatuses": [engine],
            "containerStatuses": [{"name": "sidecar", "restartCount": 0, "state": {"running": {}}}],
        },
    }


STORY: tuple[Mapping[str, Any], ...] = (
    {"type": "certify", "dna": ONE, "timestamp": "2026-03-01T08:00:00.000Z", "reason": "sealed"},
    {"type": "promote", "to": ONE, "timestamp": "2026-03-01T09:00:00.000Z"},
    {"type": "certify", "dna": TWO, "timestamp": "2026-03-02T08:00:00.000Z", "reason": "sealed"},
    {"type": "promote", "to": TWO, "timestamp": "2026-03-02T09:00:00.000Z"},
    {"type": "quarantine", "dna": TWO, "timestamp": "2026-03-02T10:00:00.000Z", "reason": "FileChanged"},
    {
        "type": "rollback",
        "to": ONE,
        "timestamp": "2026-03-02T10:00:00.500Z",
        "reason": "what answered is in quarantine",
    },
    {"type": "promote", "to": THREE, "timestamp": "2026-03-04T09:00:00.000Z"},
    {"type": "reset", "to": None, "timestamp": "2026-03-05T09:00:00.000Z", "reason": "RESET"},
)
"""A model's life: 1, then 2, back to 1, then 3, then the base model again."""


def ledger(story: tuple[Mapping[str, Any], ...] = STORY, *, queries: int = 2) -> list[Block]:
    """The story as a chain, with queries between the transitions."""
    blocks = [first_block("the ledger of team/demo", "2026-03-01T07:00:00.000Z")]
    live: str | None = None
    for number, step in enumerate(story):
        moves = "to" in step
        told = {"from": live, "dna": step.get("to"), "digest": DIGESTS.get(step["to"] or "")} if moves else {}
        automatic = {"name": "oneseek-operator", "verified": True}
        person = {"name": "åsa@example.org", "verified": False}
        actor = person if step["type"] == "reset" else automatic
        entry = transition(
            f"key-{number}", **({"to": None, "reason": "newest certified version", "actor": actor} | told | step)
        )
        at = entry.timestamp or ""
        blocks.append(next_block(blocks[-1], kind=entry.type, content=entry.content(), at=at, happened_at=at))
        live = step["to"] if moves else live
        for query in range(queries):
            content = query_content(f"q-{number}-{query}", "Vem är du?", live)
            blocks.append(next_block(blocks[-1], kind="query", content=content, at=at))
    return blocks
