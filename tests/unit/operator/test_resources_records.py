"""The records service's StatefulSet, embedded and with Firestore."""

from __future__ import annotations

from oneseek_operator.resources import records as build_records
from oneseek_runtime.records.settings import FirestoreSettings, RecordsSettings
from support.makers import SETTINGS
from support.manifests import model


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
