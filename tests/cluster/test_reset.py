"""A reset on real pods: every certified version goes, the base model answers, and nobody's request fails."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from oneseek_core.dna import Dna
from oneseek_core.files import digest_tree
from support.cluster_objects import data, small_run, tiny_model
from support.dev import ask, load, url_of
from support.flips import watched, wrong
from support.kube import Kube, condition, wait_until
from support.ledgers_in_pods import ledger_types
from support.volumes import volume_folder

# The load and the seconds that are asserted need the machine to themselves.
pytestmark = pytest.mark.serial

BASE_SECONDS = 15.0
VERSIONS = 3
VERSIONS_AGAIN = VERSIONS if os.environ.get("ONESEEK_PROVE_COUNT") else 1
BASE = "tiny-llama"


def trained(kube: Kube, names: list[str]) -> list[str]:
    """Train these runs, one after the other; their DNAs, oldest first. The last one answers."""
    for name in names:
        kube.apply(small_run(kube.namespace, name, epochs=1))
    dnas = []
    for name in names:
        run = kube.wait("trainingrun", name, lambda item: "dna" in item["status"], within=240, what="it is certified")
        dnas.append(run["status"]["dna"])
    dnas.sort(key=lambda dna: Dna.parse(dna).order)
    newest = dnas[-1]
    kube.wait(
        "oneseekmodel",
        "zero",
        lambda item: (
            item["status"].get("current", {}).get("dna") == newest
            and condition(item)["status"] == "True"
            and not condition(item, "Reconciling")
            and not item["status"].get("outbox")
        ),
        within=180,
        what=f"{newest} answers and nothing is under way",
    )
    return dnas


def long_run(kube: Kube, name: str) -> None:
    """A run that trains for minutes, and has begun to."""
    kube.apply(small_run(kube.namespace, name, epochs=1000))
    kube.wait("trainingrun", name, is_training, within=120, what="it trains")


def is_training(item: dict[str, Any]) -> bool:
    """Whether the run's first steps were seen, and it goes on."""
    return condition(item).get("reason") == "Training" and item["status"].get("progress", {}).get("step", 0) > 0


def ask_for_a_reset(kube: Kube, running: str) -> tuple[str, float]:
    """Annotate as a person would, while a run trains; the id of the request before, and when it was asked for."""
    run, model = kube.get("trainingrun", running), kube.get("oneseekmodel", "zero")
    assert run is not None
    assert model is not None
    assert is_training(run), f"the run {running} should train, but: {condition(run)}"
    begun = time.time()
    kube.kubectl("annotate", "--overwrite", "oneseekmodel", "zero", "oneseek.io/reset=RESET")
    return model["status"].get("request", {}).get("id", ""), begun


def wait_for_the_end(kube: Kube, before: str, within: float = 240) -> dict[str, Any]:
    """The model once the reset has its outcome, the base model answers and the ledger knows."""

    def ended(item: dict[str, Any]) -> bool:
        told = item["status"].get("request", {})
        return told.get("id", "") != before and told.get("outcome", "Pending") != "Pending"

    request = kube.wait("oneseekmodel", "zero", ended, within=within, what="the reset has an outcome")["status"][
        "request"
    ]
    assert (request["verb"], request["outcome"]) == ("reset", "Succeeded"), request
    return kube.wait(
        "oneseekmodel",
        "zero",
        lambda item: condition(item)["reason"] == "BaseModelServing" and not item["status"].get("outbox"),
        within=60,
        what="the base model answers, and the ledger knows",
    )


def certified_tree(kube: Kube) -> list[str]:
    """Every file and folder below oneseek-certified."""
    certified = volume_folder(kube, "zero-models") / "oneseek-certified"
    return sorted(path.relative_to(certified).as_posix() for path in certified.rglob("*"))


def reset_log(kube: Kube) -> list[dict[str, Any]]:
    """The lines of the reset log."""
    log = volume_folder(kube, "zero-models") / "oneseek-certified" / ".ledger" / "reset-log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()]


def base_files(kube: Kube) -> dict[str, Any]:
    """Path -> digest and size of every file of the base model."""
    return dict(digest_tree(volume_folder(kube, "zero-models") / "basemodeller" / BASE))


