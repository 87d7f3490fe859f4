"""What serves: a Deployment per colour, and the one Service that selects a colour. Pure.

A colour is the hash of DNA and serving template, so a changed template is rolled out like a new version. With the strategies
Auto and HotSwap the colour's ConfigMap names the version, not the template, so that its pods can swap to another version. The
engine is a native sidecar (an init container that stays): it starts before the Starlette sidecar and stops after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.serving import RateLimits
from oneseek_core.digest import canonical_json
from oneseek_core.jobs.verify import VerifyRequest
from oneseek_core.roles import Role
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.swap import WantedVersion
from oneseek_operator.resources import common, external_models, pod_access, records, service_account
from oneseek_operator.resources.keys import trusted_name
from oneseek_operator.resources.model import labels
from oneseek_operator.settings import Settings

__all__ = ["Colour", "colour_of", "deployment", "deployment_name", "selector_text", "service", "wanted", "wanted_name"]

_BASE_PATH = "/models/base"
_ADAPTER_PATH = "/models/adapter"  # pod-private: the copy that the verifier hashed; the engine loads nothing else
_KEYS_PATH = "/keys"
_CERTIFIED_PATH = "/certified"
_VERIFIED_PATH = "/models/verified"  # HotSwap: copies of several versions, a folder per DNA
_WANTED_PATH = "/wanted"
# Longer than a drain, the longest generation and sending the spool together.
_GRACE_SECONDS = 120 + names.SPOOL_SECONDS + 20
# The engine listens on loopback, which the kubelet cannot reach; every engine image has Python.
_ASK_ENGINE = [
    "python3",
    "-ISc",
    (
        f"import socket; s = socket.create_connection(('127.0.0.1', {names.PORT_ENGINE}), 4); "
        r"s.sendall(b'GET /health HTTP/1.0\r\n\r\n'); raise SystemExit(b' 200 ' not in s.recv(64))"
    ),
]
_LIVENESS_GRACE_SECONDS = 30  # seconds; a sidecar that hangs is killed soon: its next process finds the spool


@dataclass(frozen=True, slots=True)
class Colour:
    """One way of serving one version: name, version, and pod template.

    `shape`: the hash of a template that does not name the version, else empty; colours of one shape can swap to each other's
    version. `key`: the hash of version and template, whatever the colour's name.
    """

    name: str
    dna: str | None
    digest: str | None
    template: dict[str, Any]
    shape: str
    key: str


def colour_of(
    model: OneSeekModel, settings: Settings, *, dna: str | None, digest: str | None, name: str | None = None
) -> Colour:
    """The colour that serves `dna` (None: the base model) as the spec wants now; `name` if it exists already."""
    swaps = model.spec.promotion.strategy in ("Auto", "HotSwap")
    template = _template(model, settings, dna, digest, swaps=swaps)
    text = canonical_json(template).decode()
    key = names.short_hash(dna or "", text)
    name = name or key
    template["metadata"]["labels"][names.LABEL_COLOUR] = name
    if swaps:
        source = {"name": wanted_name(model, name)}
        template["spec"]["volumes"].append({"name": "wanted", "configMap": source})
    return Colour(name, dna, digest, template, names.short_hash(text) if swaps else "", key)


def wanted_name(model: OneSeekModel, colour: str) -> str:
    """The name of the ConfigMap with the version that a colour's pods serve."""
    return f"{model.metadata.name}-{colour}-wanted"


def wanted(model: OneSeekModel, colour: str, version: WantedVersion) -> dict[str, Any]:
    """The ConfigMap with the version that a colour's pods serve."""
    tags = {**labels(model, "serving"), names.LABEL_COLOUR: colour}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": common.meta(model, wanted_name(model, colour), tags),
        "data": {names.WANTED_FILE: version.model_dump_json(by_alias=True, exclude_none=True)},
    }


def deployment_name(model: OneSeekModel, colour: str) -> str:
    """The name of a colour's Deployment."""
    return f"{model.metadata.name}-{colour}"


def deployment(model: OneSeekModel, colour: Colour, *, replicas: int) -> dict[str, Any]:
    """A colour's Deployment."""
    tags = {**labels(model, "serving"), names.LABEL_COLOUR: colour.name}
    meta = common.meta(model, deployment_name(model, colour.name), tags)
    meta["annotations"] = {names.ANNOTATION_DNA: colour.dna or ""}
    if colour.shape:
        meta["annotations"][names.ANNOTATION_TEMPLATE] = colour.shape
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": _selector(model, colour.name)},
            "template": colour.template,
        },
    }


