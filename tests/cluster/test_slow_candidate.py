"""A candidate that takes a minute for each of its questions holds nothing up: neither a rollback nor what a verifier sees."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.dev import url_of
from support.flips import Names, fresh, watched
from support.kube import Kube, condition, scratch_namespace, wait_until
from support.volumes import Given, adopting_model, given, trusted_keys

# The seconds that are asserted need the machine to themselves.
pytestmark = pytest.mark.serial

MODEL = "minute"  # see the engine
INTERVAL = 5
ROLLBACK_SECONDS, AFTER_INTERVAL_SECONDS = 2.0, 2.0
PROMOTION = {"strategy": "BlueGreen", "watch": {"seconds": 1800}, "keepWarmSeconds": 1800}


@dataclass(frozen=True)
class Slow:
    """A model whose first version answers, with the base model warm, while the second is asked its question."""

    kube: Kube
    found: Given
    url: str


def current(item: dict[str, Any]) -> str:
    """The DNA in status.current."""
    return str(item["status"].get("current", {}).get("dna", ""))


def is_asked(item: dict[str, Any], dna: str) -> bool:
    """Whether the version is the candidate, its pod is up, and its questions have no answer yet."""
    told = condition(item, "Reconciling")
    return item["status"].get("candidate", {}).get("dna") == dna and "is asked" in told.get("message", "")


@pytest.fixture
def slow() -> Iterator[Slow]:
    with scratch_namespace("slow") as kube, given(kube, MODEL) as found:
        certification = {"trustedKeys": trusted_keys(), "verifyIntervalSeconds": INTERVAL}

        def applied(mode: str, version: str) -> None:
            promotion = {**PROMOTION, "mode": mode}
            more = {"promotion": promotion, "certification": certification, "version": version}
            kube.apply(adopting_model(kube, MODEL, found, **more))

        applied("Manual", "auto")  # the base model first, which is warm afterwards
        kube.wait("oneseekmodel", MODEL, lambda item: condition(item).get("status") == "True", within=180)
        applied("Manual", found.first)
        kube.wait("oneseekmodel", MODEL, lambda item: current(item) == found.first, within=180)
        applied("Automatic", "auto")
        kube.wait(
            "oneseekmodel", MODEL, lambda item: is_asked(item, found.second), within=120, what="the second is asked"
        )
        yield Slow(kube, found, url_of(kube.namespace, MODEL))


def named_after(names: Names, count: int, within: float) -> str:
    """What the status names next."""
    wait_until(lambda: len(names.named) > count, within=within, what="the status names another version", every=0.02)
    return names.named[count].dna


def test_a_rollback_beside_it_takes_effect_in_two_seconds(slow: Slow) -> None:
    with watched(slow.kube, slow.url, MODEL) as names:
        count, begun = len(names.named), time.time()
        slow.kube.kubectl("annotate", "oneseekmodel", MODEL, "oneseek.io/rollback=base")
        assert named_after(names, count, 30) == ""
        took = names.named[-1].seen - begun
    assert names.failures == names.wrong() == []
    assert fresh(slow.url) == ""
    print(f"proved: a rollback while a candidate takes a minute for its question: {took:.2f} s")
    assert took <= ROLLBACK_SECONDS


def test_a_byte_changed_beside_it_is_acted_upon_within_the_interval(slow: Slow) -> None:
    weights = slow.found.folder / "oneseek-certified" / slow.found.first / "adapter_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    begun = time.time()
    weights.write_bytes(content)

    def barred() -> bool:
        model = slow.kube.get("oneseekmodel", MODEL)
        assert model is not None
        return slow.found.first in {item["dna"] for item in model["status"].get("quarantine", [])}

    wait_until(barred, within=60, what="the version is in quarantine", every=0.02)
    took = time.time() - begun
    print(
        f"proved: a changed byte while a candidate takes a minute for its question: {took:.2f} s, interval {INTERVAL} s"
    )
    assert took <= INTERVAL + AFTER_INTERVAL_SECONDS