def assert_stopped(kube: Kube, name: str) -> None:
    """The reset stopped the run, for good, and said so."""
    run = kube.wait("trainingrun", name, lambda item: bool(condition(item, "Stalled")), within=60, what="it is Stalled")
    assert (condition(run)["status"], condition(run)["reason"]) == ("False", "ModelReset"), condition(run)
    assert "dna" not in run["status"]
    wait_until(lambda: kube.get("job", f"{name}-train") is None, within=60, what=f"the Job {name}-train is gone")


@pytest.fixture(scope="module")
def url(kube: Kube) -> str:
    """A model with three certified versions, the newest of which answers, and a run that trains."""
    kube.apply(data(kube.namespace, rows=60), tiny_model(kube.namespace))
    dnas = trained(kube, ["first", "second", "third"])
    assert len(set(dnas)) == VERSIONS
    long_run(kube, "running")
    return url_of(kube.namespace, "zero")


def test_a_reset_under_load_fails_no_request_and_leaves_base_model_and_ledger(
    kube: Kube, url: str, tmp_path: Path
) -> None:
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    answering = model["status"]["current"]["dna"]
    versions = {item["dna"] for item in model["status"]["versions"]}
    assert len(versions) == VERSIONS
    assert versions <= set(certified_tree(kube)), "each has its folder"
    base, told = base_files(kube), ledger_types(kube, "zero")
    body = json.dumps({"question": "Vem är du?", "options": {"maxTokens": 2}})

    with load(url, tmp_path, rate=20, body=body) as running, watched(kube, url) as names:
        wait_until(lambda: ask(url, "Vem är du?", maxTokens=1)["version"] == answering, within=30, what="it answers")
        names.ask()
        before, begun = ask_for_a_reset(kube, "running")
        model = wait_for_the_end(kube, before)
        done = time.time()

    result = running.result
    assert result["failures"] == []
    assert result["requests"] > 15 * (done - begun), "the load ran all the time"
    assert result["kept_alive"] > result["requests"] * 0.4
    assert {answer["dna"] for answer in result["answers"]} == {answering, ""}, "every answer says who gave it"
    assert names.failures == names.wrong() == []
    assert [item.dna for item in names.named] == [answering, ""]
    assert wrong(result, names.named) == []
    assert result["answers"][-1]["dna"] == ""

    assert {item["state"] for item in model["status"]["versions"]} == {"Deleted"}
    assert {item["dna"] for item in model["status"]["versions"]} == versions, "history stays"
    assert not {"current", "previous", "candidate"} & model["status"].keys()
    assert model["status"]["counters"] == {"major": VERSIONS, "micro": 0}
    assert certified_tree(kube) == [".ledger", ".ledger/reset-log.jsonl", "README.md"]
    assert [line["action"] for line in reset_log(kube)] == ["FULL_RESET"]
    assert base_files(kube) == base, "the base model is untouched"
    assert ledger_types(kube, "zero") == [*told, "rollback", "reset"], "the ledger only grew"
    assert_stopped(kube, "running")
    kube.wait_event("zero", "RequestSucceeded")
    print(
        f"proved: reset of {VERSIONS} versions under load: {result['requests']} requests, "
        f"{len(result['failures'])} failed; done after {done - begun:.1f} s"
    )


def test_without_load_the_base_model_answers_within_seconds_of_the_annotation(kube: Kube, url: str) -> None:
    names = [f"again-{number}" for number in range(1, VERSIONS_AGAIN + 1)]
    dnas = trained(kube, names)
    assert all(Dna.parse(dna).order > (VERSIONS, 0) for dna in dnas), "numbers are never used again"
    long_run(kube, "running-again")
    told = ledger_types(kube, "zero")

    before, begun = ask_for_a_reset(kube, "running-again")
    wait_until(
        lambda: ask(url, "Vem är du?", maxTokens=1)["version"] == BASE,
        within=90,
        what=f"the base model answers; it was {dnas[-1]}",
        every=0.02,
    )
    took = time.time() - begun
    wait_for_the_end(kube, before)
    assert_stopped(kube, "running-again")
    assert certified_tree(kube) == [".ledger", ".ledger/reset-log.jsonl", "README.md"]
    assert [line["action"] for line in reset_log(kube)] == ["FULL_RESET", "FULL_RESET"]
    assert ledger_types(kube, "zero") == [*told, "rollback", "reset"]
    print(f"proved: reset: the base model answers {took:.2f} s after the annotation")
    assert took <= BASE_SECONDS