def service(model: OneSeekModel, *, colour: str, flipped_at: str) -> dict[str, Any]:
    """The model's Service; the selected colour answers."""
    meta = common.meta(model, model.metadata.name, labels(model, "serving"))
    meta["annotations"] = {names.ANNOTATION_FLIPPED_AT: flipped_at}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {
            "type": model.spec.serving.service_type,
            "selector": _selector(model, colour),
            "ports": [{"name": "http", "port": 80, "targetPort": "public", "protocol": "TCP", "appProtocol": "http"}],
        },
    }


def selector_text(model: OneSeekModel, colour: str) -> str:
    """The selector as the scale subresource needs it."""
    return ",".join(f"{key}={value}" for key, value in sorted(_selector(model, colour).items()))


def _selector(model: OneSeekModel, colour: str) -> dict[str, str]:
    return {names.LABEL_MODEL: model.metadata.name, names.LABEL_COLOUR: colour}


def _template(
    model: OneSeekModel, settings: Settings, dna: str | None, digest: str | None, *, swaps: bool
) -> dict[str, Any]:
    if swaps:
        dna = digest = None
    serving = ServingSettings(
        model=model.metadata.name,
        namespace=model.metadata.namespace,
        family=model.spec.family,
        base_name=model.spec.base_model.name,
        base_path=_BASE_PATH,
        base_digest=model.status.base_model.digest if model.status.base_model else None,
        dna=dna,
        digest=digest,
        adapter_path=_ADAPTER_PATH if dna else None,
        verified_path=_VERIFIED_PATH if swaps else None,
        wanted_path=f"{_WANTED_PATH}/{names.WANTED_FILE}" if swaps else None,
        auth=model.spec.serving.auth.mode,
        requests=None if settings.admission_policy else "Refused",
        accepted=pod_access.accepted(model, settings, Role.OPERATOR, Role.SIDECAR),
        tls_name=pod_access.host(model, "serving") if settings.internal_tls else None,
    )
    env = [{"name": names.SERVING_ENV, "value": serving.model_dump_json(by_alias=True, exclude_none=True)}]
    request = _swapping_request(model) if swaps else _verify_request(model, dna, digest)
    volumes = [common.models_volume(model), service_account.token_volume(), *records.spool_volumes()]
    volumes.append(pod_access.volume(model, settings, Role.SIDECAR, part="serving"))
    volumes += external_models.volumes(model)
    if dna or swaps:
        volumes.append({"name": "verified", "emptyDir": {}})
        volumes.append({"name": "keys", "configMap": {"name": trusted_name(model)}})
    engine = model.spec.serving.engine
    more: dict[str, Any] = {}
    if engine.node_selector:
        more["nodeSelector"] = engine.node_selector
    if engine.tolerations:
        more["tolerations"] = [item.to_wire() for item in engine.tolerations]
    if engine.runtime_class_name:
        more["runtimeClassName"] = engine.runtime_class_name
    return common.pod(
        model,
        settings,
        labels={names.LABEL_MANAGED_BY: names.FIELD_MANAGER, **labels(model, "serving")},
        volumes=volumes,
        init_containers=[
            _verifier(settings, "verify", request, _verified_mounts(model, dna, swaps=swaps, read_only=False)),
            _verifier(
                settings,
                "watch",
                request,
                _verified_mounts(model, dna, swaps=swaps, read_only=not swaps),
                restartPolicy="Always",
            ),
            _engine(model, settings, env, _VERIFIED_PATH if swaps else _ADAPTER_PATH if dna else None),
        ],
        containers=[_sidecar(model, settings, env, swaps=swaps)],
        serviceAccountName=names.sidecar_account(model.metadata.name),
        terminationGracePeriodSeconds=_GRACE_SECONDS,
        **more,
    )


def _engine(model: OneSeekModel, settings: Settings, env: list[dict[str, Any]], verified: str | None) -> dict[str, Any]:
    own = model.spec.serving.engine.image
    mounts: list[dict[str, Any]] = [_base_mount(model)]
    if verified:
        mounts.append({"name": "verified", "mountPath": verified, "readOnly": True})
    return common.container(
        "engine",
        own or settings.runtime_image,
        ["engine"],
        mounts=mounts,
        env=env,
        resources=common.resources_of(model.spec.serving.engine.resources),
        **({"imagePullPolicy": settings.user_image_pull_policy} if own else {}),
        restartPolicy="Always",
        startupProbe={
            "exec": {"command": _ASK_ENGINE},
            "periodSeconds": 2,
            "failureThreshold": 900,
            "timeoutSeconds": 5,
        },
    )


def _base_mount(model: OneSeekModel) -> dict[str, Any]:
    base = f"{names.BASE_DIR}/{model.spec.base_model.name}"
    return {"name": "models", "mountPath": _BASE_PATH, "subPath": base, "readOnly": True}


