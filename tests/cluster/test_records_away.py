"""Answered questions on real pods: with the records service away they are answered all the same, and recorded after."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from oneseek_core import names
from support.dev import ask, load, read, url_of
from support.kube import Kube, wait_until
from support.ledgers_in_pods import ledger
from support.volumes import Given, adopting_model, given

AWAY_SECONDS = 60 if int(os.environ.get("ONESEEK_PROVE_COUNT") or "5") >= 100 else 8


def recorded(kube: Kube) -> Counter[str]:
    """How often each question stands in the ledger."""
    return Counter(block["queryId"] for block in ledger(kube, "zero") if block["type"] == "query")


def scale(kube: Kube, replicas: int) -> None:
    kube.kubectl("scale", "statefulset", "zero-records", f"--replicas={replicas}")
    kube.wait(
        "statefulset",
        "zero-records",
        lambda item: item.get("status", {}).get("readyReplicas", 0) == replicas,
        within=90,
    )


@pytest.fixture(scope="module")
def versions(kube: Kube) -> Iterator[Given]:
    """One certified version."""
    with given(kube, "records", versions=1) as found:
        yield found


def test_with_records_away_every_question_is_answered_and_recorded_once(
    kube: Kube, versions: Given, tmp_path: Path
) -> None:
    kube.apply(adopting_model(kube, "zero", versions))
    kube.wait_reason("oneseekmodel", "zero", names.SERVING, within=240)
    scale(kube, 1)
    url = url_of(kube.namespace, "zero")
    first = ask(url, "Vem är du?", maxTokens=2)["queryId"]
    listed = read(url, "/api/oqt/queries?limit=1")
    assert [item["id"] for item in listed["queries"]] == [first]
    body = json.dumps({"question": "Vem är du?", "options": {"maxTokens": 2}})
    with load(url, tmp_path, rate=8, body=body) as running:
        scale(kube, 0)
        away = time.monotonic()
        assert read(url, "/api/oqt/queries")["queries"] == []
        wait_until(lambda: time.monotonic() - away > AWAY_SECONDS, within=AWAY_SECONDS + 5, what="away long enough")
        scale(kube, 1)
    assert running.result["failures"] == []
    answered = [item["queryId"] for item in running.result["answers"]]
    assert len(answered) >= 6 * AWAY_SECONDS
    wait_until(lambda: len(recorded(kube)) >= len(answered) + 1, within=60, what="every answer is recorded")
    assert recorded(kube) == dict.fromkeys([first, *answered], 1)
    verdict = read(url, "/api/oqt/ledger/verify")
    assert (verdict["valid"], verdict["integrity"]) == (True, 100)


def test_only_the_sidecar_can_read_the_token_of_its_role(kube: Kube) -> None:
    (pod,) = kube.list("pods", "app.kubernetes.io/component=serving")
    for container in [*pod["spec"]["initContainers"], *pod["spec"]["containers"]]:
        mounted = {item["name"] for item in container["volumeMounts"]}
        assert ("access" in mounted) == (container["name"] == "sidecar"), container["name"]
    listed = kube.kubectl("exec", pod["metadata"]["name"], "-c", "sidecar", "--", "ls", "/access")
    assert listed.split() == ["ca.crt", "tls.crt", "tls.key", "token"], "not the ledger's signing key"
