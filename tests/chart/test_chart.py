"""The chart as helm renders it: what is asked for, what is refused, and no more rights than handlers use."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from oneseek_operator.settings import NetworkPolicies
from support.kube import ROOT

IMAGES = ["--set", "images.operator=op:1", "--set", "images.slim=slim:1", "--set", "images.runtime=rt:1"]


KEY, AUTHORITY = "oneseek-operator-key", "oneseek-operator-authority"
SECRETS = {((KEY, AUTHORITY), ("get",)), ((AUTHORITY,), ("update",)), ((), ("create",)), ((), ("create", "update"))}


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


def operators(roles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those roles that are not for people to bind."""
    return [item for item in roles if item["metadata"]["name"].startswith(("sys-", "oneseek-operator"))]


def test_the_whole_cluster_is_watched_with_a_cluster_role() -> None:
    objects = render()
    names = [item["metadata"]["name"] for item in operators(of_kind(objects, "ClusterRole"))]
    assert names == ["sys-oneseek-operator", "sys-oneseek-operator-tokens"]
    assert [item["metadata"]["name"] for item in of_kind(objects, "Role")] == ["oneseek-operator-key"]
    env = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "ONESEEK_NAMESPACES", "value": ""} in env


def test_named_namespaces_need_no_cluster_wide_rights() -> None:
    objects = render("--set", "namespaces={a,b}")
    assert operators(of_kind(objects, "ClusterRole")) == of_kind(objects, "ClusterRoleBinding") == []
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
        (["--set", "namespaces={a}"], True),
        (["--set", "namespaces={a}", "--set", "admissionPolicy=never"], False),
        (["--set", "admissionPolicy=always"], True),
    ],
    ids=["cluster", "never", "namespaced", "namespaced-never", "always"],
)
def test_the_operator_is_told_whether_the_admission_policy_is_there(arguments: list[str], *, installed: bool) -> None:
    objects = render(*arguments)
    assert bool(of_kind(objects, "ValidatingAdmissionPolicy")) is installed
    assert (environment(objects)["ONESEEK_ADMISSION_POLICY"] == "on") is installed
    bindings = of_kind(objects, "ValidatingAdmissionPolicyBinding")
    assert [item["spec"]["validationActions"] for item in bindings] == [["Deny"]] * 2 * installed
    selectors = ["namespaceSelector" in item["spec"].get("matchResources", {}) for item in bindings]
    assert all(found is ("namespaces={a}" in arguments) for found in selectors)


def test_sidecars_of_named_namespaces_can_review_no_tokens_and_the_operator_knows() -> None:
    assert environment(render())["ONESEEK_TOKEN_REVIEWERS"] == "sys-oneseek-operator-tokens"
    assert environment(render("--set", "namespaces={a}"))["ONESEEK_TOKEN_REVIEWERS"] == ""


def the_policy(*arguments: str) -> dict[str, Any]:
    """The one NetworkPolicy that the chart makes: its spec."""
    (found,) = of_kind(render(*arguments), "NetworkPolicy")
    spec: dict[str, Any] = found["spec"]
    return spec


def test_to_the_operators_own_pod_nobody_comes_and_it_goes_to_the_api_server_and_to_models_pods() -> None:
    spec = the_policy()
    pod = of_kind(render(), "Deployment")[0]["spec"]["template"]["metadata"]["labels"]
    assert spec["podSelector"]["matchLabels"] == pod
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in spec
    names, server, pods = spec["egress"]
    assert names == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert server == {"ports": [{"port": 443, "protocol": "TCP"}, {"port": 6443, "protocol": "TCP"}]}
    assert [item["port"] for item in pods["ports"]] == [8080, 8081, 8082, 8084]
    (peer,) = pods["to"]
    assert peer["podSelector"] == {"matchExpressions": [{"key": "oneseek.io/model", "operator": "Exists"}]}
    assert peer["namespaceSelector"] == {}
    (named,) = the_policy("--set", "namespaces={a,b}")["egress"][2]["to"]
    assert named["namespaceSelector"]["matchExpressions"][0]["values"] == ["a", "b"]


def test_the_operator_is_told_of_policies_as_the_values_say_and_of_none_where_they_are_off() -> None:
    block = ["--set", "networkPolicies.apiServer.to[0].ipBlock.cidr=192.0.2.1/32"]
    told = NetworkPolicies.model_validate_json(environment(render(*block))["ONESEEK_NETWORK_POLICIES"])
    assert told.operator == the_policy()["podSelector"]["matchLabels"]
    assert told.hub.ports == (80, 443)
    assert told.api_server.to == ({"ipBlock": {"cidr": "192.0.2.1/32"}},)
    assert the_policy(*block)["egress"][1]["to"] == [{"ipBlock": {"cidr": "192.0.2.1/32"}}]
    off = render("--set", "networkPolicies.enabled=false")
    assert of_kind(off, "NetworkPolicy") == []
    assert environment(off)["ONESEEK_NETWORK_POLICIES"] == ""


@pytest.mark.parametrize("arguments", [[], ["--set", "namespaces={a}"]], ids=["cluster", "namespaced"])
def test_rights_are_named_one_by_one(arguments: list[str]) -> None:
    for role in operators([item for item in render(*arguments) if item["kind"] in ("Role", "ClusterRole")]):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if "secrets" in rule["resources"]:
                told = (tuple(rule.get("resourceNames", ())), tuple(rule["verbs"]))
                assert told in SECRETS, "what a model's Secrets hold is written and never read back, nor patched"
            if set(rule["resources"]) & {"oneseekmodels", "trainingruns"}:
                made = {"create"} if rule["resources"] == ["trainingruns"] else set()  # of windows that clients filled
                assert not ({"create", "update", "delete"} - made) & set(rule["verbs"]), (
                    "the operator never writes a spec"
                )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "images.slim="], "slim"),
        (["--set", "networkPolicies.hub.port=1"], "port"),
        (["--set", "networkPolicies.publicFrom[0].selector=x"], "selector"),
        (["--set", "image=x"], "image"),
        (["--set", "huggingFace.endpoint=ftp://x"], "endpoint"),
        (["--set", "operator.candidateDeadlineSeconds=1"], "candidateDeadlineSeconds"),
        (["--set", "namespaces={Bad_Name}"], "namespaces"),
        (["--set", "internalTLS=Mesh"], "internalTLS"),
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


@pytest.mark.parametrize(("asked", "told"), [((), "Operator"), (("--set", "internalTLS=None"), "None")])
def test_the_operator_is_told_whether_it_makes_certificates(asked: tuple[str, ...], told: str) -> None:
    assert environment(render(*asked))["ONESEEK_INTERNAL_TLS"] == told


def test_images_that_users_name_are_asked_of_their_registry_unless_said_otherwise() -> None:
    assert environment(render())["ONESEEK_USER_IMAGE_PULL_POLICY"] == "Always"
    without = render("--set", "images.userPullPolicy=IfNotPresent")
    assert environment(without)["ONESEEK_USER_IMAGE_PULL_POLICY"] == "IfNotPresent"
