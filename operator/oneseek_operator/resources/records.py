"""The records service of a model: a StatefulSet of one pod, with a claim or Firestore; a Service; a Secret. Pure.

It listens with TLS on one port, and without on another if the chart disables TLS, or while a pod of the model needs it
(`others`). Every client shows the token of its role.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.records import EmbeddedRecords, FirestoreRecords
from oneseek_core.digest import canonical_json
from oneseek_core.roles import Role
from oneseek_operator.resources import common, pod_access
from oneseek_operator.resources.model import labels
from oneseek_operator.settings import Settings

__all__ = [
    "name",
    "reader_env",
    "secret",
    "service",
    "service_template",
    "spool_env",
    "spool_mounts",
    "spool_volumes",
    "stateful_set",
    "template_hash",
    "url",
]

RECORDS_ENV = "ONESEEK_RECORDS"
_SPOOL_PATH = "/spool"
_SPOOL_SIZE = "1Gi"  # protects the node; the sidecar stays well below it
_KEY_PATH = "/key"
_KEY = "checkpoint.key"
_CREDENTIALS_PATH = "/credentials"
_CREDENTIALS_KEY = "credentials.json"


def name(model: OneSeekModel) -> str:
    """Name of the StatefulSet, its Service and its Secret."""
    return f"{model.metadata.name}-records"


def url(model: OneSeekModel, settings: Settings) -> str:
    """The URL of the service within the cluster."""
    host = names.records_host(model.metadata.name, model.metadata.namespace)
    return (
        f"https://{host}:{names.PORT_RECORDS_TLS}" if settings.internal_tls else f"http://{host}:{names.PORT_RECORDS}"
    )


def secret(model: OneSeekModel, *, checkpoint_key: str) -> dict[str, Any]:
    """The key that signs checkpoints. Created once; it stays with the records' claim."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": {
            "name": name(model),
            "namespace": model.metadata.namespace,
            "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, **labels(model, "records")},
        },
        "stringData": {_KEY: checkpoint_key},
    }


def service(model: OneSeekModel) -> dict[str, Any]:
    """The Service in front of the one pod."""
    meta = common.meta(model, name(model), labels(model, "records"))
    meta["annotations"] = {names.ANNOTATION_TEMPLATE: service_template(model)}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": _service_spec(model)}


def service_template(model: OneSeekModel) -> str:
    """A hash that tells that the Service must be applied again."""
    return names.short_hash(canonical_json(_service_spec(model)).decode(), length=16)


def _service_spec(model: OneSeekModel) -> dict[str, Any]:
    ports = (("http", names.PORT_RECORDS), ("https", names.PORT_RECORDS_TLS))
    listed = [{"name": word, "port": port, "targetPort": port, "protocol": "TCP"} for word, port in ports]
    return {"selector": labels(model, "records"), "ports": listed}


def reader_env(model: OneSeekModel, settings: Settings) -> list[dict[str, Any]]:
    """The URL of the service, and the path of its token."""
    return [{"name": names.RECORDS_URL_ENV, "value": url(model, settings)}, pod_access.env()]


def spool_volumes() -> list[dict[str, Any]]:
    """An emptyDir for answers that are not recorded yet."""
    return [{"name": "spool", "emptyDir": {"sizeLimit": _SPOOL_SIZE}}]


def spool_mounts() -> list[dict[str, Any]]:
    """Its mount in the sidecar, and in no other container."""
    return [{"name": "spool", "mountPath": _SPOOL_PATH}]


def spool_env(model: OneSeekModel, settings: Settings) -> list[dict[str, Any]]:
    """What the sidecar needs for recording."""
    return [*reader_env(model, settings), {"name": names.SPOOL_ENV, "value": f"{_SPOOL_PATH}/answers"}]


def template_hash(model: OneSeekModel, settings: Settings, *, replicas: int = 1, others: Collection[str] = ()) -> str:
    """A hash that tells that the StatefulSet must be applied again."""
    return names.short_hash(canonical_json(_spec(model, settings, replicas, others)).decode(), length=16)


def stateful_set(
    model: OneSeekModel, settings: Settings, *, replicas: int = 1, others: Collection[str] = ()
) -> dict[str, Any]:
    """One pod, or none; a lock on the claim, or Firestore's commits, guards the moment when two pods overlap.

    `others`: how existing pods authenticate (`PodView.speaks`), if that differs from how the model's pods do now.
    """
    meta = common.meta(model, name(model), labels(model, "records"))
    template = template_hash(model, settings, replicas=replicas, others=others)
    meta["annotations"] = {names.ANNOTATION_TEMPLATE: template}
    spec = _spec(model, settings, replicas, others)
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": spec}


