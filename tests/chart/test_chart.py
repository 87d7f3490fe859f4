"""The chart as helm renders it: what is asked for, what is refused, and no more rights than handlers use."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.kube import ROOT

IMAGES = ["--set", "images.operator=op:1", "--set", "images.slim=slim:1", "--set", "images.runtime=rt:1"]


def render(*arguments: str, images: bool = True) -> list[dict[str, Any]]:
    """What `helm template` gives."""
    command = [str(ROOT / ".local/bin/helm"), "template", "oneseek", str(ROOT / "charts/oneseek")]
    command += ["-n", "sys", "--kube-version", "1.34.0"]
    done = subprocess.run(
        [*command, *(IMAGES if images else []), *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        raise AssertionError(done.stderr)
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The rendered objects of a kind."""
    return [item for item in objects if item["kind"] == kind]


def test_the_whole_cluster_is_watched_with_a_cluster_role() -> None:
    objects = render()
    names = [item["metadata"]["name"] for item in of_kind(objects, "ClusterRole")]
    assert names == ["sys-oneseek-operator", "sys-oneseek-operator-tokens"]
    assert [item["metadata"]["name"] for item in of_kind(objects, "Role")] == ["oneseek-operator-key"]
    env = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "ONESEEK_NAMESPACES", "value": ""} in env


def test_named_namespaces_need_no_cluster_wide_rights() -> None:
    objects = render("--set", "namespaces={a,b}")
    assert of_kind(objects, "ClusterRole") == of_kind(objects, "ClusterRoleBinding") == []
    assert sorted(item["metadata"]["namespace"] for item in of_kind(objects, "Role")) == ["a", "b", "sys"]
    assert {item["subjects"][0]["namespace"] for item in of_kind(objects, "RoleBinding")} == {"sys"}


def test_of_cluster_wide_bindings_only_the_token_reviewers_may_be_touched() -> None:
    rules = [rule for item in of_kind(render(), "ClusterRole") for rule in item["rules"]]
    touching = [rule for rule in rules if set(rule["resources"]) & {"clusterroles", "clusterrolebindings"}]
    assert {tuple(rule["verbs"]) for rule in touching} == {("get", "update"), ("bind",)}
    assert all(rule["resourceNames"] == ["sys-oneseek-operator-tokens"] for rule in touching)
    binding = next(
        item for item in of_kind(render(), "ClusterRoleBinding") if item["metadata"]["name"].endswith("tokens")
    )
    assert "subjects" not in binding, "they are the operator's; an upgrade must not take them away"


def environment(objects: list[dict[str, Any]]) -> dict[str, str]:
    """The operator's environment, as far as the chart gives it in plain values."""
    env = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    return {item["name"]: item["value"] for item in env if "value" in item}


@pytest.mark.parametrize(
    ("arguments", "installed"),
    [
        ([], True),
        (["--set", "admissionPolicy=never"], False),
        (["--set", "namespaces={a}"], False),
        (["--set", "namespaces={a}", "--set", "admissionPolicy=always"], True),
    ],
    ids=["cluster", "never", "namespaced", "always"],
)
def test_the_operator_is_told_whether_the_admission_policy_is_there(arguments: list[str], *, installed: bool) -> None:
    objects = render(*arguments)
    assert bool(of_kind(objects, "ValidatingAdmissionPolicy")) is installed
    assert (environment(objects)["ONESEEK_ADMISSION_POLICY"] == "on") is installed
    bindings = of_kind(objects, "ValidatingAdmissionPolicyBinding")
    assert [item["spec"]["validationActions"] for item in bindings] == [["Deny"]] * installed


def test_sidecars_of_named_namespaces_can_review_no_tokens_and_the_operator_knows() -> None:
    assert environment(render())["ONESEEK_TOKEN_REVIEWERS"] == "sys-oneseek-operator-tokens"
    assert environment(render("--set", "namespaces={a}"))["ONESEEK_TOKEN_REVIEWERS"] == ""


