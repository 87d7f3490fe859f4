"""Who may change a model over HTTP: the real sidecar, the real API server, real tokens, every column of docs/reference/auth.md."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from support.auth_accounts import account, post, token
from support.auth_matrix import COLUMNS, Row, expire, rows
from support.dev import url_of
from support.kube import NAME, ROOT, Kube, condition, scratch_namespace
from support.volumes import Given, adopting_model, given

MODEL = "zero"
DEEDS = ("promote", "reset", "train")  # what the routes want, and no other right
UNKNOWN = "OneSeek-7B-Zero.v9.9.sv.dsIdentity.00000000.00000000"
BODIES = {"/api/models/set-current": {"modelId": UNKNOWN}, "/api/oqt/query": {"question": "Vem är du?"}}


@dataclass
class Team:
    """A model that answers, and a token for each column."""

    url: str
    tokens: dict[str, str]

    def post(self, path: str, body: Any, token: str) -> tuple[int, dict[str, Any], Any]:
        """Status, body and headers of a post."""
        return post(self.url, path, body, token)


@pytest.fixture(scope="module")
def versions(kube: Kube) -> Iterator[Given]:
    """One certified version."""
    with given(kube, "auth", versions=1) as found:
        yield found


@pytest.fixture(scope="module")
def team(kube: Kube, versions: Given) -> Iterator[Team]:
    """The model and everybody's tokens."""
    kube.apply(adopting_model(kube, MODEL, versions))
    account(kube, "promoter", *DEEDS)
    account(kube, "reader", "get", "list", "watch")
    account(kube, "editor", "get", "list", "watch", "create", "update", "patch", "delete")
    account(kube, "leaver", *DEEDS)
    leaver = token(kube, "leaver")
    kube.delete("serviceaccount", "leaver")
    with scratch_namespace("auth-other") as other:
        account(other, "promoter", *DEEDS)
        right = token(kube, "promoter")
        tokens = {
            "none": "",
            "expired": expire(right, ROOT / ".local" / NAME / "pki/accounts.key"),
            "revoked": leaver,
            "audience": token(kube, "promoter", "somebody-else"),
            "namespace": token(other, "promoter"),
            "reader": token(kube, "reader"),
            "editor": token(kube, "editor"),
            "right": right,
        }
        assert set(tokens) == set(COLUMNS)
        kube.wait("oneseekmodel", MODEL, lambda item: condition(item).get("status") == "True", within=180)
        yield Team(url_of(kube.namespace, MODEL), tokens)


# Reset is let in by the last test alone: it is the one that does something.
CASES = [(row, column) for row in rows() for column in COLUMNS if (row.path, column) != ("/api/models/reset", "right")]


@pytest.mark.parametrize(("row", "column"), CASES, ids=[f"{row.path}-{column}" for row, column in CASES])
def test_the_table_holds(team: Team, row: Row, column: str) -> None:
    status, body, headers = team.post(row.path, BODIES.get(row.path, {}), team.tokens[column])
    expected = row.expected(column)
    if expected is None:
        assert status not in (401, 403, 503), body
        return
    assert status == expected, body
    assert len(body["error"].split()) >= 6, "a sentence"
    assert ("WWW-Authenticate" in headers) == (status == 401)


def test_refusals_say_what_is_wrong(team: Team, kube: Kube) -> None:
    def said(column: str) -> str:
        return str(team.post("/api/models/reset", {}, team.tokens[column])[1]["error"])

    assert "kubectl create token ACCOUNT --audience oneseek" in said("none")
    assert "expired" in said("expired")
    assert "oneseek" in said("audience")
    who = f"system:serviceaccount:{kube.namespace}:reader may not reset oneseekmodels.oneseek.io/zero"
    assert f"{who} in namespace {kube.namespace}" in said("reader")


def test_the_model_says_that_tokens_are_accepted(team: Team, kube: Kube) -> None:
    model = kube.get("oneseekmodel", MODEL)
    assert model is not None
    assert condition(model, "TokensAccepted")["status"] == "True"


def test_only_the_sidecar_container_has_a_token(team: Team, kube: Kube) -> None:
    pod = kube.list("pods", "app.kubernetes.io/component=serving")[0]
    assert pod["spec"]["serviceAccountName"] == "oneseek-sidecar-zero"
    containers = pod["spec"]["containers"] + pod["spec"]["initContainers"]
    with_token = [
        item["name"] for item in containers if any("serviceaccount" in m["mountPath"] for m in item["volumeMounts"])
    ]
    assert with_token == ["sidecar"]


def test_a_reset_reaches_the_model_in_the_persons_name_and_the_sidecars(team: Team, kube: Kube) -> None:
    status, body, _ = team.post("/api/models/reset", {}, team.tokens["right"])
    assert status in (200, 202, 409), body
    model = kube.get("oneseekmodel", MODEL)
    assert model is not None
    asked = model.get("status", {}).get("request", {})
    by = asked.get("requestedBy") or model["metadata"].get("annotations", {}).get("oneseek.io/requested-by")
    assert by == f"system:serviceaccount:{kube.namespace}:promoter via oneseek-sidecar-zero"


def test_in_legacy_mode_nobody_is_asked(team: Team, kube: Kube, versions: Given) -> None:
    kube.apply(adopting_model(kube, MODEL, versions, serving={"auth": {"mode": "Legacy"}}))

    def answers() -> bool:
        status, _, _ = team.post("/api/models/set-current", {"modelId": UNKNOWN}, "")
        return status == 404

    kube.wait("oneseekmodel", MODEL, lambda _item: answers(), within=180, what="set-current without a token is let in")