def lacks_image(model: OneSeekModel, settings: Settings) -> str:
    """Why the service cannot run, if the chart names no image with Firestore's libraries."""
    if model.spec.records.firestore is None or settings.firestore_image:
        return ""
    return (
        "spec.records.firestore needs an image with Firestore's libraries, and the operator was installed without one; "
        "set the chart's images.firestore"
    )


def _spec(model: OneSeekModel, settings: Settings, replicas: int, others: Collection[str]) -> dict[str, Any]:
    firestore = model.spec.records.firestore
    tags = labels(model, "records")
    roles = [Role.OPERATOR, Role.SIDECAR, Role.PREPARE, Role.READER, *([Role.BEFORE] if "before" in others else [])]
    config: dict[str, Any] = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "accepted": pod_access.accepted(model, settings, *roles),
        "checkpointKeyFile": f"{_KEY_PATH}/{_KEY}",
    }
    ports, tls = [], settings.internal_tls or "tls" in others
    if tls:
        config |= {"tlsPort": names.PORT_RECORDS_TLS, "tlsName": pod_access.host(model, "records")}
        ports.append({"name": "https", "containerPort": names.PORT_RECORDS_TLS})
    if not settings.internal_tls or "plain" in others or "before" in others:
        config["port"] = names.PORT_RECORDS
        ports.append({"name": "http", "containerPort": names.PORT_RECORDS})
    key = {"secretName": name(model), "items": [{"key": _KEY, "path": _KEY}], "defaultMode": 0o440}
    mounts = [pod_access.mount(), {"name": "key", "mountPath": _KEY_PATH, "readOnly": True}]
    volumes = [pod_access.volume(model, settings, Role.READER, part="records", tls=tls), {"name": "key", "secret": key}]
    if firestore is None:
        config["dataPath"] = "/data"
        mounts.insert(0, {"name": "data", "mountPath": "/data"})
    else:
        config["firestore"] = _firestore(firestore)
        if firestore.credentials_secret:
            mounts.append({"name": "credentials", "mountPath": _CREDENTIALS_PATH, "readOnly": True})
            volumes.append(_credentials(firestore.credentials_secret))
    health = {"path": "/health", "port": ports[0]["name"], **({"scheme": "HTTPS"} if tls else {})}
    main = common.container(
        "records",
        settings.slim_image if firestore is None else settings.firestore_image,
        ["records"],
        mounts=mounts,
        env=[{"name": RECORDS_ENV, "value": canonical_json(config).decode()}, pod_access.env()],
        ports=ports,
        # Nothing listens before the lock is held and the ledger verified, which takes seconds a million entries.
        startupProbe={"httpGet": health, "periodSeconds": 1, "failureThreshold": 900, "timeoutSeconds": 5},
        readinessProbe={"httpGet": health, "periodSeconds": 5, "timeoutSeconds": 5},
        livenessProbe={"httpGet": health, "periodSeconds": 10, "timeoutSeconds": 10, "failureThreshold": 3},
    )
    template = common.sealed(
        common.pod(model, settings, labels=tags, containers=[main], volumes=volumes, on_claim=False)
    )
    spec = {"serviceName": name(model), "replicas": replicas, "selector": {"matchLabels": tags}, "template": template}
    return spec if firestore else {**spec, "volumeClaimTemplates": [_claim(model.spec.records.volume)]}


def _firestore(wanted: FirestoreRecords) -> dict[str, str]:
    """What the service needs to know of its database."""
    config = {"projectId": wanted.project_id, "database": wanted.database}
    if wanted.credentials_secret:
        config["credentialsFile"] = f"{_CREDENTIALS_PATH}/{_CREDENTIALS_KEY}"
    if wanted.emulator_host:
        config["emulatorHost"] = wanted.emulator_host
    return config


def _credentials(secret_name: str) -> dict[str, Any]:
    """Optional: without the Secret the service runs, reports what is missing, and goes on once it exists."""
    items = [{"key": _CREDENTIALS_KEY, "path": _CREDENTIALS_KEY}]
    secret = {"secretName": secret_name, "items": items, "defaultMode": 0o440, "optional": True}
    return {"name": "credentials", "secret": secret}


def _claim(wanted: EmbeddedRecords) -> dict[str, Any]:
    return {
        "metadata": {"name": "data"},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": wanted.size}},
            **({"storageClassName": wanted.storage_class_name} if wanted.storage_class_name else {}),
        },
    }
