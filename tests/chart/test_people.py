"""What the chart lets people do: four ClusterRoles, and policies with a rule for each request and each Secret."""

from __future__ import annotations

import re
from typing import Any

import pytest

from oneseek_core import names
from support.people import BEGIN, DEEDS, DOCUMENT, END, ROLES, may, rendered, roles, table
from support.secret_uses import SPECS, places

REQUESTS = {("oneseekmodels", verb) for verb in (*names.REQUEST_VERBS, names.TRAIN_VERB)} | {
    ("trainingruns", names.RETRY_VERB)
}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    """The four roles."""
    return roles()


@pytest.fixture(scope="module")
def policies() -> dict[str, str]:
    """The expressions of each policy, by the last word of its name."""
    items = [item for item in rendered() if item["kind"] == "ValidatingAdmissionPolicy"]
    return {
        item["metadata"]["name"].rpartition("-")[2]: " ".join(
            rule["expression"] for part in ("variables", "validations") for rule in item["spec"][part]
        )
        for item in items
    }


def test_the_document_tells_what_the_roles_give(found: dict[str, dict[str, Any]]) -> None:
    shown = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0].strip()
    assert shown == table(found), (
        "run `PYTHONPATH=core:tests python -m support.people` and commit docs/reference/auth.md"
    )


def test_every_request_is_a_right_that_the_admin_has_and_the_table_tells(found: dict[str, dict[str, Any]]) -> None:
    assert may(found["admin"]) >= REQUESTS
    assert set(DEEDS) >= REQUESTS


def test_who_deploys_does_not_decide_what_answers(found: dict[str, dict[str, Any]]) -> None:
    assert may(found["edit"]) & REQUESTS == {("oneseekmodels", "train"), ("trainingruns", "retry")}
    assert {verb for _, verb in may(found["view"])} == {"get", "list", "watch"}


def test_a_promoter_writes_no_spec_and_deletes_nothing(found: dict[str, dict[str, Any]]) -> None:
    assert not {verb for _, verb in may(found["promoter"])} & {
        "create",
        "update",
        "delete",
        "deletecollection",
        "reset",
    }


def test_the_clusters_own_roles_take_in_three_of_them(found: dict[str, dict[str, Any]]) -> None:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    labels = {name: [key for key in found[name]["metadata"]["labels"] if key.startswith(prefix)] for name in ROLES}
    assert labels == {name: [f"{prefix}{name}"] for name in ROLES} | {"promoter": []}


def test_the_roles_can_be_left_out() -> None:
    left = [item["metadata"]["name"] for item in rendered("--set", "clusterRoles.install=false")]
    assert not {f"oneseek-{name}" for name in ROLES} & set(left)


@pytest.mark.parametrize("verb", [*names.REQUEST_VERBS, names.RETRY_VERB, names.TRAIN_VERB])
def test_each_request_has_a_rule_that_asks_for_its_verb(policies: dict[str, str], verb: str) -> None:
    assert f".check('{verb}').allowed()" in policies["requests"]
    words = ("micro-window", "major-window") if verb == names.TRAIN_VERB else (verb,)
    assert set(words) <= set(
        re.findall(r"'([a-z-]+)'", policies["requests"].split(".filter(word")[0].rpartition("[")[2])
    )


def test_every_place_that_names_a_secret_is_known() -> None:
    assert places() == sorted(SPECS), (
        "a field that names a Secret is new, or gone: give it a rule in charts/oneseek/templates/admission.yaml, and a"
        " spec in tests/support/secret_uses.py, with which tests/cluster/test_secrets_named.py tries it"
    )


@pytest.mark.parametrize("place", places())
def test_the_policy_reads_each_place_before_and_after(policies: dict[str, str], place: str) -> None:
    path = place.partition(".")[2].replace("[]", "")
    for tail in (".tokenSecret", ".keySecret", ".credentialsSecret"):
        path = path.removesuffix(tail)
    if "dataset" in path:  # read together, and then each one's source
        path = path.removesuffix(".source.huggingFace")
    for spec in ("object.spec", "variables.before"):
        assert f"{spec}.?{path.replace('.', '.?')}" in policies["secrets"]
