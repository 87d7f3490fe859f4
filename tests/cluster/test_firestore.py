"""Records in Firestore on real pods: a model trains, is certified and answers; outages and missing credentials are said.

The emulator runs on this machine, at its end of the cluster's own network; pods reach it as they would reach Google.
"""

from __future__ import annotations

import ipaddress
import json
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from oneseek_core import names
from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, read, url_of
from support.firestore import Emulator, emulator
from support.kube import Kube, condition, wait_until
from support.ledgers_in_pods import ledger, ledger_types
from support.wire import Wire, wire

PROJECT = "team-records"


@pytest.fixture(scope="module")
def firestore(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with emulator(tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(scope="module")
def line(kube: Kube, firestore: Emulator) -> Iterator[Wire]:
    """The way from the pods to the emulator. The cluster's node and this machine are the two ends of a /30."""
    found = re.search(r"https://([\d.]+):", kube.kubeconfig.read_text())
    assert found, "this test needs the embedded cluster, which has a way to this machine"
    with wire(firestore.port, str(ipaddress.ip_address(found[1]) - 1)) as way:
        yield way


@pytest.fixture(scope="module")
def url(kube: Kube, line: Wire) -> str:
    """A model whose records lie there, and whose base answers."""
    firestore = {"projectID": PROJECT, "emulatorHost": line.address}
    kube.apply(data(kube.namespace), tiny_model(kube.namespace, records={"firestore": firestore}))
    kube.wait_reason("oneseekmodel", "zero", names.BASE_SERVING, within=240)
    kube.wait("statefulset", "zero-records", lambda item: item["status"].get("readyReplicas") == 1, within=120)
    return url_of(kube.namespace, "zero")


def documents(emulator: Emulator, collection: str) -> list[dict[str, Any]]:
    """All documents of a collection, as the emulator itself shows them."""
    base = f"http://{emulator.host}/v1/projects/{PROJECT}/databases/(default)/documents/{collection}?pageSize=300"
    request = urllib.request.Request(base, headers={"Authorization": "Bearer owner"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read()).get("documents", [])
    return found


def recorded(kube: Kube) -> Counter[str]:
    return Counter(block["queryId"] for block in ledger(kube, "zero") if block["type"] == "query")


def recorded_condition(item: dict[str, Any]) -> tuple[str, str]:
    told = condition(item, names.RECORDS_AVAILABLE)
    return told.get("status", ""), told.get("message", "")


def test_a_model_with_records_in_firestore_trains_is_certified_and_answers(
    kube: Kube, url: str, firestore: Emulator
) -> None:
    kube.apply(small_run(kube.namespace))
    run = kube.wait("trainingrun", "first", lambda item: "dna" in item["status"], within=240)
    dna = run["status"]["dna"]
    kube.wait("oneseekmodel", "zero", lambda item: item["status"].get("current", {}).get("dna") == dna, within=180)
    # A connection that is made while the Service turns may still come to the pod from before.
    wait_until(lambda: ask(url, "Vem är du?", maxTokens=4)["version"] == dna, within=30, what="the version answers")
    answer = ask(url, "Vem är du?", maxTokens=4)
    assert answer["version"] == dna
    wait_until(lambda: recorded(kube)[answer["queryId"]] == 1, within=60, what="the question is in the ledger")
    assert [item["id"] for item in read(url, "/api/oqt/queries?limit=1")["queries"]] == [answer["queryId"]]
    wait_until(lambda: "promote" in ledger_types(kube, "zero"), within=60, what="the promotion is in the ledger")
    assert ledger_types(kube, "zero") == ["genesis", "train", "certify", "promote"]
    verdict = read(url, "/api/oqt/ledger/verify")
    assert (verdict["valid"], verdict["integrity"]) == (True, 100)
    ids = {item["name"].rpartition("/")[2] for item in documents(firestore, "oqt_ledger")}
    assert ids == {str(number) for number in range(verdict["totalBlocks"])}
    assert not [item for item in kube.list("pvc") if "records" in item["metadata"]["name"]], "no volume is needed"
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    assert recorded_condition(model)[0] == "True"


def test_with_firestore_away_it_answers_says_so_and_records_each_question_once_afterwards(
    kube: Kube, url: str, line: Wire
) -> None:
    before = set(recorded(kube))
    line.cut()
    try:
        answered = [ask(url, f"Fråga {number}?", maxTokens=2)["queryId"] for number in range(6)]
        kube.apply(small_run(kube.namespace, "second", seed=7))
        seen = kube.wait(
            "oneseekmodel", "zero", lambda item: recorded_condition(item)[0] == "False", within=300, what="away is said"
        )
        assert f"project {PROJECT} does not answer" in recorded_condition(seen)[1]
        assert read(url, "/api/oqt/status")["success"] is True
        pod = kube.get("pod", "zero-records-0")
        assert pod is not None
        assert pod["status"]["containerStatuses"][0]["restartCount"] == 0
    finally:
        line.mend()
    kube.wait("oneseekmodel", "zero", lambda item: recorded_condition(item)[0] == "True", within=180)
    wait_until(lambda: set(recorded(kube)) >= {*before, *answered}, within=60, what="every answer is recorded")
    assert set(recorded(kube).values()) == {1}
    assert read(url, "/api/oqt/ledger/verify")["valid"] is True


def test_a_missing_credentials_secret_is_named_in_the_condition_and_then_what_is_wrong_with_it(kube: Kube) -> None:
    firestore = {"projectID": PROJECT, "credentialsSecret": "google"}
    kube.apply(tiny_model(kube.namespace, "lacking", records={"firestore": firestore}))
    seen = kube.wait(
        "oneseekmodel",
        "lacking",
        lambda item: "credentialsSecret" in recorded_condition(item)[1],
        within=240,
        what="the missing Secret is named",
    )
    status, message = recorded_condition(seen)
    assert status == "False"
    assert "put a service account's key into the Secret" in message
    kube.wait_reason("oneseekmodel", "lacking", names.BASE_SERVING, within=120)
    kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "google"},
            "stringData": {"credentials.json": '{"type": "authorized_user"}'},
        }
    )
    # The kubelet brings a Secret into a running pod within a minute or two; nothing is restarted for it.
    kube.wait(
        "oneseekmodel",
        "lacking",
        lambda item: "are no service account's key" in recorded_condition(item)[1],
        within=240,
        what="the wrong key is named",
    )
    kube.delete("oneseekmodel", "lacking", wait=False)
