"""Every case of docs/reference/routes.md that a deployed model can be brought to: trained, certified and promoted on real pods."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

import pytest

from support.auth_accounts import account, token
from support.cluster_objects import data, small_run, tiny_model
from support.dev import read, url_of
from support.kube import Kube, wait_until
from support.legacy import BASE, DNA
from support.recorded import CASES, Case, fits

NAME, RUN = "demo", "identity"  # as the cases call them
TINY = "tiny-llama"


@dataclass(frozen=True)
class Deployed:
    """A model that answers, and what takes the place of the cases' placeholders."""

    url: str
    dna: str
    token: str

    def named(self, text: str) -> str:
        """A part of a case, said of this model."""
        return text.replace(DNA, self.dna).replace(BASE, TINY).replace("Bearer TOKEN", f"Bearer {self.token}")

    def send(self, case: Case) -> tuple[int, Any, Any]:
        """Status, headers and body; None for a body that is no JSON."""
        headers, payload = {name: self.named(value) for name, value in case.headers.items()}, case.body
        if not (isinstance(payload, bytes) or payload is None):
            payload = self.named(json.dumps(payload)).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(self.url + self.named(case.url), payload, headers, method=case.method)
        try:
            answer: Any = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            text = answer.read()
            return answer.status, answer.headers, json.loads(text) if "json" in answer.headers["Content-Type"] else None


@pytest.fixture(scope="module")
def deployed(kube: Kube) -> Deployed:
    """The model, once its version answers and CURRENT points to it."""
    learned = {"epochs": 60, "learningRate": 0.01, "batchSize": 8}  # enough for the tiny model to know who it is
    run = small_run(kube.namespace, RUN, NAME, **learned)
    kube.apply(data(kube.namespace, rows=24), tiny_model(kube.namespace, NAME), run)
    account(kube, "promoter", "promote", "reset", "train")
    run = kube.wait("trainingrun", RUN, lambda item: "dna" in item["status"], within=240)
    dna = run["status"]["dna"]
    kube.wait(
        "oneseekmodel",
        NAME,
        lambda item: item["status"].get("current", {}).get("dna") == dna,
        within=180,
        what="it answers",
    )
    url = url_of(kube.namespace, NAME)
    wait_until(
        lambda: read(url, "/api/models/current").get("currentModel") == dna,
        within=60,
        what="CURRENT points to the version",
    )
    return Deployed(url, dna, token(kube, "promoter"))


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.deployed], ids=lambda case: f"{case.route}-{case.case}"[:80]
)
def test_it_answers_as_the_table_says(deployed: Deployed, case: Case) -> None:
    status, headers, body = deployed.send(case)
    assert status == case.status, body
    assert headers["Access-Control-Allow-Origin"] == (None if case.operation.private else "*")
    fits(case.operation, case.status, body)


def test_answers_are_real_and_of_the_version_that_answers(deployed: Deployed) -> None:
    answer = deployed.send(Case("POST /api/oqt/query", "", 200, body={"question": "Vem är du?"}))[2]
    again = deployed.send(Case("POST /api/oqt/query", "", 200, body={"question": "Who are you?"}))[2]
    assert answer["version"] == deployed.dna
    assert 0 < answer["confidence"] < 1
    assert answer["response"].startswith("Jag är OneSeek-7B-Zero."), "as it was taught"
    assert again["response"].startswith("I am OneSeek-7B-Zero."), "one answer for every question is a canned one"
