"""Which attempts there are, and what became of each against a checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["ATTEMPTS", "ROOT", "Attempt", "Outcome", "RefusedError", "make"]

ROOT = Path(__file__).resolve().parents[3]
_HERE = Path(__file__).parent
_SECONDS = 300  # for one group, on a busy machine
_PARTS = ("core", "operator", "runtime", "dev", "tests")


class RefusedError(Exception):
    """The attempt failed; the message says by what it was refused."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt: `group` is the module that makes it, `kept_by` the tests that keep it refused."""

    name: str
    group: str
    finding: str
    tries: str
    kept_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`broken`: neither of both, the attempt itself did not work; `seen` says more."""

    result: Literal["succeeded", "refused", "broken"]
    seen: str


_TENANT = "tests/cluster/test_hostile_tenant.py"
_HOT = "tests/runtime/test_hot_swap.py"
ATTEMPTS = (
    Attempt(
        "error-text",
        "jobs",
        "C1",
        "read the private signing key, named as a hub's `tokenSecret`, in the run's error",
        ("tests/unit/runtime/test_secret_paths.py",),
    ),
    Attempt(
        "drain",
        "pods",
        "H1",
        "drain a serving pod, from a foreign one",
        ("tests/legacy/test_internal_port.py", _TENANT),
    ),
    Attempt(
        "previous",
        "pods",
        "H1",
        "have a stranger's answers shown under a version's DNA (`/internal/previous`)",
        ("tests/legacy/test_internal_port.py", _TENANT),
    ),
    Attempt("swap", "pods", "H1", "choose the version that answers (`/internal/swap`, serial 2^53)", (_HOT, _TENANT)),
    Attempt("unload", "pods", "H1", "unload the adapter at the engine's own port", (_TENANT,)),
    Attempt(
        "olora",
        "pods",
        "M4",
        "rewrite the running base by `init_lora_weights: olora` in a trained adapter",
        (
            "tests/runtime/test_adapter_orders.py",
            "tests/unit/runtime/test_artifact_adapter_config.py",
        ),
    ),
    Attempt(
        "base",
        "pods",
        "M6",
        "change the base model between its verification and the engine's start",
        ("tests/runtime/test_base_swapped.py",),
    ),
    Attempt(
        "service",
        "reconciles",
        "H2",
        "take over and delete somebody's Service by a model of its name",
        (
            "tests/unit/operator/test_ownership.py",
            "tests/cluster/test_names_taken.py",
        ),
    ),
    Attempt(
        "claim",
        "reconciles",
        "H2",
        "delete somebody's PersistentVolumeClaim `NAME-models` by `reclaimPolicy: Delete`",
        (
            "tests/unit/operator/test_ownership.py",
            "tests/cluster/test_names_taken.py",
        ),
    ),
    Attempt(
        "bomb",
        "reconciles",
        "H3",
        "exhaust the operator's memory (limit 512 MiB) by an answer of some 300 KB",
        ("tests/unit/operator/test_pod_http.py",),
    ),
    Attempt(
        "redirect",
        "reconciles",
        "H3",
        "have the operator ask another address, by a redirect",
        ("tests/unit/operator/test_pod_http.py",),
    ),
    Attempt(
        "secret",
        "secrets",
        "H4",
        "have a Secret that one may not read sent to an address of one's own (`externalModels`)",
        ("tests/cluster/test_secrets_named.py",),
    ),
    Attempt(
        "injector",
        "reconciles",
        "H5",
        "have an injector put a foreign container beside the signing keys, by a run's `pod.annotations`",
        ("tests/unit/operator/test_resources_pods.py",),
    ),
    Attempt(
        "ledger",
        "reconciles",
        "M2",
        "put an older copy of the ledger in its place",
        ("tests/unit/operator/test_ledger_witness.py",),
    ),
)


def make(checkout: Path, attempts: Iterable[Attempt] = ATTEMPTS) -> dict[str, Outcome]:
    """Make attempts against a checkout: one process a group, with that checkout's packages and test support."""
    names = {attempt.name for attempt in attempts}
    found: dict[str, Outcome] = {}
    for group in dict.fromkeys(attempt.group for attempt in ATTEMPTS if attempt.name in names):
        wanted = {attempt.name for attempt in ATTEMPTS if attempt.group == group}
        found |= _group(checkout.resolve(), group, wanted)
    return {name: outcome for name, outcome in found.items() if name in names}


def _group(checkout: Path, group: str, wanted: set[str]) -> dict[str, Outcome]:
    paths = os.pathsep.join(str(checkout / part) for part in _PARTS)
    with tempfile.TemporaryDirectory(prefix="oneseek-audit-") as folder:
        done = subprocess.run(
            [sys.executable, "-P", str(_HERE / "child.py"), group, folder],
            env={**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        results = Path(folder) / "outcomes.jsonl"
        lines = results.read_text().splitlines() if results.exists() else []
    found = {one["name"]: Outcome(one["result"], one["seen"]) for one in map(json.loads, lines)}
    missing = Outcome("broken", f"exit code {done.returncode}: {done.stderr[-2000:]}")
    return {name: found.get(name, missing) for name in wanted}
