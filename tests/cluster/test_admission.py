"""The admission policy on the real API server: who asks is who says so, and sidecars change nothing but annotations.

The model's claim does not exist, so the operator starts nothing; nearly every request is a server-side dry run.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.kube import Kube, KubectlError
from support.makers import model_manifest

VERBS = ("rollback", "promote", "release", "reset", "retry")


@pytest.fixture(scope="module")
def team(kube: Kube) -> Kube:
    """Two models, and people and sidecars whom RBAC lets do everything with them: what is refused, the policy refuses."""
    subjects: list[dict[str, Any]] = [{"kind": "User", "name": name} for name in ("anna", "bo")]
    subjects += [
        {"kind": "ServiceAccount", "name": name, "namespace": kube.namespace}
        for name in ("oneseek-sidecar-one", "ordinary")
    ]
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "all"}}
    rules = [{"apiGroups": ["oneseek.io"], "resources": ["*"], "verbs": ["*"]}]
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "all"}
    binding = {**role, "kind": "RoleBinding", "roleRef": reference, "subjects": subjects}
    kube.apply({**role, "rules": rules}, binding)
    for name in ("one", "two"):
        kube.apply(model_manifest(name, kube.namespace, storage={"claimName": "nowhere"}))
    return kube


def patch(kube: Kube, who: str, change: dict[str, Any], *, model: str = "one", dry: bool = True) -> str:
    """A merge patch of a model as somebody."""
    words = ["patch", "oneseekmodel", model, "--type=merge", "-p", json.dumps(change), f"--as={who}"]
    return kube.kubectl(*words, *(["--dry-run=server"] if dry else []))


def notes(**values: str | None) -> dict[str, Any]:
    """Annotations of ours as a patch; `_` stands for `-`."""
    return {
        "metadata": {"annotations": {f"oneseek.io/{key.replace('_', '-')}": value for key, value in values.items()}}
    }


def account(kube: Kube, name: str) -> str:
    """A service account's user name."""
    return f"system:serviceaccount:{kube.namespace}:{name}"


@pytest.mark.parametrize("verb", VERBS)
def test_people_ask_under_their_own_name_or_none(team: Kube, verb: str) -> None:
    patch(team, "anna", notes(**{verb: "x", "requested_by": "anna"}))
    patch(team, "anna", notes(**{verb: "x"}))


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_asks_in_anothers_name(team: Kube, verb: str) -> None:
    with pytest.raises(KubectlError) as refused:
        patch(team, "bo", notes(**{verb: "x", "requested_by": "anna"}))
    said = "oneseek.io/requested-by is anna, but the one who asks is bo: set it to your own user name, or leave it out"
    assert said in str(refused.value)


def test_nobody_says_that_a_sidecar_vouches(team: Kube) -> None:
    with pytest.raises(KubectlError, match="the one who asks is bo"):
        patch(team, "bo", notes(promote="x", requested_by="anna via oneseek-sidecar-one"))
    with pytest.raises(KubectlError, match="the one who asks is system:serviceaccount:"):
        patch(team, account(team, "ordinary"), notes(promote="x", requested_by="anna via oneseek-sidecar-one"))


def test_nobody_slips_a_request_under_a_name_that_is_already_there(team: Kube) -> None:
    patch(team, "anna", notes(requested_by="anna"), dry=False)
    try:
        with pytest.raises(KubectlError, match="is anna, but the one who asks is bo"):
            patch(team, "bo", notes(rollback="previous"))
        patch(team, "bo", {"spec": {"suspend": True}})  # changes that ask for nothing are nobody's business here
        patch(team, "bo", notes(rollback="previous", requested_by="bo"))
    finally:
        patch(team, "anna", notes(requested_by=None), dry=False)


def test_a_manifest_with_anothers_name_is_refused_when_it_is_made(team: Kube) -> None:
    manifest = model_manifest("three", team.namespace, storage={"claimName": "nowhere"})
    manifest["metadata"]["annotations"] = {"oneseek.io/requested-by": "anna"}
    with pytest.raises(KubectlError, match="the one who asks is bo"):
        team.kubectl("create", "-f", "-", "--as=bo", "--dry-run=server", stdin=json.dumps(manifest))


def test_a_sidecar_asks_for_the_person_whose_token_it_reviewed(team: Kube) -> None:
    sidecar = account(team, "oneseek-sidecar-one")
    patch(team, sidecar, notes(promote="x", requested_by="anna via oneseek-sidecar-one"))
    for name in ("anna", "anna via oneseek-sidecar-two", " via oneseek-sidecar-one", None):
        with pytest.raises(KubectlError, match="a sidecar names the person it asks for"):
            patch(team, sidecar, notes(promote="x", requested_by=name))


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"suspend": True}},
        {"metadata": {"labels": {"a": "b"}}},
        {"metadata": {"finalizers": []}},
        {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "now"}}},
        {"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": None}}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u"}]}},
    ],
    ids=["spec", "label", "finalizer", "annotation", "remove-annotation", "owner"],
)
def test_a_sidecar_changes_nothing_but_our_annotations(team: Kube, change: dict[str, Any]) -> None:
    team.wait("oneseekmodel", "one", lambda item: bool(item["metadata"].get("finalizers")), within=30)
    with pytest.raises(KubectlError, match="may change nothing of its OneSeekModel but annotations that start with"):
        patch(team, account(team, "oneseek-sidecar-one"), change)


def test_a_sidecar_changes_no_other_model(team: Kube) -> None:
    with pytest.raises(KubectlError, match="is a sidecar and may change no object but its own OneSeekModel"):
        patch(
            team,
            account(team, "oneseek-sidecar-one"),
            notes(promote="x", requested_by="anna via oneseek-sidecar-one"),
            model="two",
        )


def test_the_operator_may_take_requests_away(team: Kube) -> None:
    patch(team, "anna", notes(requested_by="anna"), dry=False)
    operator = "system:serviceaccount:oneseek-system:oneseek-operator"
    patch(team, operator, notes(requested_by=None), dry=False)
