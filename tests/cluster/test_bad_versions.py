"""Ten ways for a new version to be bad, on real pods: each time the old one goes on answering, and it is said why.

Base model and versions are put on the claims as files and adopted, and the engine is a small process that serves the
newer version with the fault that its model is called after. So nothing is trained, and several models run side by side.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from support.dev import ask, url_of
from support.kube import Kube, condition, scratch_namespace, wait_until
from support.ledgers_in_pods import ledger_types
from support.volumes import Given, adopting_model, given

QUESTION = "Vem är du?"
CRASH_QUESTION = "Krascha!"  # see the engine
STARTS_WITHIN, ENDS_WITHIN = 240, 240


@dataclass(frozen=True)
class Fault:
    """How the newer version is bad, and what is to be said of it."""

    name: str
    reasons: tuple[str, ...]
    says: str  # a part of the message
    state: str = "Rejected"  # one that never answered; else Quarantined
    deadline: int = 120  # longer than three restarts take, unless the deadline is what ends it
    engine: dict[str, Any] = field(default_factory=dict)


FAULTS = (
    Fault("wrong-hash", ("FileChanged",), "adapter_model.safetensors", state="Quarantined"),
    Fault("empty-answers", ("ProbeFailed",), "got an empty answer"),
    Fault("crash-later", ("EngineFailed", "WatchFailed"), "exited with code 139", state="Quarantined"),
    Fault("crash-at-start", ("EngineFailed", "ProbeFailed"), "no kernel image"),
    Fault(
        "out-of-memory",
        ("OutOfMemory", "ProbeFailed"),
        "memory limit of 64Mi",
        engine={"resources": {"limits": {"memory": "64Mi"}}},
    ),
    Fault("wrong-base", ("BaseModelDiffers",), "was trained on the base model", state="Quarantined"),
    Fault("hang", ("ProbeFailed",), "not proved within 30 s", deadline=30),
    Fault("never-ready", ("ProbeFailed",), "not proved within 30 s", deadline=30),
    Fault("wrong-dna", ("ProbeFailed",), "the engine answered as", deadline=60),
    Fault("slow", ("ProbeFailed",), "not proved within 60 s", deadline=60),
)
# Two cores bear four models with their records, the old version and the new one.
GROUPS = (FAULTS[:3], FAULTS[3:6], FAULTS[6:]) if os.environ.get("ONESEEK_PROVE_COUNT") else (FAULTS[:3],)


@dataclass
class Model:
    """A model whose older version answered when the newer one was let loose; `trouble`: why it did not."""

    found: Given
    before: dict[str, Any] = field(default_factory=dict)
    pod: str = ""
    url: str = ""
    since: float = 0.0
    trouble: str = ""


@dataclass
class Group:
    """Models that run side by side, by the names of their faults."""

    kube: Kube
    models: dict[str, Model]


@pytest.fixture(scope="module")
def group(request: pytest.FixtureRequest) -> Iterator[Group]:
    """A namespace in which the older version of every model answers and Git asks for the newer one."""
    faults: tuple[Fault, ...] = request.param
    with scratch_namespace("bad-versions") as kube, ExitStack() as stack:
        models = {}
        for fault in faults:
            other = fault.name == "wrong-base"
            found = stack.enter_context(given(kube, fault.name, second_on_another_base=other))
            if fault.name == "wrong-hash":
                flip_a_byte(found.folder / "oneseek-certified" / found.second / "adapter_model.safetensors")
            kube.apply(manifest(kube, fault, found, version=found.first))
            models[fault.name] = Model(found)
        for name, model in models.items():
            try:
                old_version_answers(kube, name, model)
            except AssertionError as error:  # that model's test tells it; the others are no worse for it
                model.trouble = str(error)
        for fault in faults:
            models[fault.name].since = time.monotonic()
            kube.apply(manifest(kube, fault, models[fault.name].found, version="auto"))
        yield Group(kube, models)


def manifest(kube: Kube, fault: Fault, found: Given, *, version: str) -> dict[str, Any]:
    """The model as Git has it."""
    watched = fault.name == "crash-later"
    # Errors are not what sends the watched one back here: its crashes are, and meanwhile the old one stays warm.
    watch = {"seconds": 300, "maximumErrorRate": 1} if watched else {"seconds": 5}
    promotion = {"strategy": "BlueGreen", "progressDeadlineSeconds": fault.deadline, "watch": watch}
    return adopting_model(kube, fault.name, found, version=version, promotion=promotion, engine=fault.engine)


def flip_a_byte(path: Path) -> None:
    """Change the last byte of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def old_version_answers(kube: Kube, name: str, model: Model) -> None:
    """Wait until it does; note which pod of which colour that is."""
    model.before = kube.wait(
        "oneseekmodel",
        name,
        lambda item: (
            condition(item).get("status") == "True"
            and item["status"].get("current", {}).get("dna") == model.found.first
        ),
        within=STARTS_WITHIN,
        what=f"Ready, and {model.found.first} current",
    )
    known = {item["dna"] for item in model.before["status"]["versions"]}
    assert known == {model.found.first, model.found.second}, f"the base Job found {known} on the claim"
    model.url = url_of(kube.namespace, name)
    assert ask(model.url, QUESTION)["version"] == model.found.first
    model.pod = only_pod(kube, name, model)["metadata"]["uid"]


