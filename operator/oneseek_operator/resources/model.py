"""A model's claim, base Job and tree Jobs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import Quarantined
from oneseek_core.api.v1alpha1.promotion import Request
from oneseek_core.jobs.basemodel import BaseImportRequest
from oneseek_core.jobs.common import Ref
from oneseek_core.jobs.tree import ResetOrder, TreeRequest
from oneseek_operator.resources import common
from oneseek_operator.settings import Settings

__all__ = [
    "base_job",
    "base_job_name",
    "claim",
    "labels",
    "prune_job_name",
    "reference",
    "reset_job",
    "reset_job_name",
    "tree_job",
    "tree_job_name",
]

_MOUNT = {"name": "models", "mountPath": names.MODELS_ROOT}
_IMPORT = "/import"


def labels(model: OneSeekModel, component: str) -> dict[str, str]:
    """Labels of a model's object."""
    return {names.LABEL_MODEL: model.metadata.name, names.LABEL_COMPONENT: component}


def reference(model: OneSeekModel) -> Ref:
    """The model as Jobs know it."""
    return Ref(namespace=model.metadata.namespace, name=model.metadata.name, uid=model.metadata.uid)


def claim(model: OneSeekModel) -> dict[str, Any]:
    """The claim of a model whose spec names none. No owner: it outlives the model unless reclaimPolicy is Delete."""
    storage = model.spec.storage
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": common.claim_name(model),
            "namespace": model.metadata.namespace,
            "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, **labels(model, "models")},
        },
        "spec": {
            "accessModes": [storage.access_mode],
            "resources": {"requests": {"storage": storage.size}},
            **({"storageClassName": storage.storage_class_name} if storage.storage_class_name else {}),
        },
    }


def base_job_name(model: OneSeekModel) -> str:
    """Name of the base Job."""
    return f"{model.metadata.name}-base"


def base_job(model: OneSeekModel, settings: Settings) -> dict[str, Any]:
    """Copy the base model to the claim. An init container of its image copies it out of an image.

    It runs the runtime image: what is imported must load in engine and train.
    """
    source = model.spec.base_model.source
    request = BaseImportRequest(
        model=reference(model),
        base_name=model.spec.base_model.name,
        source=source,
        import_path=_IMPORT,
        digest=model.spec.base_model.digest,
    )
    env = [common.request_env(request)]
    mounts: list[dict[str, Any]] = [_MOUNT]
    volumes, init = [common.models_volume(model)], []
    if source.image:
        volumes.append({"name": "import", "emptyDir": {}})
        mounts.append({"name": "import", "mountPath": _IMPORT, "readOnly": True})
        init.append(common.copying_container(settings, source.image, "/models/.", volume="import", target=_IMPORT))
    if source.hugging_face:
        env += common.hub_env(settings, source.hugging_face.token_secret)
    main = common.container("main", settings.runtime_image, ["basemodel"], mounts=mounts, env=env)
    tags = labels(model, "base")
    template = common.pod(model, settings, labels=tags, containers=[main], volumes=volumes, init_containers=init)
    return common.job(model, base_job_name(model), labels=tags, template=template, retries=2)


def tree_job_name(model: OneSeekModel, dna: str, since: str, quarantine: Sequence[Quarantined]) -> str:
    """The name of the Job that moves CURRENT to `dna`; another promotion or quarantine has another name."""
    held = [text for item in quarantine for text in (item.dna, item.since)]
    return f"{model.metadata.name}-tree-{names.short_hash(dna, since, *held)}"


def prune_job_name(model: OneSeekModel, remove: Sequence[str]) -> str:
    """The name of the Job that deletes these versions."""
    return f"{model.metadata.name}-prune-{names.short_hash(*remove)}"


def reset_job_name(model: OneSeekModel, request_id: str) -> str:
    """The name of the Job that deletes every certified version; one a request."""
    return f"{model.metadata.name}-reset-{request_id[:8]}"


def reset_job(model: OneSeekModel, settings: Settings, request: Request) -> dict[str, Any]:
    """Delete every certified version and log who requested it."""
    order = ResetOrder(user=request.requested_by or "unknown", timestamp=request.created_at)
    return _tree(
        model,
        settings,
        reset_job_name(model, request.id),
        TreeRequest(family=model.spec.family, current=None, reset=order),
    )


def tree_job(
    model: OneSeekModel,
    settings: Settings,
    *,
    name: str,
    dna: str,
    quarantine: Sequence[Quarantined],
    remove: Sequence[str] = (),
) -> dict[str, Any]:
    """Move CURRENT, link and marker, to a version, and delete the versions of `remove`."""
    request = TreeRequest(
        family=model.spec.family, current=dna or None, remove=list(remove), quarantine=list(quarantine)
    )
    return _tree(model, settings, name, request)


def _tree(model: OneSeekModel, settings: Settings, name: str, request: TreeRequest) -> dict[str, Any]:
    env = [common.request_env(request)]
    main = common.container("main", settings.slim_image, ["tree"], mounts=[_MOUNT], env=env)
    tags = labels(model, "tree")
    template = common.pod(model, settings, labels=tags, containers=[main], volumes=[common.models_volume(model)])
    return common.job(model, name, labels=tags, template=template, retries=3)