def _verify_request(model: OneSeekModel, dna: str | None, digest: str | None) -> VerifyRequest:
    """What the verifiers check: the version on the claim, its copy, and the base model as it was imported."""
    base = model.status.base_model
    return VerifyRequest(
        adapter_path=f"{_CERTIFIED_PATH}/{dna}" if dna else None,
        dna=dna,
        digest=digest,
        target_path=_ADAPTER_PATH if dna else None,
        trusted_keys=_KEYS_PATH if dna else None,
        base_name=model.spec.base_model.name if dna else None,
        base_path=_BASE_PATH,
        base_digest=base.digest if base else None,
        interval_seconds=model.spec.certification.verify_interval_seconds,
    )


def _swapping_request(model: OneSeekModel) -> VerifyRequest:
    """What the verifiers of pods that can swap check: whichever version they are ordered to load."""
    base = model.status.base_model
    return VerifyRequest(
        certified_path=_CERTIFIED_PATH,
        verified_path=_VERIFIED_PATH,
        wanted_path=f"{_WANTED_PATH}/{names.WANTED_FILE}",
        trusted_keys=_KEYS_PATH,
        base_name=model.spec.base_model.name,
        base_path=_BASE_PATH,
        base_digest=base.digest if base else None,
        interval_seconds=model.spec.certification.verify_interval_seconds,
    )


def _wanted_mount() -> dict[str, Any]:
    return {"name": "wanted", "mountPath": _WANTED_PATH, "readOnly": True}


def _verified_mounts(model: OneSeekModel, dna: str | None, *, swaps: bool, read_only: bool) -> list[dict[str, Any]]:
    mounts = [_base_mount(model)]
    if swaps:
        return [
            *mounts,
            {"name": "models", "mountPath": _CERTIFIED_PATH, "subPath": names.CERTIFIED_DIR, "readOnly": True},
            {"name": "verified", "mountPath": _VERIFIED_PATH, "readOnly": read_only},
            {"name": "keys", "mountPath": _KEYS_PATH, "readOnly": True},
            _wanted_mount(),
        ]
    if dna:
        path = f"{names.CERTIFIED_DIR}/{dna}"
        mounts += [
            {"name": "models", "mountPath": f"{_CERTIFIED_PATH}/{dna}", "subPath": path, "readOnly": True},
            {"name": "verified", "mountPath": _ADAPTER_PATH, "readOnly": read_only},
            {"name": "keys", "mountPath": _KEYS_PATH, "readOnly": True},
        ]
    return mounts


def _verifier(
    settings: Settings, command: str, request: VerifyRequest, mounts: list[dict[str, Any]], **more: Any
) -> dict[str, Any]:
    return common.container(
        command, settings.slim_image, [command], mounts=mounts, env=[common.request_env(request)], **more
    )


def _sidecar(model: OneSeekModel, settings: Settings, env: list[dict[str, Any]], *, swaps: bool) -> dict[str, Any]:
    env = [*env, *records.spool_env(model, settings)]
    if not model.spec.serving.rate_limits.enabled:
        env = [*env, {"name": "ONESEEK_RATE_LIMITS", "value": "off"}]
    if proxies := model.spec.serving.rate_limits.trusted_proxies:
        env = [*env, {"name": names.TRUSTED_PROXIES_ENV, "value": ",".join(proxies)}]
    # Only what differs from the sidecar's default, so that an upgrade does not change the colour of other models.
    if (most := model.spec.serving.rate_limits.concurrent_per_client) != RateLimits().concurrent_per_client:
        env = [*env, {"name": names.CONCURRENT_ENV, "value": str(most)}]
    if origins := model.spec.serving.cors.allowed_origins:
        env = [*env, {"name": names.ALLOWED_ORIGINS_ENV, "value": ",".join(origins)}]
    env = [*env, *external_models.env(model)]
    mount = {
        "name": "models",
        "mountPath": f"{names.MODELS_ROOT}/{names.CERTIFIED_DIR}",
        "subPath": names.CERTIFIED_DIR,
        "readOnly": True,
    }
    internal = {"port": names.PORT_INTERNAL, **({"scheme": "HTTPS"} if settings.internal_tls else {})}
    return common.container(
        "sidecar",
        settings.slim_image,
        ["sidecar"],
        mounts=[
            mount,
            service_account.token_mount(),
            *records.spool_mounts(),
            pod_access.mount(),
            *([_wanted_mount()] if swaps else []),
            *external_models.mounts(model),
        ],
        env=env,
        ports=[
            {"name": "public", "containerPort": names.PORT_PUBLIC},
            {"name": "internal", "containerPort": names.PORT_INTERNAL},
        ],
        readinessProbe={
            "httpGet": {"path": "/internal/ready", **internal},
            "periodSeconds": 1,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        livenessProbe={
            "httpGet": {"path": "/health", **internal},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
            "terminationGracePeriodSeconds": _LIVENESS_GRACE_SECONDS,
        },
    )
