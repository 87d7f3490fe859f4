"""set-current and reset over HTTP, end to end: a token, the sidecar, the operator, and who is named for it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from support.auth_accounts import account, post, token
from support.dev import read, url_of
from support.kube import Kube, wait_until
from support.volumes import Given, adopting_model, given

SET_CURRENT, RESET = "/api/models/set-current", "/api/models/reset"


@pytest.fixture(scope="module")
def versions(kube: Kube) -> Iterator[Given]:
    """Two certified versions."""
    with given(kube, "http") as found:
        yield found


@pytest.fixture(scope="module")
def url(kube: Kube, versions: Given) -> str:
    """A model that has adopted both, the newer one answering."""
    kube.apply(adopting_model(kube, "zero", versions, version="auto"))
    account(kube, "promoter", "promote", "reset")
    answers(kube, versions.second, within=180)
    return url_of(kube.namespace, "zero")


def answers(kube: Kube, dna: str | None, *, within: float) -> None:
    """Wait until a version answers; None: the base model."""
    kube.wait(
        "oneseekmodel",
        "zero",
        lambda item: item["status"].get("current", {}).get("dna") == dna,
        within=within,
        what=f"{dna or 'the base model'} answers",
    )


def until_done(url: str, path: str, body: Any, bearer: str) -> tuple[int, dict[str, Any]]:
    """Post until the answer is final: 202 says that it is under way, and the same request is joined."""
    deadline = time.monotonic() + 120
    while True:
        status, answer, _ = post(url, path, body, bearer)
        if status != 202 or time.monotonic() > deadline:
            return status, answer
        assert answer["success"] is True


def test_the_older_version_is_made_current_and_the_person_is_named(kube: Kube, url: str, versions: Given) -> None:
    older = versions.first
    status, body = until_done(url, SET_CURRENT, {"modelId": older}, token(kube, "promoter"))
    assert status == 200, body
    assert body["modelId"] == older
    answers(kube, older, within=60)
    model = kube.get("oneseekmodel", "zero")
    assert model is not None
    request = model["status"]["request"]
    assert (request["verb"], request["outcome"]) == ("promote", "Succeeded")
    assert request["requestedBy"] == f"system:serviceaccount:{kube.namespace}:promoter via oneseek-sidecar-zero"
    assert "oneseek.io/promote" not in model["metadata"].get("annotations", {})


def test_the_version_that_answers_already_is_no_error(kube: Kube, url: str, versions: Given) -> None:
    status, body = until_done(url, SET_CURRENT, {"modelId": versions.first}, token(kube, "promoter"))
    assert (status, body["success"]) == (200, True), body


def test_a_pin_in_git_refuses_with_the_operators_sentence(kube: Kube, url: str, versions: Given) -> None:
    patch_version(kube, versions.first)
    status, body = until_done(url, SET_CURRENT, {"modelId": versions.second}, token(kube, "promoter"))
    assert (status, body["details"]) == (409, "PinnedByGit"), body
    assert len(body["error"].split()) >= 5
    patch_version(kube, "auto")


def test_reset_leaves_the_base_model_answering_and_the_folder_empty(kube: Kube, url: str) -> None:
    status, body = until_done(url, RESET, None, token(kube, "promoter"))
    assert status == 200, body
    assert body["details"]["action"] == "Full reset completed"
    answers(kube, None, within=60)
    wait_until(lambda: read(url, "/api/models/certified")["count"] == 0, within=60, what="no version is listed")
    assert read(url, "/api/oqt/status")["model"]["isCertified"] is False


def patch_version(kube: Kube, version: str) -> None:
    """Write spec.version as Git would."""
    kube.kubectl("patch", "oneseekmodel", "zero", "--type=merge", "-p", json.dumps({"spec": {"version": version}}))
