"""What the operator makes, as plain data: nobody gets more than it needs."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import BaseModelStatus
from oneseek_core.api.v1alpha1.serving import RateLimits
from oneseek_core.api.v1alpha1.training_run import Resolved, TrainingRun
from oneseek_core.api.v1alpha1.versions import Import
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_core.serving.settings import ExternalEndpoint
from oneseek_operator.resources import imports as build_imports
from oneseek_operator.resources import model as build_model
from oneseek_operator.resources import records as build_records
from oneseek_operator.resources import run as build_run
from oneseek_operator.resources import service_account, serving
from oneseek_runtime.records.settings import FirestoreSettings, RecordsSettings
from oneseek_runtime.sidecar.settings import SidecarSettings
from support.breaches import REFUSED_ENV, TAKEN_ENV
from support.makers import DIGEST, SETTINGS, model_manifest, run_manifest

META = {"uid": "u-1", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}
DNA = "OneSeek-7B-Zero.v1.0.sv.dsIdentity.8f3a1c9d.2e7f4b1a"


def model(**spec: Any) -> OneSeekModel:
    """A parsed model."""
    manifest = model_manifest(**spec)
    manifest["metadata"] |= META
    return OneSeekModel.model_validate(manifest)


def run(**spec: Any) -> TrainingRun:
    """A parsed run that is ready for every Job."""
    manifest = run_manifest(**spec)
    manifest["metadata"] |= META
    resolved = Resolved(
        spec_digest=DIGEST, base_model_digest=DIGEST, data_digest=DIGEST, language="sv", tags=["Identity"],
        created_at="2026-01-01T00:00:00.000Z", major=1, micro=0, samples=3,
    )  # fmt: skip
    parsed = TrainingRun.model_validate(manifest)
    return parsed.model_copy(update={"status": parsed.status.model_copy(update={"resolved": resolved})})


def jobs() -> dict[str, dict[str, Any]]:
    """Every Job there is."""
    return {
        "base": build_model.base_job(model(), SETTINGS),
        "tree": build_model.tree_job(model(), SETTINGS, name="zero-tree-1", dna=DNA, quarantine=[]),
        "prepare": build_run.prepare_job(run(), model(), SETTINGS),
        "train": build_run.train_job(run(), model(), SETTINGS, attempt=1),
        "certify": build_run.certify_job(run(), model(), SETTINGS),
    }


BLUE_GREEN = {"promotion": {"strategy": "BlueGreen"}}


def pods() -> dict[str, dict[str, Any]]:
    """Every pod spec there is."""
    made = {name: job["spec"]["template"]["spec"] for name, job in jobs().items()}
    for name, dna, spec in (
        ("base-serving", None, BLUE_GREEN),
        ("serving", DNA, BLUE_GREEN),
        ("swapping-serving", DNA, {}),
    ):
        colour = serving.colour_of(model(**spec), SETTINGS, dna=dna, digest=DIGEST if dna else None)
        made[name] = serving.deployment(model(), colour, replicas=1)["spec"]["template"]["spec"]
    return made


@pytest.mark.parametrize("name", sorted(pods()))
def test_every_pod_meets_the_restricted_standard_and_has_no_token(name: str) -> None:
    spec = pods()[name]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
    allowed = {"emptyDir", "persistentVolumeClaim", "configMap", "secret"}
    for volume in spec["volumes"]:
        projected = {"projected"} if name.endswith("serving") else set()
        assert set(volume) - {"name"} <= allowed | projected
        for source in volume.get("projected", {}).get("sources", []):
            held = [item["key"] for item in source.get("secret", {}).get("items", [])]
            assert held in ([], ["sidecar"]), "of the tokens its own role's"
        secret = volume.get("secret", {})
        keys = [item["key"] for item in secret.get("items", [])]
        assert not secret or name == "certify" or keys == ["token"], "only certify holds the private keys"


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_on_a_claim_for_one_node_run_on_one_node(name: str) -> None:
    term = pods()[name]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][0]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == {names.LABEL_CLAIM: "zero-models"}


GPU = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
ASKED: dict[str, Any] = {
    "nodeSelector": {"gpu": "yes"},
    "tolerations": [GPU],
    "priorityClassName": "high",
    "runtimeClassName": "nvidia",
    "labels": {"team": "nlp", "sidecar.istio.io/inject": "true", "azure.workload.identity/use": "true"},
    "annotations": {"kueue.x-k8s.io/podset-required-topology": "rack", "sidecar.istio.io/inject": "true"},
    "env": [
        {"name": name, "value": "1"} for name in ("NCCL_DEBUG", "CUDA_VISIBLE_DEVICES", "LD_PRELOAD", "NCCL_NET_PLUGIN")
    ],
}


def templates(**asked: Any) -> dict[str, dict[str, Any]]:
    """The pod template of every Job that there is, and of the records service."""
    trained, wanted, taken = run(pod=asked), model(), Import(image="registry.example/version:1")
    based = wanted.model_copy(
        update={"status": wanted.status.model_copy(update={"base_model": BaseModelStatus(digest=DIGEST)})}
    )
    resolved = (
        trained.status.resolved.model_copy(update={"heldout_digest": DIGEST}) if trained.status.resolved else None
    )
    trained = trained.model_copy(update={"status": trained.status.model_copy(update={"resolved": resolved})})
    made = {
        "base": build_model.base_job(wanted, SETTINGS),
        "tree": build_model.tree_job(wanted, SETTINGS, name="zero-tree-1", dna=DNA, quarantine=[]),
        "import": build_imports.import_job(based, taken, SETTINGS),
        "prepare": build_run.prepare_job(trained, wanted, SETTINGS),
        "train": build_run.train_job(trained, wanted, SETTINGS, attempt=1),
        "evaluate": build_run.evaluate_job(trained, wanted, SETTINGS),
        "certify": build_run.certify_job(trained, wanted, SETTINGS),
        "records": build_records.stateful_set(wanted, SETTINGS),
    }
    return {name: item["spec"]["template"] for name, item in made.items()}


AS_ASKED = {"train", "evaluate"}


@pytest.mark.parametrize("name", sorted(templates()))
def test_no_pod_that_does_a_job_or_keeps_records_lets_anybody_s_container_in(name: str) -> None:
    metadata = templates(**ASKED)[name]["metadata"]
    assert metadata["labels"]["sidecar.istio.io/inject"] == "false"
    assert metadata["annotations"]["sidecar.istio.io/inject"] == "false"
    assert metadata["annotations"]["linkerd.io/inject"] == "disabled"
    assert metadata["annotations"]["vault.hashicorp.com/agent-inject"] == "false"
    assert "azure.workload.identity/use" not in metadata["labels"]


@pytest.mark.parametrize("name", sorted(set(templates()) - AS_ASKED))
def test_what_a_run_asks_for_its_pods_reaches_no_pod_with_a_token_or_a_key(name: str) -> None:
    plain, asked = templates()[name], templates(**ASKED)[name]
    asked["spec"].pop("tolerations", None)  # of a claim for one node: see below
    for found in (plain, asked):  # the request holds the spec's digest
        container = found["spec"]["containers"][0]
        container["env"] = [item["name"] for item in container["env"]]
    assert asked == plain


@pytest.mark.parametrize("name", sorted(AS_ASKED))
def test_it_reaches_the_pods_that_train_and_evaluate(name: str) -> None:
    found = templates(**ASKED)[name]
    spec = found["spec"]
    assert (spec["nodeSelector"], spec["tolerations"]) == ({"gpu": "yes"}, [GPU])
    assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("high", "nvidia")
    assert found["metadata"]["labels"]["team"] == "nlp"
    assert found["metadata"]["annotations"]["kueue.x-k8s.io/podset-required-topology"] == "rack"


def test_variables_that_tune_reach_the_trainer_and_the_evaluator_gets_its_devices_alone() -> None:
    def told(name: str) -> list[str]:
        (container,) = templates(**ASKED)[name]["spec"]["containers"]
        return [item["name"] for item in container["env"] if item["name"] != names.REQUEST_ENV]

    assert told("train") == ["NCCL_DEBUG", "CUDA_VISIBLE_DEVICES"]
    assert told("evaluate") == ["CUDA_VISIBLE_DEVICES"]


def test_other_pods_of_a_run_bear_its_taints_where_the_claim_may_lie_on_such_a_node() -> None:
    assert templates(**ASKED)["certify"]["spec"]["tolerations"] == [GPU]
    shared = model(storage={"size": "1Gi", "accessMode": "ReadWriteMany"})
    assert "tolerations" not in build_run.certify_job(run(pod=ASKED), shared, SETTINGS)["spec"]["template"]["spec"]


def test_an_image_that_a_user_names_is_asked_of_its_registry_each_time_and_copied_within_limits() -> None:
    dataset = {"name": "d", "source": {"image": {"reference": "registry.example/data:1", "path": "rows.jsonl"}}}
    prepared = build_run.prepare_job(run(datasets=[dataset]), model(), SETTINGS)["spec"]["template"]["spec"]
    engine = {"engine": {"image": "registry.example/engine:1"}}
    colour = serving.colour_of(model(serving=engine), SETTINGS, dna=None, digest=None)
    served = next(item for item in colour.template["spec"]["initContainers"] if item["name"] == "engine")
    copying = [templates()["import"]["spec"]["initContainers"][0], prepared["initContainers"][0]]
    for container in (*copying, served):
        assert container["imagePullPolicy"] == "Always"
    for container in copying:
        assert container["resources"]["limits"] == {"cpu": "1", "memory": "256Mi"}
    local = SETTINGS.model_copy(update={"user_image_pull_policy": "IfNotPresent"})
    of_a_dataset = build_run.prepare_job(run(datasets=[dataset]), model(), local)["spec"]["template"]["spec"]
    assert of_a_dataset["initContainers"][0]["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize("name", TAKEN_ENV)
def test_variables_that_tune_are_taken(name: str) -> None:
    (container,) = templates(env=[{"name": name, "value": "1"}])["train"]["spec"]["containers"]
    assert {"name": name, "value": "1"} in container["env"]


@pytest.mark.parametrize("name", REFUSED_ENV)
def test_a_variable_that_decides_what_code_runs_reaches_no_pod(name: str) -> None:
    (container,) = templates(env=[{"name": name, "value": "1"}])["train"]["spec"]["containers"]
    assert {"name": name, "value": "1"} not in container["env"]


def test_pods_on_a_shared_claim_run_anywhere() -> None:
    shared = model(storage={"size": "1Gi", "accessMode": "ReadWriteMany"})
    assert "affinity" not in build_model.base_job(shared, SETTINGS)["spec"]["template"]["spec"]


def test_pods_that_must_share_the_engines_node_bear_its_taints() -> None:
    gpu = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
    tainted = {"engine": {"tolerations": [gpu]}}

    def tolerated(wanted: OneSeekModel, trained: TrainingRun) -> list[Any]:
        made = (
            build_model.base_job(wanted, SETTINGS),
            build_model.tree_job(wanted, SETTINGS, name="tree", dna=DNA, quarantine=[]),
            build_run.prepare_job(trained, wanted, SETTINGS),
        )
        return [job["spec"]["template"]["spec"].get("tolerations") for job in made]

    same = run(pod={"tolerations": [gpu]})
    assert tolerated(model(serving=tainted), run()) == [[gpu]] * 3
    assert tolerated(model(serving=tainted), same) == [[gpu]] * 3
    assert tolerated(model(), same) == [None, None, [gpu]]
    anywhere = model(serving=tainted, storage={"size": "1Gi", "accessMode": "ReadWriteMany"})
    assert tolerated(anywhere, run()) == [None] * 3


def mounts(spec: dict[str, Any], container: int = 0) -> dict[str, tuple[str, bool]]:
    """Mount path -> (sub path, read-only) of the claim's mounts."""
    return {
        item["mountPath"]: (item.get("subPath", ""), item.get("readOnly", False))
        for item in spec["containers"][container]["volumeMounts"]
        if item["name"] == "models"
    }


