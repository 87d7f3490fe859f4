"""Promotion and rollback under load on real pods: nobody's request fails, and every answer is from the right version."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, load, url_of
from support.flips import reigns, wrong
from support.kube import Kube, condition, wait_until

# The load and the seconds that are asserted need the machine to themselves.
pytestmark = pytest.mark.serial

CYCLES = 100 if os.environ.get("ONESEEK_PROVE_COUNT") else 3  # each is a rollback, a release and a promotion
PACE = 4.0  # seconds between flips, so that most of the time only one version is the right one
WARM_SECONDS, COLD_SECONDS = 2.0, 15.0
# While a version is watched the one before stays warm. Errors are the load's to count here: with none allowed to it, the
# watch would go back by itself and the story be another one.
MANUAL = {"mode": "Manual", "watch": {"seconds": 1800, "maximumErrorRate": 1}, "keepWarmSeconds": 1800}


def current(item: dict[str, Any]) -> str:
    """The DNA in status.current."""
    found: str = item["status"].get("current", {}).get("dna", "")
    return found


def asked(kube: Kube, within: float = 60, **request: str) -> dict[str, Any]:
    """Annotate as a person would, and wait for the outcome."""
    ((verb, value),) = request.items()
    before = kube.get("oneseekmodel", "zero")
    assert before is not None
    old = before["status"].get("request", {}).get("id")
    kube.kubectl("annotate", "--overwrite", "oneseekmodel", "zero", f"oneseek.io/{verb}={value}")

    def ended(item: dict[str, Any]) -> bool:
        told = item["status"].get("request", {})
        return told.get("id") != old and told.get("outcome", "Pending") != "Pending"

    found: dict[str, Any] = kube.wait("oneseekmodel", "zero", ended, within=within)["status"]["request"]
    assert found["outcome"] == "Succeeded", found
    return found


@pytest.fixture(scope="module")
def versions(kube: Kube) -> tuple[str, str]:
    """Two certified versions; the second answers, by hand."""
    kube.apply(data(kube.namespace, rows=60), tiny_model(kube.namespace, promotion=MANUAL))
    dnas = []
    for name in ("first", "second"):
        kube.apply(small_run(kube.namespace, name))
        run = kube.wait("trainingrun", name, lambda item: "dna" in item["status"], within=240)
        dnas.append(run["status"]["dna"])
        kube.wait(
            "oneseekmodel",
            "zero",
            lambda item: (
                condition(item, "CandidateReady").get("reason") == "WaitingForPromotion"
                and item["status"]["candidate"]["dna"] == dnas[-1]
            ),
            within=120,
        )
        asked(kube, promote="candidate", within=120)
    return dnas[0], dnas[1]


def test_flips_under_load_fail_no_request_and_every_answer_is_from_the_right_version(
    kube: Kube, versions: tuple[str, str], tmp_path: Path
) -> None:
    first, second = versions
    url = url_of(kube.namespace, "zero")
    body = json.dumps({"question": "Vem är du?", "options": {"maxTokens": 2}})
    flips: list[tuple[str, float, float]] = []
    pace = threading.Event()
    with load(url, tmp_path, rate=50, body=body) as running:

        def flip(to: str, **request: str) -> None:
            begun = time.time()
            asked(kube, **request)
            flips.append((to, begun, time.time()))
            pace.wait(max(0.0, PACE - (time.time() - begun)))

        for _ in range(CYCLES):
            flip(first, rollback="previous")
            asked(kube, release=second)
            flip(second, promote=second)
    result = running.result
    assert result["failures"] == []
    assert result["requests"] >= CYCLES * 2 * PACE * 45, "the load ran all the time"
    assert result["kept_alive"] > result["requests"] * 0.45
    assert result["closed_politely"] >= CYCLES, "old connections were told to come again"
    assert {answer["dna"] for answer in result["answers"]} == {first, second}
    assert wrong(result, reigns(second, flips)) == []
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert current(model) == second
    durations = sorted(done - begun for _, begun, done in flips)
    print(
        f"proved: {len(flips)} flips, {result['requests']} requests, {len(result['failures'])} failed; "
        f"median flip {durations[len(durations) // 2]:.2f} s, slowest {durations[-1]:.2f} s"
    )


def until_answered(kube: Kube, url: str, dna: str, **request: str) -> float:
    """Seconds from the annotation to the first answer of `dna` on a fresh connection."""
    ((verb, value),) = request.items()
    begun = time.monotonic()
    kube.kubectl("annotate", "--overwrite", "oneseekmodel", "zero", f"oneseek.io/{verb}={value}")
    wait_until(
        lambda: ask(url, "Vem är du?", maxTokens=1)["version"] == dna, within=90, what=f"{dna} answers", every=0.02
    )
    return time.monotonic() - begun


def test_going_back_takes_a_moment_while_the_old_version_is_warm(kube: Kube, versions: tuple[str, str]) -> None:
    first, second = versions
    took = until_answered(kube, url_of(kube.namespace, "zero"), first, rollback="previous")
    print(f"proved: going back while the old version is warm: {took:.2f} s")
    assert took <= WARM_SECONDS
    kube.wait(
        "oneseekmodel", "zero", lambda item: item["status"].get("request", {}).get("outcome") == "Succeeded", within=30
    )
    asked(kube, release=second)
    asked(kube, promote=second)


def test_going_back_takes_seconds_where_the_old_version_must_start(kube: Kube, versions: tuple[str, str]) -> None:
    first, _ = versions
    # BlueGreen, or the engine that runs would take the old version over in a moment.
    patch = {"spec": {"promotion": {"watch": {"seconds": 0}, "strategy": "BlueGreen"}}}
    before = kube.get("oneseekmodel", "zero")
    assert before is not None
    kube.kubectl("patch", "oneseekmodel", "zero", "--type=merge", "-p", json.dumps(patch))
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    kube.wait("oneseekmodel", "zero", lambda item: item["status"]["colour"] != before["status"]["colour"], within=90)
    wait_until(lambda: len(kube.list("deployments")) == 1, within=60, what="the old colour is gone")
    wait_until(lambda: len(kube.list("pods", "oneseek.io/colour")) == 1, within=150, what="its pod too")
    took = until_answered(kube, url_of(kube.namespace, "zero"), first, rollback="previous")
    print(f"proved: going back where the old version must start: {took:.2f} s")
    assert took <= COLD_SECONDS
    kube.wait(
        "oneseekmodel", "zero", lambda item: item["status"].get("request", {}).get("outcome") == "Succeeded", within=30
    )


def test_git_that_applies_its_manifest_again_and_again_does_not_undo_a_rollback(
    kube: Kube, versions: tuple[str, str]
) -> None:
    first, second = versions
    pinned = tiny_model(kube.namespace, promotion=MANUAL, version=second)
    for _ in range(100 if os.environ.get("ONESEEK_PROVE_COUNT") else 10):
        kube.apply(pinned)
    kube.wait("oneseekmodel", "zero", lambda item: condition(item)["reason"] == "PinnedVersionQuarantined", within=60)
    assert ask(url_of(kube.namespace, "zero"), "Vem är du?", maxTokens=1)["version"] == first
    asked(kube, release=second)
    kube.wait("oneseekmodel", "zero", lambda item: current(item) == second, within=60)
    told = kube.wait("oneseekmodel", "zero", lambda item: condition(item)["status"] == "True", within=60)
    assert "selection" not in told["status"]


def test_a_manifest_that_carries_a_request_is_refused_once_and_does_nothing(
    kube: Kube, versions: tuple[str, str]
) -> None:
    _, second = versions
    carrying = tiny_model(kube.namespace, promotion=MANUAL, version=second)
    carrying["metadata"]["annotations"] = {"oneseek.io/rollback": "previous"}
    kube.apply(carrying)
    model = kube.wait(
        "oneseekmodel", "zero", lambda item: item["status"].get("request", {}).get("outcome") == "Refused", within=30
    )
    assert model["status"]["request"]["reason"] == "RequestInManifest"
    for _ in range(5):
        kube.apply(carrying)
    kube.wait_event("zero", "RequestInManifest")
    events = [reason for reason, _ in kube.events("zero")]
    assert events.count("RequestInManifest") == 1
    assert current(model) == second
