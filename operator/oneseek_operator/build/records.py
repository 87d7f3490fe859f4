"""Objects of a model's records service: one pod, with a claim of its own or Firestore; a Service, a token. Pure."""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.records import EmbeddedRecords, FirestoreRecords
from oneseek_core.digest import canonical_json
from oneseek_operator.build import common
from oneseek_operator.build.model import labels
from oneseek_operator.settings import Settings

__all__ = [
    "name",
    "reader_env",
    "reader_mounts",
    "reader_volumes",
    "secret",
    "service",
    "spool_env",
    "spool_mounts",
    "spool_volumes",
    "stateful_set",
    "template_hash",
    "url",
]

RECORDS_ENV = "ONESEEK_RECORDS"
_SPOOL_PATH = "/spool"
_SPOOL_SIZE = "1Gi"  # a bound for the node; the sidecar keeps well below it
_TOKEN_PATH = "/records-token"  # noqa: S105 - a folder
_CREDENTIALS_PATH = "/credentials"
_CREDENTIALS_KEY = "credentials.json"


def name(model: OneSeekModel) -> str:
    """Name of the StatefulSet, its Service and its Secret."""
    return f"{model.metadata.name}-records"


def url(model: OneSeekModel) -> str:
    """Where the service is reached within the cluster."""
    return f"http://{name(model)}.{model.metadata.namespace}.svc:{names.PORT_RECORDS}"


def secret(model: OneSeekModel, *, token: str, checkpoint_key: str) -> dict[str, Any]:
    """The bearer token, and the key that signs checkpoints. Made once; it stays with the records' claim."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": name(model),
            "namespace": model.metadata.namespace,
            "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, **labels(model, "records")},
        },
        "stringData": {"token": token, "checkpoint.key": checkpoint_key},
    }


def service(model: OneSeekModel) -> dict[str, Any]:
    """The Service in front of the one pod."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": common.meta(model, name(model), labels(model, "records")),
        "spec": {
            "selector": labels(model, "records"),
            "ports": [{"name": "http", "port": names.PORT_RECORDS, "targetPort": "http", "protocol": "TCP"}],
        },
    }


def spool_volumes(model: OneSeekModel) -> list[dict[str, Any]]:
    """What a serving pod needs to record: a place of its own for what is not recorded yet, and the token.

    The token alone, not the ledger's key beside it; and optional, because serving waits for no Secret.
    """
    return [
        {"name": "spool", "emptyDir": {"sizeLimit": _SPOOL_SIZE}},
        {"name": "records-token", "secret": {**_token_secret(model), "optional": True}},
    ]


def _token_secret(model: OneSeekModel) -> dict[str, Any]:
    return {"secretName": name(model), "items": [{"key": "token", "path": "token"}], "defaultMode": 0o440}


def reader_volumes(model: OneSeekModel) -> list[dict[str, Any]]:
    """What a prepare pod needs to fetch a window: the token, and nothing else of the Secret."""
    return [{"name": "records-token", "secret": _token_secret(model)}]


def reader_mounts() -> list[dict[str, Any]]:
    """Where it lies."""
    return [{"name": "records-token", "mountPath": _TOKEN_PATH, "readOnly": True}]


def reader_env(model: OneSeekModel) -> list[dict[str, Any]]:
    """Where the service is, and the token's file."""
    return [
        {"name": names.RECORDS_URL_ENV, "value": url(model)},
        {"name": names.RECORDS_TOKEN_ENV, "value": f"{_TOKEN_PATH}/token"},
    ]


def spool_mounts() -> list[dict[str, Any]]:
    """The same for its sidecar, and for no other container."""
    return [{"name": "spool", "mountPath": _SPOOL_PATH}, *reader_mounts()]


def spool_env(model: OneSeekModel) -> list[dict[str, Any]]:
    """Where the sidecar finds all that."""
    return [*reader_env(model), {"name": names.SPOOL_ENV, "value": f"{_SPOOL_PATH}/answers"}]


