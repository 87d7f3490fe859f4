"""The Job that imports an external version. Pure. It mounts the claim and the public keys, but no token and no private key."""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.versions import Import
from oneseek_core.jobs.imports import ImportRequest
from oneseek_operator.resources import common
from oneseek_operator.resources.keys import trusted_name
from oneseek_operator.resources.model import labels
from oneseek_operator.settings import Settings

__all__ = ["DEADLINE_SECONDS", "import_job", "job_name", "job_prefix", "keys_hash"]

DEADLINE_SECONDS = 3600  # an image that cannot be pulled must not hold up the tree's other Jobs for ever
_IMPORT, _KEYS = "/import", "/keys"


def job_prefix(model: OneSeekModel) -> str:
    """The prefix of the names of the model's import Jobs."""
    return f"{model.metadata.name}-import-"


def job_name(model: OneSeekModel, entry: Import) -> str:
    """The name of an entry's Job; the same entry has the same Job."""
    return f"{job_prefix(model)}{names.short_hash(entry.source)}"


def keys_hash(model: OneSeekModel) -> str:
    """A hash of the trusted keys, which tells that a Job used other keys than the spec's."""
    return names.short_hash(*sorted(model.spec.certification.trusted_keys))


def import_job(model: OneSeekModel, entry: Import, settings: Settings) -> dict[str, Any]:
    """Verify the entry's version and copy it into the tree. An init container of its image copies it out of an image."""
    base = model.status.base_model
    if base is None:
        raise ValueError("a version is compared with the base model, so that is imported first")
    request = ImportRequest(
        source=entry,
        import_path=_IMPORT,
        trusted_keys=_KEYS,
        family=model.spec.family,
        base_name=model.spec.base_model.name,
        base_digest=base.digest,
        known={version.dna: version.digest for version in model.status.versions},
    )
    mounts: list[dict[str, Any]] = [
        {"name": "models", "mountPath": names.MODELS_ROOT},
        {"name": "keys", "mountPath": _KEYS, "readOnly": True},
    ]
    volumes = [common.models_volume(model), {"name": "keys", "configMap": {"name": trusted_name(model)}}]
    init = []
    if entry.image:
        volumes.append({"name": "import", "emptyDir": {}})
        mounts.append({"name": "import", "mountPath": _IMPORT, "readOnly": True})
        init.append(common.copying_container(settings, entry.image, "/models/.", volume="import", target=_IMPORT))
    env = [common.request_env(request)]
    main = common.container("main", settings.slim_image, ["import"], mounts=mounts, env=env)
    tags = labels(model, "import")
    template = common.pod(model, settings, labels=tags, containers=[main], volumes=volumes, init_containers=init)
    name = job_name(model, entry)
    made = common.job(model, name, labels=tags, template=template, retries=2, deadline_seconds=DEADLINE_SECONDS)
    made["metadata"]["annotations"] = {names.ANNOTATION_TEMPLATE: keys_hash(model)}
    return made
