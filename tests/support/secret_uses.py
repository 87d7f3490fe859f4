"""Every place of the API that names a Secret, read off the types, and an object that names one there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from oneseek_core.api.v1alpha1.common import SecretKey
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from support.makers import model_manifest, run_manifest

KINDS: dict[str, type[BaseModel]] = {"OneSeekModel": OneSeekModel, "TrainingRun": TrainingRun}
_HUB = {"repo": "owner/name", "tokenSecret": {"name": "SECRET"}}
_DATASET = {"name": "private", "source": {"huggingFace": {**_HUB, "file": "a.jsonl"}}}
_ELSEWHERE = {"name": "other", "url": "https://api.example.org/v1", "model": "m", "keySecret": {"name": "SECRET"}}
_PUBLIC = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"
# What of a spec names a Secret in each place; a place that the types have and that stands not here has no rule yet.
SPECS: dict[str, dict[str, Any]] = {
    "OneSeekModel.baseModel.source.huggingFace.tokenSecret": {
        "baseModel": {"name": "tiny", "source": {"huggingFace": _HUB}}
    },
    "OneSeekModel.training.datasets[].source.huggingFace.tokenSecret": {"training": {"datasets": [_DATASET]}},
    "OneSeekModel.training.evaluation.dataset.source.huggingFace.tokenSecret": {
        "training": {"evaluation": {"dataset": _DATASET}}
    },
    "OneSeekModel.certification.signingKeySecret": {
        "certification": {"signingKeySecret": "SECRET", "trustedKeys": [_PUBLIC]}
    },
    "OneSeekModel.records.firestore.credentialsSecret": {
        "records": {"firestore": {"projectID": "some-project", "credentialsSecret": "SECRET"}}
    },
    "OneSeekModel.serving.externalModels[].keySecret": {"serving": {"externalModels": [_ELSEWHERE]}},
    "TrainingRun.datasets[].source.huggingFace.tokenSecret": {"datasets": [_DATASET]},
}


def places() -> list[str]:
    """The path of each field that names a Secret: of type SecretKey, or called so."""
    return sorted(
        f"{kind}.{path}" for kind, spec in KINDS.items() for path in _walk(spec.model_fields["spec"].annotation)
    )


def _walk(annotation: Any) -> Iterator[str]:
    for model, _ in _models(annotation):
        for name, field in model.model_fields.items():
            found = list(_models(field.annotation))
            path = f"{field.alias or name}{'[]' if any(listed for _, listed in found) else ''}"
            if name.endswith("secret") or any(kind is SecretKey for kind, _ in found):
                yield path
            else:
                yield from (f"{path}.{rest}" for rest in _walk(field.annotation))


def _models(annotation: Any, *, listed: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    """The types of ours within an annotation, and whether each is an item of a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, listed
    for part in get_args(annotation):
        yield from _models(part, listed=listed or get_origin(annotation) is list)


def naming(place: str, secret: str, namespace: str) -> dict[str, Any]:
    """An object that names a Secret in a place."""
    spec = _filled(SPECS[place], secret)
    if place.startswith("OneSeekModel"):
        return model_manifest("names-a-secret", namespace, **{"storage": {"claimName": "nowhere"}, **spec})
    return run_manifest("names-a-secret", "nobody", namespace, **spec)


def _filled(value: Any, secret: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, secret) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, secret) for item in value]
    return secret if value == "SECRET" else value