def only_pod(kube: Kube, name: str, model: Model) -> dict[str, Any]:
    """The pod of the colour that answered before."""
    colour = model.before["status"]["colour"]
    pods = kube.list("pods", f"oneseek.io/model={name},oneseek.io/colour={colour}")
    assert len(pods) == 1, [pod["metadata"]["name"] for pod in pods]
    return pods[0]


def make_it_crash(url: str) -> None:
    """A question that the newer version's engine does not survive; whatever comes of it."""
    body = json.dumps({"question": CRASH_QUESTION}).encode()
    request = urllib.request.Request(f"{url}/api/oqt/query", body, {"Content-Type": "application/json"})
    with suppress(OSError):  # a refused, reset or silent connection: that is the fault, as an error status is
        try:
            urllib.request.urlopen(request, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()


@pytest.mark.parametrize(
    ("group", "fault"),
    [pytest.param(faults, fault, id=fault.name) for faults in GROUPS for fault in faults],
    indirect=["group"],
    scope="module",
)
def test_a_bad_version_ends_with_the_old_one_answering_and_the_reason_told(group: Group, fault: Fault) -> None:
    kube, name, model = group.kube, fault.name, group.models[fault.name]
    assert not model.trouble, f"the older version never answered: {model.trouble}"
    first, second = model.found.first, model.found.second
    served = fault.name == "crash-later"
    if served:
        kube.wait(
            "oneseekmodel",
            name,
            lambda item: bool(item["status"]["quarantine"]) or item["status"].get("current", {}).get("dna") == second,
            within=ENDS_WITHIN,
            what=f"{second} takes over",
        )

    def given_up(item: dict[str, Any]) -> bool:
        if served:
            make_it_crash(model.url)
        else:
            answer = ask(model.url, QUESTION)
            assert answer["version"] == answer["header"] == first, f"meanwhile {answer['version']} answered"
        return bool(item["status"]["quarantine"])

    kube.wait("oneseekmodel", name, given_up, within=ENDS_WITHIN, what=f"{second} is in quarantine")
    took = time.monotonic() - model.since
    seen = kube.wait(
        "oneseekmodel",
        name,
        lambda item: (
            condition(item)["status"] == "True"
            and item["status"].get("current", {}).get("dna") == first
            and "candidate" not in item["status"]
            and not item["status"].get("outbox")
        ),
        within=90,
        what=f"Ready with {first} current, and every transition in the ledger",
    )
    status = seen["status"]

    wait_until(lambda: ask(model.url, QUESTION)["header"] == first, within=10, what=f"{first} answers")
    pod = only_pod(kube, name, model)
    assert pod["metadata"]["uid"] == model.pod, "the old version's pod is another one"
    statuses = [*pod["status"]["containerStatuses"], *pod["status"]["initContainerStatuses"]]
    assert {item["name"]: item["restartCount"] for item in statuses if item["restartCount"]} == {}

    (entry,) = status["quarantine"]
    assert entry["dna"] == second
    assert entry["reason"] in fault.reasons, entry
    assert fault.says in entry["message"], entry
    states = {item["dna"]: item["state"] for item in status["versions"]}
    assert states == {first: "Current", second: fault.state}, status["versions"]
    reason = next(item["reason"] for item in status["versions"] if item["dna"] == second)
    assert reason.startswith(f"{entry['reason']}: "), reason
    assert f"{second} ({entry['reason']})" in condition(seen)["message"]

    kube.wait_event(name, fault.state, second, entry["reason"], within=30)
    if served:
        expected = ["promote", "promote", "quarantine", "rollback"]
    else:
        expected = ["promote", "reject" if fault.state == "Rejected" else "quarantine"]
    assert ledger_types(kube, name) == ["genesis", *expected]
    print(f"proved: {name}: {first} answers; {entry['reason']} after {took:.0f} s: {entry['message']}")
