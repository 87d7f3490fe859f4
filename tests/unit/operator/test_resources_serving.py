"""Serving pods: what each container mounts, what the sidecar may do, and what makes another colour."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.serving import RateLimits
from oneseek_core.serving.settings import ExternalEndpoint
from oneseek_operator.resources import service_account, serving
from oneseek_runtime.sidecar.settings import SidecarSettings
from support.makers import DIGEST, SETTINGS
from support.manifests import DNA, model, mounts, pods


def test_serving_pods_mount_their_version_by_dna_and_nothing_to_write() -> None:
    spec = pods()["serving"]
    verify, watch, engine = spec["initContainers"]
    assert "restartPolicy" not in verify, "the verifier ends before an engine starts"
    assert watch["restartPolicy"] == engine["restartPolicy"] == "Always", (
        "native sidecars outlive the Starlette sidecar"
    )
    found = {item["mountPath"]: item for item in verify["volumeMounts"]}
    assert found[f"/certified/{DNA}"]["subPath"] == f"oneseek-certified/{DNA}"
    assert found[f"/certified/{DNA}"]["readOnly"] is True
    loaded = {item["mountPath"]: item for item in engine["volumeMounts"]}
    assert loaded["/models/adapter"] == {"name": "verified", "mountPath": "/models/adapter", "readOnly": True}
    assert "keys" not in {item["name"] for item in engine["volumeMounts"]}
    assert all(read_only for _, read_only in mounts(spec).values())


def test_pods_that_can_swap_are_the_same_for_every_version_and_only_verifiers_write_what_is_loaded() -> None:
    def colour(dna: str | None, strategy: str = "Auto") -> serving.Colour:
        given = model(promotion={"strategy": strategy})
        return serving.colour_of(given, SETTINGS, dna=dna, digest=DIGEST if dna else None, name="same")

    assert colour(DNA).template == colour(None).template == colour(DNA, "HotSwap").template
    assert colour(DNA).shape == colour(None).shape
    assert colour(DNA).key != colour(None).key
    assert DNA not in json.dumps(colour(DNA).template)
    spec = pods()["swapping-serving"]
    writers = {
        container["name"]
        for container in [*spec["initContainers"], *spec["containers"]]
        for mount in container["volumeMounts"]
        if mount["name"] == "verified" and not mount.get("readOnly")
    }
    assert writers == {"verify", "watch"}
    certified = next(item for item in spec["initContainers"][1]["volumeMounts"] if item["mountPath"] == "/certified")
    assert (certified["subPath"], certified["readOnly"]) == ("oneseek-certified", True)
    assert all(read_only for _, read_only in mounts(spec).values())


@pytest.mark.parametrize("name", ["base-serving", "serving", "swapping-serving"])
def test_only_the_sidecar_container_has_a_token_and_only_for_the_api_server(name: str) -> None:
    spec = pods()[name]
    assert spec["serviceAccountName"] == "oneseek-sidecar-zero"
    volume = next(item for item in spec["volumes"] if item["name"] == "api-token")
    token = volume["projected"]["sources"][0]["serviceAccountToken"]
    assert "audience" not in token, "the API server's own"
    holders = [
        container["name"]
        for container in [*spec["containers"], *spec["initContainers"]]
        if any(mount["name"] == "api-token" for mount in container["volumeMounts"])
    ]
    assert holders == ["sidecar"]


def test_a_sidecar_may_patch_its_own_model_and_read_runs_and_no_more() -> None:
    account, role, binding = service_account.objects(model(), policy=True)
    assert account["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    writing = [rule for rule in role["rules"] if set(rule["verbs"]) - {"get", "list", "watch"}]
    assert [(rule["resources"], rule.get("resourceNames"), rule["verbs"]) for rule in writing] == [
        (["oneseekmodels"], ["zero"], ["get", "list", "watch", "patch"]),
        (["localsubjectaccessreviews"], None, ["create"]),
    ]
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "oneseek-sidecar-zero", "namespace": "team"}]


def test_without_the_admission_policy_a_sidecar_may_write_nothing_and_is_told() -> None:
    _, role, _ = service_account.objects(model(), policy=False)
    writing = [rule for rule in role["rules"] if set(rule["verbs"]) - {"get", "list", "watch"}]
    assert [rule["resources"] for rule in writing] == [["localsubjectaccessreviews"]]
    for policy, told in ((True, None), (False, "Refused")):
        settings = SETTINGS.model_copy(update={"admission_policy": policy})
        colour = serving.colour_of(model(), settings, dna=None, digest=None)
        sidecar = colour.template["spec"]["containers"][0]
        env = {item["name"]: item.get("value") for item in sidecar["env"]}
        assert json.loads(env[names.SERVING_ENV]).get("requests") == told


def test_accounts_enter_and_leave_a_binding_and_others_stay() -> None:
    mine, other = service_account.subject(model()), {"kind": "ServiceAccount", "name": "other", "namespace": "team"}
    assert service_account.with_subject({}, mine)["subjects"] == [mine]
    both = service_account.with_subject({"subjects": [other]}, mine)
    assert both["subjects"] == [other, mine]
    assert service_account.with_subject({"subjects": [mine, other]}, mine)["subjects"] == [mine, other], "as it is"
    assert service_account.without_subject(both, mine)["subjects"] == [other]


def test_a_colour_changes_with_the_version_and_with_the_template_only() -> None:
    def colour(dna: str | None = None, **spec: Any) -> str:
        return serving.colour_of(model(**spec), SETTINGS, dna=dna, digest=DIGEST if dna else None).name

    assert colour() == colour()
    assert colour() == colour(serving={"replicas": 7}), "replicas change within a colour"
    assert colour() == colour(promotion={"keepWarmSeconds": 1})
    assert colour() != colour(DNA)
    assert colour() != colour(serving={"engine": {"resources": {"limits": {"memory": "1Gi"}}}})
    assert colour() != colour(serving={"rateLimits": {"enabled": False}})
    assert colour() != colour(serving={"externalModels": [ELSEWHERE]})
    assert colour() == colour(serving={"rateLimits": {"concurrentPerClient": 64}, "cors": {"allowedOrigins": []}})
    assert colour() != colour(serving={"rateLimits": {"concurrentPerClient": 65}})
    assert colour() != colour(serving={"cors": {"allowedOrigins": ["https://front.example.org"]}})


def test_the_sidecar_is_told_whose_pages_may_change_something_and_how_much_one_client_may_have() -> None:
    origins = ["https://front.example.org", "*"]
    given = model(serving={"rateLimits": {"concurrentPerClient": 8}, "cors": {"allowedOrigins": origins}})
    spec = serving.colour_of(given, SETTINGS, dna=DNA, digest=DIGEST).template["spec"]
    env = {item["name"]: item.get("value", "") for item in spec["containers"][0]["env"]}
    told = SidecarSettings.from_environment({name: env[name] for name in env if name.startswith("ONESEEK_")})
    assert (told.concurrent, told.allowed_origins) == (8, set(origins))
    plain = SidecarSettings.from_environment({names.SERVING_ENV: env[names.SERVING_ENV]})
    assert (plain.concurrent, plain.allowed_origins) == (RateLimits().concurrent_per_client, set())


def test_only_the_sidecar_holds_the_records_token_and_the_spool_and_has_time_to_empty_it() -> None:
    spec = pods()["serving"]
    (sidecar,) = spec["containers"]
    for container in [*spec["initContainers"], sidecar]:
        found = {item["name"] for item in container["volumeMounts"]} & {"spool", "access"}
        assert found == ({"spool", "access"} if container is sidecar else set()), container["name"]
    env = {item["name"]: item.get("value") for item in sidecar["env"]}
    assert env[names.RECORDS_URL_ENV] == "http://zero-records.team.svc:8082"
    assert env[names.ACCESS_ENV] == "/access"
    assert env[names.SPOOL_ENV].startswith("/spool/")
    assert spec["terminationGracePeriodSeconds"] > names.SPOOL_SECONDS
    assert sidecar["livenessProbe"]["terminationGracePeriodSeconds"] < 60, "one that hangs is not waited for"


ELSEWHERE = {"name": "GPT-X", "url": "https://api.example.org/v1", "model": "gpt-x"}


@pytest.mark.parametrize("strategy", ["BlueGreen", "HotSwap"])
def test_only_the_sidecar_is_told_of_models_elsewhere_and_their_keys_are_files_in_it_alone(strategy: str) -> None:
    asked = [ELSEWHERE, ELSEWHERE | {"name": "Own", "keySecret": {"name": "keys", "key": "own"}, "timeoutSeconds": 5}]
    asked[1] |= {"maximumPerHour": 7}
    given = model(serving={"externalModels": asked}, promotion={"strategy": strategy})
    spec = serving.colour_of(given, SETTINGS, dna=DNA, digest=DIGEST).template["spec"]
    (sidecar,) = spec["containers"]
    for container in [*spec["initContainers"], sidecar]:
        mounted = [item for item in container["volumeMounts"] if item["name"] == "external-keys"]
        named = any(item["name"] == names.EXTERNAL_MODELS_ENV for item in container["env"])
        assert bool(mounted) == named == (container is sidecar), container["name"]
    (volume,) = (item for item in spec["volumes"] if item["name"] == "external-keys")
    secret = {"name": "keys", "items": [{"key": "own", "path": "1"}], "optional": True}
    assert volume["projected"]["sources"] == [{"secret": secret}], "without the Secret the pod answers all the same"
    env = {item["name"]: item.get("value") for item in sidecar["env"]}
    told = [ExternalEndpoint.model_validate(one) for one in json.loads(env[names.EXTERNAL_MODELS_ENV])]
    assert [(one.name, one.key_path, one.timeout_seconds, one.maximum_per_hour) for one in told] == [
        ("GPT-X", None, 30, 100),
        ("Own", "/external-keys/1", 5, 7),
    ]


def test_without_models_elsewhere_the_pod_has_nothing_for_them() -> None:
    assert "external-keys" not in json.dumps(pods()["serving"])
    assert names.EXTERNAL_MODELS_ENV not in json.dumps(pods()["serving"])
