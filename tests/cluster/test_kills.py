"""The operator killed with SIGKILL at random moments of promotions, rollbacks and resets: all end in the same place.

A story is a promotion, a rollback and a reset of one model, with a kill in each; its versions are adopted, so nothing
is trained. The moments come from the story's number: a failure can be had again.
"""

from __future__ import annotations

import json
import os
import random
import threading
from typing import Any

import pytest

from support import operator_process
from support.dev import ask, url_of
from support.kube import Kube, condition, scratch_namespace, wait_until
from support.ledgers_in_pods import ledger_types
from support.volumes import BASE_NAME, Given, adopting_model, given

pytestmark = pytest.mark.serial

KILLS = 40 if os.environ.get("ONESEEK_PROVE_COUNT") else 3
# (verb, seconds after the annotation within which the kill falls): about as long as the whole of it takes undisturbed.
STEPS = (("promote", 12.0), ("rollback", 4.0), ("reset", 15.0))
STORIES = -(-KILLS // len(STEPS))
MODEL = "zero"
# The older version is pinned first. Going back puts the newer one into quarantine; a reset goes back to the base model.
LEDGER = ["genesis", "promote", "promote", "quarantine", "rollback", "rollback", "reset"]
# While a version is watched the one before stays warm, as a rollback finds it in life.
PROMOTION = {"mode": "Manual", "strategy": "BlueGreen", "watch": {"seconds": 1800}, "keepWarmSeconds": 1800}


@pytest.mark.parametrize("story", range(STORIES))
def test_an_operator_killed_at_any_moment_ends_in_the_same_place(story: int) -> None:
    chance = random.Random(story)  # noqa: S311 - moments, not secrets
    with scratch_namespace("kills") as kube, given(kube, MODEL) as found:
        kube.apply(adopting_model(kube, MODEL, found, promotion=PROMOTION))
        kube.wait(
            "oneseekmodel",
            MODEL,
            lambda item: condition(item).get("status") == "True" and current(item) == found.first,
            within=180,
            what=f"Ready, and {found.first} current",
        )
        kube.kubectl("patch", "oneseekmodel", MODEL, "--type=merge", "-p", json.dumps({"spec": {"version": "auto"}}))
        url = url_of(kube.namespace, MODEL)

        killed_after = []
        for verb, span in STEPS:
            value = {"promote": found.second, "rollback": "previous", "reset": "RESET"}[verb]
            killed_after.append(asked_and_killed(kube, verb, value, chance.uniform(0, span), story))
            wanted = {"promote": found.second, "rollback": found.first, "reset": ""}[verb]
            item = kube.wait(
                "oneseekmodel",
                MODEL,
                lambda item, wanted=wanted: condition(item).get("status") == "True" and current(item) == wanted,
                within=60,
                what=f"story {story}: Ready, and {wanted or 'no version'} current after {verb}",
            )
            answerer = wanted or BASE_NAME
            wait_until(
                lambda answerer=answerer: ask(url, "Vem är du?")["version"] == answerer,
                within=10,
                what=f"story {story}: {answerer} answers after {verb}",
            )
            held = {"rollback": [found.second]}.get(verb, [])
            assert [entry["dna"] for entry in item["status"]["quarantine"]] == held, f"story {story}: after {verb}"
        the_same_end(kube, found, story)
        moments = ", ".join(f"{verb} {after:.2f} s" for (verb, _), after in zip(STEPS, killed_after, strict=True))
        print(f"proved: story {story}: the operator killed after {moments}; the same end, each transition once")


def current(item: dict[str, Any]) -> str:
    """The DNA in status.current."""
    found: str = item["status"].get("current", {}).get("dna", "")
    return found


def asked_and_killed(kube: Kube, verb: str, value: str, after: float, story: int) -> float:
    """Annotate, kill the operator `after` seconds later, and wait until its successor has done what was asked."""
    before = kube.get("oneseekmodel", MODEL)
    assert before is not None
    old = before["status"].get("request", {}).get("id")
    kube.kubectl("annotate", "--overwrite", "oneseekmodel", MODEL, f"oneseek.io/{verb}={value}")
    threading.Event().wait(after)  # a moment, not a wait for anything
    operator_process.replace()

    def ended(item: dict[str, Any]) -> bool:
        told = item["status"].get("request", {})
        return told.get("id") != old and told.get("outcome", "Pending") != "Pending"

    what = f"story {story}: an outcome of {verb}, the operator killed {after:.2f} s after it was asked for"
    item = kube.wait("oneseekmodel", MODEL, ended, within=180, what=what)
    request = item["status"]["request"]
    assert (request["verb"], request["outcome"]) == (verb, "Succeeded"), f"{what}: {request}"
    annotations = item["metadata"].get("annotations", {})
    assert f"oneseek.io/{verb}" not in annotations, f"{what}: the annotation is still there"
    return after


def the_same_end(kube: Kube, found: Given, story: int) -> None:
    """After a promotion, a rollback and a reset: nothing certified is left, and the ledger tells each once."""
    item = kube.wait(
        "oneseekmodel", MODEL, lambda item: not item["status"].get("outbox"), within=90, what="the outbox is empty"
    )
    status = item["status"]
    states = {version["dna"]: version["state"] for version in status["versions"]}
    assert states == {found.first: "Deleted", found.second: "Deleted"}, f"story {story}"
    assert not {"current", "previous", "candidate", "selection"} & status.keys(), f"story {story}: {status}"
    assert status["counters"] == {"major": 2, "micro": 0}, f"story {story}"
    certified = found.folder / "oneseek-certified"
    assert sorted(path.name for path in certified.iterdir()) == [".ledger", "README.md"], f"story {story}"
    log = (certified / ".ledger" / "reset-log.jsonl").read_text().splitlines()
    assert len(log) == 1, f"story {story}: {log}"
    assert ledger_types(kube, MODEL) == LEDGER, f"story {story}"