def test_the_train_pod_writes_only_its_adapter_folder() -> None:
    assert mounts(pods()["train"]) == {
        "/models/base": ("basemodeller/tiny", True),
        "/staging/data": (".staging/u-1/data", True),
        "/staging/adapter": (".staging/u-1/adapter", False),
    }


@pytest.mark.parametrize("legacy", [True, False])
def test_the_certify_request_says_whether_old_readers_are_served(legacy: bool) -> None:
    wanted = model(certification={"legacyLayout": legacy})
    (main,) = build_run.certify_job(run(), wanted, SETTINGS)["spec"]["template"]["spec"]["containers"]
    request = next(item["value"] for item in main["env"] if item["name"] == names.REQUEST_ENV)
    assert CertifyRequest.model_validate_json(request).legacy_layout is legacy


def test_the_certify_pod_cannot_change_what_training_left() -> None:
    assert mounts(pods()["certify"])["/staging"] == (".staging/u-1", True)


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


def test_a_users_image_sees_a_scratch_folder_and_not_the_claim() -> None:
    copy_container = pods()["base"]["initContainers"][0]
    assert [item["name"] for item in copy_container["volumeMounts"]] == ["import"]


def test_jobs_are_not_cleaned_away_and_final_errors_are_not_tried_again() -> None:
    for job in jobs().values():
        assert "ttlSecondsAfterFinished" not in job["spec"]
        rules = job["spec"]["podFailurePolicy"]["rules"]
        assert rules[0]["action"] == "Ignore", "an evicted pod does not count"
        assert rules[1]["onExitCodes"]["values"] == list(names.FINAL_EXIT_CODES)
    assert jobs()["train"]["spec"]["backoffLimit"] == 0


