"""The admission policies on the real API server: who asks is who says so and has the verb, and sidecars keep to annotations.

The model's claim does not exist, so the operator starts nothing; nearly every request is a server-side dry run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.identities import holding, impersonating
from support.kube import Kube, KubectlError
from support.makers import model_manifest, run_manifest

VERBS = ("rollback", "promote", "release", "reset", "retry")
ROLES = ("view", "edit", "promoter", "admin")


@pytest.fixture(scope="module")
def team(kube: Kube) -> Kube:
    """Two models, and people and sidecars whom RBAC lets do everything with them: what is refused, the policy refuses.

    Beside them one for each ClusterRole of the chart, `has-ROLE`.
    """
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
    for name in ROLES:
        kube.kubectl("create", "rolebinding", name, f"--clusterrole=oneseek-{name}", f"--user=has-{name}")
    for name in ("one", "two"):
        kube.apply(model_manifest(name, kube.namespace, storage={"claimName": "nowhere"}))
    kube.apply(run_manifest("ended", "nobody", kube.namespace))
    return kube


def patch(
    kube: Kube, who: str, change: dict[str, Any], *, kind: str = "oneseekmodel", model: str = "one", dry: bool = True
) -> str:
    """A merge patch of a model as somebody; "": as whoever the kubeconfig says."""
    words = ["patch", kind, model, "--type=merge", "-p", json.dumps(change), *([f"--as={who}"] if who else [])]
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


@pytest.fixture(scope="module")
def sidecar(team: Kube, tmp_path_factory: pytest.TempPathFactory) -> Kube:
    """The API server as a sidecar of the model sees it, from within its pod."""
    return impersonating(team, tmp_path_factory.mktemp("sidecar"), account(team, "oneseek-sidecar-one"), pod="one-abc")


def test_a_sidecar_asks_for_the_person_whose_token_it_reviewed(sidecar: Kube) -> None:
    patch(sidecar, "", notes(promote="x", requested_by="anna via oneseek-sidecar-one"))
    patch(sidecar, "", notes(micro_window="3"))
    for name in ("anna", "anna via oneseek-sidecar-two", " via oneseek-sidecar-one", None):
        with pytest.raises(KubectlError, match="a sidecar names the person it asks for"):
            patch(sidecar, "", notes(promote="x", requested_by=name))


@pytest.mark.parametrize("word", ["rollback", "release", "retry", "acknowledge-ledger"])
def test_a_sidecar_asks_for_nothing_that_no_route_of_it_does(sidecar: Kube, word: str) -> None:
    with pytest.raises(KubectlError, match="is a sidecar, and no route of it asks for this"):
        patch(sidecar, "", notes(**{word: "x", "requested_by": "anna via oneseek-sidecar-one"}))


def test_who_impersonates_a_sidecars_account_is_no_sidecar(team: Kube) -> None:
    with pytest.raises(KubectlError, match="does not come from a pod of theirs: ask under your own name"):
        patch(
            team, account(team, "oneseek-sidecar-one"), notes(promote="x", requested_by="anna via oneseek-sidecar-one")
        )


def test_a_token_of_a_sidecars_account_that_no_pod_has_is_no_sidecars(team: Kube, tmp_path: Path) -> None:
    """What built-in `edit` may do with accounts of its namespace: impersonate them, and have tokens made."""
    name = "oneseek-sidecar-one"
    meta = {"name": name, "namespace": team.namespace}
    team.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta}, pod_of(name, "a-pod"))
    asks = notes(promote="x", requested_by="anna via oneseek-sidecar-one")
    bare = holding(team, tmp_path, team.kubectl("create", "token", name).strip())
    with pytest.raises(KubectlError, match="does not come from a pod of theirs"):
        patch(bare, "", asks)
    bound = ["--bound-object-kind=Pod", "--bound-object-name=a-pod"]
    patch(holding(team, tmp_path, team.kubectl("create", "token", name, *bound).strip()), "", asks)


def pod_of(account: str, name: str) -> dict[str, Any]:
    """A pod that is there and never starts; the `restricted` standard lets it in."""
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {"name": "nothing", "image": "nowhere.invalid/nothing:1", "securityContext": context}
    security = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"serviceAccountName": account, "securityContext": security, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def test_built_in_edit_impersonates_a_sidecar_and_gets_nowhere(team: Kube, tmp_path: Path) -> None:
    team.kubectl("create", "serviceaccount", "builder")
    team.kubectl("create", "rolebinding", "builder", "--clusterrole=edit", f"--serviceaccount={team.namespace}:builder")
    builder = holding(team, tmp_path, team.kubectl("create", "token", "builder").strip())
    asks = notes(promote="x", requested_by="anna via oneseek-sidecar-one")
    with pytest.raises(KubectlError, match="does not come from a pod of theirs"):
        patch(builder, account(team, "oneseek-sidecar-one"), asks)
    with pytest.raises(
        KubectlError, match=r"cannot impersonate resource \"userextras/authentication.kubernetes.io/pod-name"
    ):
        patch(impersonating(builder, tmp_path, account(team, "oneseek-sidecar-one"), pod="one-abc"), "", asks)


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
def test_who_may_patch_and_not_update_changes_nothing_but_our_annotations(
    team: Kube, sidecar: Kube, change: dict[str, Any]
) -> None:
    team.wait("oneseekmodel", "one", lambda item: bool(item["metadata"].get("finalizers")), within=30)
    with pytest.raises(KubectlError, match="may change nothing of its OneSeekModel but annotations that start with"):
        patch(sidecar, "", change)
    with pytest.raises(KubectlError, match=r"has-promoter may patch oneseekmodels\.oneseek\.io/one and not update it"):
        patch(team, "has-promoter", change)
    patch(team, "has-edit", change)


def test_a_sidecar_changes_no_other_model(sidecar: Kube) -> None:
    with pytest.raises(KubectlError, match="is a sidecar and may change no object but its own OneSeekModel"):
        patch(sidecar, "", notes(promote="x", requested_by="anna via oneseek-sidecar-one"), model="two")


MAY = {
    "promote": {"promoter", "admin"},
    "rollback": {"promoter", "admin"},
    "release": {"promoter", "admin"},
    "reset": {"admin"},
    "acknowledge-ledger": {"admin"},
    "micro-window": {"edit", "admin"},
    "major-window": {"edit", "admin"},
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("word", MAY)
def test_who_may_write_does_not_by_that_ask(team: Kube, word: str, role: str) -> None:
    verb = "train" if word.endswith("-window") else word
    if role in MAY[word]:
        patch(team, f"has-{role}", notes(**{word: "x"}))
        return
    no_verb = f"has-{role} may not {verb} oneseekmodels.oneseek.io/one in namespace {team.namespace}: a Role there with"
    with pytest.raises(KubectlError) as refused:
        patch(team, f"has-{role}", notes(**{word: "x"}))
    assert ('cannot patch resource "oneseekmodels"' if role == "view" else no_verb) in str(refused.value)


def test_a_run_is_retried_by_who_may_retry(team: Kube) -> None:
    patch(team, "has-edit", notes(retry="true"), kind="trainingrun", model="ended")
    editing = ["--verb=get,list,update,patch", "--resource=trainingruns.oneseek.io"]
    team.kubectl("create", "role", "edits-runs", *editing)
    team.kubectl("create", "rolebinding", "edits-runs", "--role=edits-runs", "--user=edits-runs")
    with pytest.raises(KubectlError, match=r"edits-runs may not retry trainingruns\.oneseek\.io/ended in namespace"):
        patch(team, "edits-runs", notes(retry="true"), kind="trainingrun", model="ended")


def test_a_manifest_that_asks_needs_the_verb_too(team: Kube) -> None:
    manifest = model_manifest("three", team.namespace, storage={"claimName": "nowhere"})
    manifest["metadata"]["annotations"] = {"oneseek.io/reset": "RESET"}
    with pytest.raises(KubectlError, match=r"has-edit may not reset oneseekmodels\.oneseek\.io/three"):
        team.kubectl("create", "-f", "-", "--as=has-edit", "--dry-run=server", stdin=json.dumps(manifest))


def test_who_opens_the_routes_to_everybody_may_do_all_that_they_do(team: Kube) -> None:
    opened = {"spec": {"serving": {"auth": {"mode": "Legacy"}}}}
    all_verbs = {"promote", "reset", "train"}
    for missing in sorted(all_verbs):
        verbs = ",".join(sorted({"get", "update", "patch"} | all_verbs - {missing}))
        who = f"lacks-{missing}"
        team.kubectl("create", "role", who, f"--verb={verbs}", "--resource=oneseekmodels.oneseek.io")
        team.kubectl("create", "rolebinding", who, f"--role={who}", f"--user={who}")
        with pytest.raises(KubectlError) as refused:
            patch(team, who, opened)
        said = f"{who} may not {missing} oneseekmodels.oneseek.io/one in namespace {team.namespace}, and spec.serving.auth.mode"
        assert said in str(refused.value)
    patch(team, "has-admin", opened)
    manifest = model_manifest("three", team.namespace, storage={"claimName": "nowhere"}, **opened["spec"])
    with pytest.raises(KubectlError, match="Legacy lets everybody do it"):
        team.kubectl("create", "-f", "-", "--as=has-edit", "--dry-run=server", stdin=json.dumps(manifest))


def test_nobody_takes_over_a_request_that_stands_there_without_its_verb(team: Kube) -> None:
    patch(
        team, "", notes(promote="x"), kind="trainingrun", model="ended", dry=False
    )  # means nothing to a run, so it stays
    try:
        with pytest.raises(KubectlError, match="has-edit may not promote"):
            patch(team, "has-edit", notes(requested_by="has-edit"), kind="trainingrun", model="ended")
    finally:
        patch(team, "", notes(promote=None), kind="trainingrun", model="ended", dry=False)


def test_what_stands_there_already_is_asked_of_nobody_again(team: Kube) -> None:
    patch(team, "", notes(promote="means-nothing-to-a-run"), kind="trainingrun", model="ended", dry=False)
    patch(team, "has-edit", {"metadata": {"labels": {"a": "b"}}}, kind="trainingrun", model="ended")


def test_the_operator_may_take_requests_away(team: Kube) -> None:
    patch(team, "anna", notes(requested_by="anna"), dry=False)
    operator = "system:serviceaccount:oneseek-system:oneseek-operator"
    patch(team, operator, notes(requested_by=None), dry=False)