def template_hash(model: OneSeekModel, settings: Settings, *, replicas: int = 1) -> str:
    """What tells that the StatefulSet must be applied again."""
    return names.short_hash(canonical_json(_spec(model, settings, replicas)).decode(), length=16)


def stateful_set(model: OneSeekModel, settings: Settings, *, replicas: int = 1) -> dict[str, Any]:
    """One pod, or none; a lock on the claim, or Firestore's commits, guards the moment when two overlap."""
    meta = common.meta(model, name(model), labels(model, "records"))
    meta["annotations"] = {names.ANNOTATION_TEMPLATE: template_hash(model, settings, replicas=replicas)}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": _spec(model, settings, replicas)}


def lacks_image(model: OneSeekModel, settings: Settings) -> str:
    """Why the service cannot run, if the chart does not say which image has Firestore's libraries."""
    if model.spec.records.firestore is None or settings.firestore_image:
        return ""
    return (
        "spec.records.firestore needs an image with Firestore's libraries, and the operator was installed without one; "
        "set the chart's images.firestore"
    )


def _spec(model: OneSeekModel, settings: Settings, replicas: int) -> dict[str, Any]:
    firestore = model.spec.records.firestore
    tags = labels(model, "records")
    told: dict[str, Any] = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "tokenFile": "/token/token",
        "checkpointKeyFile": "/token/checkpoint.key",
        "port": names.PORT_RECORDS,
    }
    mounts = [{"name": "token", "mountPath": "/token", "readOnly": True}]
    volumes = [{"name": "token", "secret": {"secretName": name(model), "defaultMode": 0o440}}]
    if firestore is None:
        told["dataPath"] = "/data"
        mounts.insert(0, {"name": "data", "mountPath": "/data"})
    else:
        told["firestore"] = _firestore(firestore)
        if firestore.credentials_secret:
            mounts.append({"name": "credentials", "mountPath": _CREDENTIALS_PATH, "readOnly": True})
            volumes.append(_credentials(firestore.credentials_secret))
    health = {"path": "/health", "port": "http"}
    main = common.container(
        "records",
        settings.slim_image if firestore is None else settings.firestore_image,
        ["records"],
        mounts=mounts,
        env=[{"name": RECORDS_ENV, "value": canonical_json(told).decode()}],
        ports=[{"name": "http", "containerPort": names.PORT_RECORDS}],
        # Nothing listens before the lock is held and the ledger verified, which takes seconds a million entries.
        startupProbe={"httpGet": health, "periodSeconds": 1, "failureThreshold": 900, "timeoutSeconds": 5},
        readinessProbe={"httpGet": health, "periodSeconds": 5, "timeoutSeconds": 5},
        livenessProbe={"httpGet": health, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 3},
    )
    spec = {
        "serviceName": name(model),
        "replicas": replicas,
        "selector": {"matchLabels": tags},
        "template": common.sealed(
            common.pod(model, settings, labels=tags, containers=[main], volumes=volumes, on_claim=False)
        ),
    }
    return spec if firestore else {**spec, "volumeClaimTemplates": [_claim(model.spec.records.volume)]}


def _firestore(asked: FirestoreRecords) -> dict[str, str]:
    """What the service is told of its database."""
    told = {"projectId": asked.project_id, "database": asked.database}
    if asked.credentials_secret:
        told["credentialsFile"] = f"{_CREDENTIALS_PATH}/{_CREDENTIALS_KEY}"
    if asked.emulator_host:
        told["emulatorHost"] = asked.emulator_host
    return told


def _credentials(secret_name: str) -> dict[str, Any]:
    """Optional: without the Secret the service runs and says what is missing, and goes on once it is there."""
    items = [{"key": _CREDENTIALS_KEY, "path": _CREDENTIALS_KEY}]
    secret = {"secretName": secret_name, "items": items, "defaultMode": 0o440, "optional": True}
    return {"name": "credentials", "secret": secret}


def _claim(asked: EmbeddedRecords) -> dict[str, Any]:
    return {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": asked.size}},
            **({"storageClassName": asked.storage_class_name} if asked.storage_class_name else {}),
        },
    }
