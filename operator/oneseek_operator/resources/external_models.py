"""What a sidecar needs to ask the models of `spec.serving.externalModels`: addresses, and keys as files. Pure."""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.serving import ExternalModel
from oneseek_core.digest import canonical_json
from oneseek_core.serving.settings import ExternalEndpoint

__all__ = ["env", "mounts", "volumes"]

_KEYS_PATH = "/external-keys"


def env(model: OneSeekModel) -> list[dict[str, Any]]:
    """The addresses, without keys; empty if there are no external models."""
    endpoints = [_endpoint(number, one).to_wire() for number, one in enumerate(model.spec.serving.external_models)]
    return [{"name": names.EXTERNAL_MODELS_ENV, "value": canonical_json(endpoints).decode()}] if endpoints else []


def _endpoint(number: int, external: ExternalModel) -> ExternalEndpoint:
    return ExternalEndpoint(
        name=external.name,
        url=external.url,
        model=external.model,
        key_path=f"{_KEYS_PATH}/{number}" if external.key_secret else None,
        timeout_seconds=external.timeout_seconds,
        maximum_per_hour=external.maximum_per_hour,
    )


def volumes(model: OneSeekModel) -> list[dict[str, Any]]:
    """The keys, one file each. A missing Secret does not keep the pod from starting."""
    sources = [
        {
            "secret": {
                "name": external.key_secret.name,
                "items": [{"key": external.key_secret.key, "path": str(number)}],
                "optional": True,
            }
        }
        for number, external in enumerate(model.spec.serving.external_models)
        if external.key_secret
    ]
    return [{"name": "external-keys", "projected": {"sources": sources}}] if sources else []


def mounts(model: OneSeekModel) -> list[dict[str, Any]]:
    """Where the sidecar, and no other container, finds the keys."""
    return [{"name": item["name"], "mountPath": _KEYS_PATH, "readOnly": True} for item in volumes(model)]
