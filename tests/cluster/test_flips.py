"""Promotion and rollback under load on real pods: nobody's request fails, and every answer is from the right version."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, frozen_proxy, load, url_of
from support.flips import Names, watched, wrong
from support.kube import Kube, condition, wait_until
from support.volumes import Given, adopting_model, given

# The load and the seconds that are asserted need the machine to themselves.
pytestmark = pytest.mark.serial

PROVE = bool(os.environ.get("ONESEEK_PROVE_COUNT"))
CYCLES = 34 if PROVE else 1  # each is six flips
FROZEN_FLIPS = 20 if PROVE else 2
FROZEN_SECONDS = 30.0 if PROVE else 8.0
PACE = 4.0  # seconds between flips, so that most of the time only one version is the right one
WARM_SECONDS, COLD_SECONDS = 2.0, 15.0
# While a version is watched the one before stays warm. Errors are the load's to count here: with none allowed to it, the
# watch would go back by itself and the story be another one.
MANUAL = {"mode": "Manual", "watch": {"seconds": 1800, "maximumErrorRate": 1}, "keepWarmSeconds": 1800}


def current(item: dict[str, Any]) -> str:
    """The DNA in status.current."""
    found: str = item["status"].get("current", {}).get("dna", "")
    return found


def asked(kube: Kube, model: str = "zero", within: float = 60, **request: str) -> dict[str, Any]:
    """Annotate as a person would, and wait for the outcome."""
    ((verb, value),) = request.items()
    before = kube.get("oneseekmodel", model)
    assert before is not None
    old = before["status"].get("request", {}).get("id")
    kube.kubectl("annotate", "--overwrite", "oneseekmodel", model, f"oneseek.io/{verb}={value}")

    def ended(item: dict[str, Any]) -> bool:
        told = item["status"].get("request", {})
        return told.get("id") != old and told.get("outcome", "Pending") != "Pending"

    found: dict[str, Any] = kube.wait("oneseekmodel", model, ended, within=within)["status"]["request"]
    assert found["outcome"] == "Succeeded", found
    return found


def adopted(kube: Kube, model: str, found: Given, promotion: dict[str, Any]) -> tuple[str, str]:
    """A model of two certified versions, before an engine without weights; the second answers, by hand.

    What is flipped is who answers: an engine that computes nothing keeps up with the load on a machine with other work.
    """
    kube.apply(adopting_model(kube, model, found, version="auto", promotion=promotion))
    kube.wait("oneseekmodel", model, lambda item: condition(item).get("status") == "True", within=180)
    for dna in found.versions:
        asked(kube, model, promote=dna, within=120)
    return found.first, found.second


def trained(kube: Kube, model: str, promotion: dict[str, Any]) -> tuple[str, str]:
    """Two versions of the tiny model that were trained here; the second answers, by hand."""
    kube.apply(data(kube.namespace, rows=60), tiny_model(kube.namespace, model, promotion=promotion))
    dnas = []
    for name in ("first", "second"):
        kube.apply(small_run(kube.namespace, f"{model}-{name}", model))
        run = kube.wait("trainingrun", f"{model}-{name}", lambda item: "dna" in item["status"], within=240)
        dnas.append(run["status"]["dna"])
        kube.wait(
            "oneseekmodel",
            model,
            lambda item: (
                condition(item, "CandidateReady").get("reason") == "WaitingForPromotion"
                and item["status"]["candidate"]["dna"] == dnas[-1]
            ),
            within=120,
        )
        asked(kube, model, promote="candidate", within=120)
    return dnas[0], dnas[1]


@pytest.fixture(scope="module")
def claims(kube: Kube) -> Iterator[tuple[Given, Given]]:
    """Two certified versions on each of two claims."""
    with given(kube, "zero") as zero, given(kube, "hot") as hot:
        yield zero, hot


@pytest.fixture(scope="module")
def versions(kube: Kube, claims: tuple[Given, Given]) -> tuple[str, str]:
    """Two versions whose colours stay warm."""
    return adopted(kube, "zero", claims[0], MANUAL)


@pytest.fixture(scope="module")
def swapped(kube: Kube, claims: tuple[Given, Given]) -> tuple[str, str]:
    """Two versions that one pod takes over from each other."""
    found = adopted(kube, "hot", claims[1], MANUAL | {"strategy": "HotSwap", "keepWarmSeconds": 0})
    wait_until(
        lambda: len(kube.list("pods", "oneseek.io/model=hot,oneseek.io/colour")) == 1,
        within=150,
        what="one pod is left",
    )
    return found


@pytest.fixture(scope="module")
def engines(kube: Kube) -> tuple[str, str]:
    """Two versions of a model on engines with weights, which take seconds to start."""
    return trained(kube, "real", MANUAL)


def cycle(first: str, second: str) -> list[tuple[str, dict[str, str]]]:
    """Flips of every kind in turn: what each leads to (empty: the base model), and what asks for it."""
    return [
        (first, {"rollback": "previous"}),
        ("", {"rollback": "base"}),
        ("", {"release": first}),
        (first, {"promote": first}),
        (first, {"release": second}),
        (second, {"promote": second}),
        ("", {"rollback": "base"}),
        ("", {"release": "all"}),
        (second, {"promote": second}),
    ]


def flipped(kube: Kube, model: str, names: Names, steps: list[tuple[str, dict[str, str]]], pace: float) -> list[float]:
    """Do them one after the other; seconds that each flip took."""
    took, clock = [], threading.Event()
    for to, request in steps:
        begun = time.time()
        names.ask()
        asked(kube, model, **request)
        if names.named[-1].dna != to:
            wait_until(
                lambda to=to: names.named[-1].dna == to, within=30, what=f"the watch sees {to or 'base'}", every=0.02
            )
        if "release" in request:
            continue
        took.append(time.time() - begun)
        clock.wait(max(0.0, pace - (time.time() - begun)))
    return took


def judged(result: dict[str, Any], names: Names, took: list[float], what: str) -> None:
    """Nobody failed, and everybody was answered by what the status named when the request began."""
    assert result["failures"] == []
    assert names.failures == []
    assert names.wrong() == [], "a fresh connection, opened when the watch saw the version"
    assert wrong(result, names.named) == []
    assert len(names.answered) > len(took) * 0.9
    took = sorted(took)
    print(
        f"proved: {what}: {len(took)} flips, {result['requests']} requests, 0 failed, 0 wrong; "
        f"{len(names.answered)} fresh connections at once; median flip {took[len(took) // 2]:.2f} s, slowest {took[-1]:.2f} s"
    )


BODY = json.dumps({"question": "Vem är du?", "options": {"maxTokens": 2}})


@pytest.mark.parametrize("way", ["BlueGreen", "HotSwap"])
def test_flips_under_load_fail_no_request_and_every_answer_is_from_the_version_that_the_status_named(
    way: str, kube: Kube, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = "zero" if way == "BlueGreen" else "hot"
    first, second = request.getfixturevalue("versions" if way == "BlueGreen" else "swapped")
    url = url_of(kube.namespace, model)
    with load(url, tmp_path, rate=50, body=BODY) as running, watched(kube, url, model) as names:
        took = flipped(kube, model, names, cycle(first, second) * CYCLES, PACE)
    result = running.result
    judged(result, names, took, way)
    assert result["requests"] >= len(took) * PACE * 45, "the load ran all the time"
    assert result["kept_alive"] > result["requests"] * 0.45
    if way == "BlueGreen":
        assert result["closed_politely"] >= len(took), "old connections were told to come again"
    assert {answer["dna"] for answer in result["answers"]} == {first, second, ""}


def test_flips_with_a_frozen_proxy_are_no_different(kube: Kube, versions: tuple[str, str], tmp_path: Path) -> None:
    first, second = versions
    url = url_of(kube.namespace, "zero")
    both = [[(first, {"rollback": "previous"})], [(first, {"release": second}), (second, {"promote": second})]]
    took: list[float] = []
    with load(url, tmp_path, rate=50, body=BODY) as running, watched(kube, url) as names:
        for number in range(FROZEN_FLIPS):
            with frozen_proxy():
                took += flipped(kube, "zero", names, both[number % 2], FROZEN_SECONDS)
    judged(running.result, names, took, f"kube-proxy frozen for {FROZEN_SECONDS:.0f} s across each flip")


def until_answered(kube: Kube, url: str, dna: str, **request: str) -> float:
    """Seconds from the annotation to the first answer of `dna` on a fresh connection."""
    ((verb, value),) = request.items()
    begun = time.monotonic()
    kube.kubectl("annotate", "--overwrite", "oneseekmodel", "real", f"oneseek.io/{verb}={value}")
    wait_until(
        lambda: ask(url, "Vem är du?", maxTokens=1)["version"] == dna, within=90, what=f"{dna} answers", every=0.02
    )
    return time.monotonic() - begun


def test_going_back_takes_a_moment_while_the_old_version_is_warm(kube: Kube, engines: tuple[str, str]) -> None:
    first, second = engines
    took = until_answered(kube, url_of(kube.namespace, "real"), first, rollback="previous")
    print(f"proved: going back while the old version is warm: {took:.2f} s")
    assert took <= WARM_SECONDS
    kube.wait(
        "oneseekmodel", "real", lambda item: item["status"].get("request", {}).get("outcome") == "Succeeded", within=30
    )
    asked(kube, "real", release=second)
    asked(kube, "real", promote=second)


def test_going_back_takes_seconds_where_the_old_version_must_start(kube: Kube, engines: tuple[str, str]) -> None:
    first, _ = engines
    # BlueGreen, or the engine that runs would take the old version over in a moment.
    patch = {"spec": {"promotion": {"watch": {"seconds": 0}, "strategy": "BlueGreen"}}}
    before = kube.get("oneseekmodel", "real")
    assert before is not None
    kube.kubectl("patch", "oneseekmodel", "real", "--type=merge", "-p", json.dumps(patch))
    model = kube.get("oneseekmodel", "real")
    assert model is not None
    kube.wait("oneseekmodel", "real", lambda item: item["status"]["colour"] != before["status"]["colour"], within=90)
    wait_until(
        lambda: len(kube.list("deployments", "oneseek.io/model=real")) == 1, within=60, what="the old colour is gone"
    )
    wait_until(
        lambda: len(kube.list("pods", "oneseek.io/model=real,oneseek.io/colour")) == 1, within=150, what="its pod too"
    )
    took = until_answered(kube, url_of(kube.namespace, "real"), first, rollback="previous")
    print(f"proved: going back where the old version must start: {took:.2f} s")
    assert took <= COLD_SECONDS
    kube.wait(
        "oneseekmodel", "real", lambda item: item["status"].get("request", {}).get("outcome") == "Succeeded", within=30
    )


def test_git_that_applies_its_manifest_again_and_again_does_not_undo_a_rollback(
    kube: Kube, versions: tuple[str, str], claims: tuple[Given, Given]
) -> None:
    first, second = versions
    pinned = adopting_model(kube, "zero", claims[0], promotion=MANUAL, version=second)
    for _ in range(100 if os.environ.get("ONESEEK_PROVE_COUNT") else 10):
        kube.apply(pinned)
    kube.wait("oneseekmodel", "zero", lambda item: condition(item)["reason"] == "PinnedVersionQuarantined", within=60)
    assert ask(url_of(kube.namespace, "zero"), "Vem är du?", maxTokens=1)["version"] == first
    asked(kube, release=second)
    kube.wait("oneseekmodel", "zero", lambda item: current(item) == second, within=60)
    told = kube.wait("oneseekmodel", "zero", lambda item: condition(item)["status"] == "True", within=60)
    assert "selection" not in told["status"]


def test_a_manifest_that_carries_a_request_is_refused_once_and_does_nothing(
    kube: Kube, versions: tuple[str, str], claims: tuple[Given, Given]
) -> None:
    _, second = versions
    carrying = adopting_model(kube, "zero", claims[0], promotion=MANUAL, version=second)
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