@pytest.mark.parametrize("arguments", [[], ["--set", "namespaces={a}"]], ids=["cluster", "namespaced"])
def test_rights_are_named_one_by_one(arguments: list[str]) -> None:
    for role in [item for item in render(*arguments) if item["kind"] in ("Role", "ClusterRole")]:
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if "secrets" in rule["resources"]:
                own = rule.get("resourceNames") == ["oneseek-operator-key"]
                assert rule["verbs"] == (["get"] if own else ["create"]), "keys are written and never read back"
            if set(rule["resources"]) & {"oneseekmodels", "trainingruns"}:
                made = {"create"} if rule["resources"] == ["trainingruns"] else set()  # of windows that clients filled
                assert not ({"create", "update", "delete"} - made) & set(rule["verbs"]), (
                    "the operator never writes a spec"
                )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "images.slim="], "slim"),
        (["--set", "image=x"], "image"),
        (["--set", "huggingFace.endpoint=ftp://x"], "endpoint"),
        (["--set", "operator.candidateDeadlineSeconds=1"], "candidateDeadlineSeconds"),
        (["--set", "namespaces={Bad_Name}"], "namespaces"),
    ],
)
def test_values_that_mean_nothing_are_refused(arguments: list[str], sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        render(*arguments)


def test_the_image_for_firestore_is_told_where_there_is_one() -> None:
    assert environment(render())["ONESEEK_FIRESTORE_IMAGE"] == ""
    assert environment(render("--set", "images.firestore=fs:1"))["ONESEEK_FIRESTORE_IMAGE"] == "fs:1"


def test_images_must_be_named() -> None:
    with pytest.raises(AssertionError, match="images"):
        render(images=False)


def test_the_definitions_are_kept_when_the_chart_goes() -> None:
    definitions = of_kind(render(), "CustomResourceDefinition")
    assert {item["metadata"]["name"] for item in definitions} == {"oneseekmodels.oneseek.io", "trainingruns.oneseek.io"}
    for item in definitions:
        assert item["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert of_kind(render("--set", "crds.install=false"), "CustomResourceDefinition") == []


def test_the_operators_pod_meets_the_restricted_standard() -> None:
    pod = of_kind(render(), "Deployment")[0]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = pod["containers"][0]["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_never_two_operators_at_once() -> None:
    deployment = of_kind(render(), "Deployment")[0]
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_pull_secrets_reach_the_operator_and_its_pods() -> None:
    deployment = of_kind(render("--set", "images.pullSecrets={one,two}"), "Deployment")[0]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["imagePullSecrets"] == [{"name": "one"}, {"name": "two"}]
    env = {item["name"]: item.get("value") for item in pod["containers"][0]["env"]}
    assert env["ONESEEK_IMAGE_PULL_SECRETS"] == "one two"


VALUES: dict[str, Any] = yaml.safe_load((ROOT / "charts/oneseek/values.yaml").read_text())


def paths(values: dict[str, Any], before: str = "") -> list[str]:
    """Every key of the values, those within others too."""
    found = []
    for key, value in values.items():
        found += [f"{before}{key}", *(paths(value, f"{before}{key}.") if isinstance(value, dict) else [])]
    return found


REQUIRED = {"images", "images.operator", "images.slim", "images.runtime"}


def test_the_templates_know_the_defaults_of_the_values() -> None:
    assert yaml.safe_load((ROOT / "charts/oneseek/defaults.yaml").read_text()) == VALUES


@pytest.mark.parametrize("path", [path for path in paths(VALUES) if path not in REQUIRED])
def test_a_value_that_is_null_means_its_default(path: str, tmp_path: Path) -> None:
    assert render("--set", f"{path}=null") == render()
    node: Any = None
    for key in reversed(path.split(".")):
        node = {key: node}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(node))
    assert render("-f", str(tmp_path / "values.yaml")) == render(), "from a file it is the same"


@pytest.mark.parametrize("path", sorted(REQUIRED))
def test_an_image_that_is_null_is_refused_as_one_that_is_not_named(path: str) -> None:
    with pytest.raises(AssertionError, match=path.rpartition(".")[2]):
        render("--set", f"{path}=null", images=path != "images")


def test_several_nulls_and_values_beside_them_mean_what_they_say() -> None:
    given = ["operator.resources.limits=null", "operator.candidateDeadlineSeconds=60", "crds=null", "namespaces={a,b}"]
    objects = render(*(word for item in given for word in ("--set", item)))
    assert environment(objects)["ONESEEK_CANDIDATE_DEADLINE_SECONDS"] == "60"
    assert environment(objects)["ONESEEK_NAMESPACES"] == "a b"
    container = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"] == VALUES["operator"]["resources"]
    assert len(of_kind(objects, "CustomResourceDefinition")) == 2


@pytest.mark.parametrize(
    ("value", "gone"),
    [("crds.install=false", "CustomResourceDefinition"), ("admissionPolicy=never", "ValidatingAdmissionPolicy")],
)
def test_a_value_that_says_no_is_not_taken_for_one_that_is_missing(value: str, gone: str) -> None:
    assert of_kind(render("--set", value), gone) == []


def test_an_older_kubernetes_than_the_definitions_need_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"1\.31"):
        render("--kube-version", "1.30.9")
    assert render("--kube-version", "1.31.0")


def test_the_operator_may_read_why_a_controller_makes_no_pod_and_writes_no_other_events() -> None:
    rules = [rule for item in of_kind(render(), "ClusterRole") for rule in item["rules"]]
    assert [rule["verbs"] for rule in rules if rule["resources"] == ["events"]] == [["create", "list"]]


def test_images_that_users_name_are_asked_of_their_registry_unless_said_otherwise() -> None:
    assert environment(render())["ONESEEK_USER_IMAGE_PULL_POLICY"] == "Always"
    without = render("--set", "images.userPullPolicy=IfNotPresent")
    assert environment(without)["ONESEEK_USER_IMAGE_PULL_POLICY"] == "IfNotPresent"
