"""Objects that answer: a Deployment per colour, and the one Service that selects a colour. Pure.

A colour is the hash of the DNA and the serving template, so a changed template is rolled out the same safe way as a
new version. The engine is a native sidecar (an init container that stays): it starts before the Starlette sidecar and
stops after it, so no request is taken that nobody could answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.digest import canonical_json
from oneseek_core.job_contract import ServingSettings
from oneseek_operator.build import common
from oneseek_operator.build.model import labels
from oneseek_operator.settings import Settings

__all__ = ["Colour", "colour_of", "deployment", "deployment_name", "selector_text", "service"]

_BASE_PATH = "/models/base"
_ADAPTER_PATH = "/models/adapter"
_GRACE_SECONDS = 120  # longer than the longest generation a request may ask for, and the drain before it


@dataclass(frozen=True, slots=True)
class Colour:
    """One way of serving one version: its name, the version, and the pod template."""

    name: str
    dna: str | None
    digest: str | None
    template: dict[str, Any]


def colour_of(model: OneSeekModel, settings: Settings, *, dna: str | None, digest: str | None) -> Colour:
    """The colour that serves `dna` (None: the base model) as the spec asks now."""
    template = _template(model, settings, dna, digest)
    name = names.short_hash(dna or "", canonical_json(template).decode())
    template["metadata"]["labels"][names.LABEL_COLOUR] = name
    return Colour(name, dna, digest, template)


def deployment_name(model: OneSeekModel, colour: str) -> str:
    """Name of a colour's Deployment."""
    return f"{model.metadata.name}-{colour}"


def deployment(model: OneSeekModel, colour: Colour, *, replicas: int) -> dict[str, Any]:
    """A colour's Deployment."""
    tags = {**labels(model, "serving"), names.LABEL_COLOUR: colour.name}
    meta = common.meta(model, deployment_name(model, colour.name), tags)
    meta["annotations"] = {names.ANNOTATION_DNA: colour.dna or ""}
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
    """The model's Service; whoever is selected answers."""
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
    """The selector as the scale subresource wants it."""
    return ",".join(f"{key}={value}" for key, value in sorted(_selector(model, colour).items()))


def _selector(model: OneSeekModel, colour: str) -> dict[str, str]:
    return {names.LABEL_MODEL: model.metadata.name, names.LABEL_COLOUR: colour}


def _template(model: OneSeekModel, settings: Settings, dna: str | None, digest: str | None) -> dict[str, Any]:
    serving = ServingSettings(
        model=model.metadata.name,
        namespace=model.metadata.namespace,
        family=model.spec.family,
        base_name=model.spec.base_model.name,
        base_path=_BASE_PATH,
        dna=dna,
        digest=digest,
        adapter_path=_ADAPTER_PATH if dna else None,
    )
    env = [{"name": names.SERVING_ENV, "value": serving.model_dump_json(by_alias=True, exclude_none=True)}]
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
        volumes=[common.models_volume(model)],
        init_containers=[_engine(model, settings, env, dna)],
        containers=[_sidecar(model, settings, env)],
        terminationGracePeriodSeconds=_GRACE_SECONDS,
        **more,
    )


def _engine(model: OneSeekModel, settings: Settings, env: list[dict[str, Any]], dna: str | None) -> dict[str, Any]:
    base = f"{names.BASE_DIR}/{model.spec.base_model.name}"
    mounts = [{"name": "models", "mountPath": _BASE_PATH, "subPath": base, "readOnly": True}]
    if dna:
        path = f"{names.CERTIFIED_DIR}/{dna}"
        mounts.append({"name": "models", "mountPath": _ADAPTER_PATH, "subPath": path, "readOnly": True})
    return common.container(
        "engine",
        settings.runtime_image,
        ["engine"],
        mounts=mounts,
        env=env,
        resources=common.resources_of(model.spec.serving.engine.resources),
        restartPolicy="Always",
        startupProbe={
            "httpGet": {"path": "/health", "port": names.PORT_ENGINE},
            "periodSeconds": 1,
            "failureThreshold": 1800,
            "timeoutSeconds": 5,
        },
    )


def _sidecar(model: OneSeekModel, settings: Settings, env: list[dict[str, Any]]) -> dict[str, Any]:
    if not model.spec.serving.rate_limits.enabled:
        env = [*env, {"name": "ONESEEK_RATE_LIMITS", "value": "off"}]
    mount = {
        "name": "models",
        "mountPath": f"{names.MODELS_ROOT}/{names.CERTIFIED_DIR}",
        "subPath": names.CERTIFIED_DIR,
        "readOnly": True,
    }
    internal = {"httpGet": {"path": "/internal/ready", "port": names.PORT_INTERNAL}}
    return common.container(
        "sidecar",
        settings.slim_image,
        ["sidecar"],
        mounts=[mount],
        env=env,
        ports=[
            {"name": "public", "containerPort": names.PORT_PUBLIC},
            {"name": "internal", "containerPort": names.PORT_INTERNAL},
        ],
        readinessProbe={**internal, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 3},
        livenessProbe={
            "httpGet": {"path": "/health", "port": names.PORT_INTERNAL},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
        },
    )