def test_equal_inputs_give_equal_manifests_and_touch_nothing() -> None:
    given = model()
    before = copy.deepcopy(given.model_dump())
    assert build_model.base_job(given, SETTINGS) == build_model.base_job(given, SETTINGS)
    assert given.model_dump() == before


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


def test_the_spec_digest_leaves_suspend_out() -> None:
    assert build_run.spec_digest(run()) == build_run.spec_digest(run(suspend=True))
    assert build_run.spec_digest(run()) != build_run.spec_digest(run(epochs=9))


def test_owned_objects_go_with_their_owner_and_claims_do_not() -> None:
    for job in jobs().values():
        assert job["metadata"]["ownerReferences"][0]["uid"] == "u-1"
    assert "ownerReferences" not in build_model.claim(model())["metadata"]


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


def test_records_in_firestore_need_no_claim_and_see_the_credentials_alone() -> None:
    kept = model(records={"firestore": {"projectID": "team-records", "credentialsSecret": "google"}})
    found = build_records.stateful_set(kept, SETTINGS.model_copy(update={"firestore_image": "firestore:1"}))["spec"]
    assert "volumeClaimTemplates" not in found
    pod = found["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == "firestore:1"
    told = RecordsSettings.from_environment({item["name"]: item.get("value", "") for item in container["env"]})
    assert told.data_path is None
    assert told.firestore == FirestoreSettings(
        project_id="team-records", credentials_file="/credentials/credentials.json"
    )
    secret = next(item["secret"] for item in pod["volumes"] if item["name"] == "credentials")
    assert secret["secretName"] == "google"
    assert secret["optional"] is True, "the service itself says what is missing"
    mounts = {item["mountPath"]: item for item in container["volumeMounts"]}
    assert mounts["/credentials"]["readOnly"] is True
    assert "/data" not in mounts


def test_an_emulator_is_told_and_embedded_records_have_their_claim() -> None:
    kept = model(
        records={"firestore": {"projectID": "team-records", "emulatorHost": "emulator:8080", "database": "second"}}
    )
    (container,) = build_records.stateful_set(kept, SETTINGS)["spec"]["template"]["spec"]["containers"]
    told = RecordsSettings.from_environment({item["name"]: item.get("value", "") for item in container["env"]})
    assert told.firestore == FirestoreSettings(
        project_id="team-records", database="second", emulator_host="emulator:8080"
    )
    (claim,) = build_records.stateful_set(model(records={"embedded": {"size": "3Gi"}}), SETTINGS)["spec"][
        "volumeClaimTemplates"
    ]
    assert claim["spec"]["resources"]["requests"]["storage"] == "3Gi"
    assert build_records.template_hash(model(), SETTINGS) == build_records.template_hash(
        model(records={"embedded": {}}), SETTINGS
    )
