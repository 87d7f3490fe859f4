"""The Jobs of a run: prepare, train, evaluate, certify. Each mounts only what it needs. Pure.

prepare and certify run the slim image; train and evaluate run the runtime image, with base and data read-only and one folder
of staging to write to. No pod of a run has an API token. `spec.pod` applies only to the pods that train and evaluate: prepare
holds tokens, certify the keys.
"""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.common import Dataset
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_core.digest import canonical_json, digest_bytes
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_core.jobs.common import Ref
from oneseek_core.jobs.evaluate import EvaluateRequest
from oneseek_core.jobs.prepare import DatasetInput, PrepareRequest
from oneseek_core.jobs.train import TrainRequest
from oneseek_core.roles import Role
from oneseek_operator.resources import common, pod_access, pod_options, records
from oneseek_operator.resources.keys import secret_name
from oneseek_operator.resources.model import reference as model_reference
from oneseek_operator.settings import Settings

__all__ = [
    "certify_job",
    "evaluate_job",
    "job_name",
    "labels",
    "prepare_job",
    "spec_digest",
    "train_job",
    "train_job_name",
]


_PARENT_PATH = "/models/parent"


def labels(run: TrainingRun, component: str) -> dict[str, str]:
    """Labels of a run's object."""
    return {
        names.LABEL_MODEL: run.spec.model_ref.name,
        names.LABEL_RUN: run.metadata.name,
        names.LABEL_COMPONENT: component,
    }


def spec_digest(run: TrainingRun) -> str:
    """Digest of the part of the spec that decides the outcome (not `suspend`)."""
    spec = run.spec.to_wire()
    spec.pop("suspend", None)
    return digest_bytes(canonical_json(spec))


def job_name(run: TrainingRun, step: str) -> str:
    """The name of the Job of a step."""
    return f"{run.metadata.name}-{step}"


def train_job_name(run: TrainingRun, attempt: int) -> str:
    """The name of the train Job of an attempt; the first has no number."""
    return job_name(run, "train") if attempt <= 1 else job_name(run, f"train-{attempt}")


def _reference(run: TrainingRun) -> Ref:
    return Ref(namespace=run.metadata.namespace, name=run.metadata.name, uid=run.metadata.uid)


def _staging(run: TrainingRun) -> str:
    return f"{names.STAGING_DIR}/{run.metadata.uid}"


def prepare_job(run: TrainingRun, model: OneSeekModel, settings: Settings) -> dict[str, Any]:
    """Fetch, validate and digest the data, without a GPU."""
    inputs = _Inputs(settings, model)
    datasets = [inputs.add(dataset) for dataset in run.spec.datasets]
    evaluation = model.spec.training.evaluation
    request = PrepareRequest(
        run=_reference(run),
        spec_digest=spec_digest(run),
        datasets=datasets,
        heldout=inputs.add(evaluation.dataset) if evaluation else None,
        language=run.spec.language,
        type=run.spec.type,
    )
    env = [common.request_env(request), *inputs.env]
    mounts = [{"name": "models", "mountPath": names.MODELS_ROOT}, *inputs.mounts]
    main = common.container("main", settings.slim_image, ["prepare"], mounts=mounts, env=env)
    return _job(run, model, settings, "prepare", main=main, volumes=inputs.volumes, init=inputs.init, retries=2)


class _Inputs:
    """Collects what the prepare pod needs to reach each dataset: volumes, mounts, copying containers, a token."""

    def __init__(self, settings: Settings, model: OneSeekModel) -> None:
        self._settings = settings
        self._model = model
        self._count = 0
        self._hub = self._records = False
        self.volumes = [common.models_volume(model)]
        self.mounts: list[dict[str, Any]] = []
        self.init: list[dict[str, Any]] = []
        self.env: list[dict[str, Any]] = []

    def add(self, dataset: Dataset) -> DatasetInput:
        """Make a dataset reachable; returns it with the path of its file, if it is mounted."""
        index, self._count = self._count, self._count + 1
        volume, folder = f"dataset-{index}", f"/datasets/{index}"
        source, file = dataset.source, None
        if source.config_map:
            file = f"{folder}/data.jsonl"
            items = [{"key": source.config_map.key, "path": "data.jsonl"}]
            # optional: the Job reports a missing ConfigMap or key, instead of never starting
            config_map = {"name": source.config_map.name, "items": items, "optional": True}
            self.volumes.append({"name": volume, "configMap": config_map})
        elif source.image:
            file = f"{folder}/{source.image.path.rsplit('/', 1)[-1]}"
            self.volumes.append({"name": volume, "emptyDir": {}})
            path = f"/{source.image.path}"
            reference = source.image.reference
            self.init.append(
                common.copying_container(self._settings, reference, path, volume=volume, target=folder, index=index)
            )
        if file:
            self.mounts.append({"name": volume, "mountPath": folder, "readOnly": True})
        if source.hugging_face and not self._hub:
            # one token for all: a hub takes one at a time from the environment
            self._hub = True
            self.env += common.hub_env(self._settings, source.hugging_face.token_secret)
        if source.records and not self._records:
            self._records = True
            self.env += records.reader_env(self._model, self._settings)
            self.mounts.append(pod_access.mount())
            self.volumes.append(pod_access.volume(self._model, self._settings, Role.PREPARE))
        return DatasetInput(dataset=dataset, file=file)


def train_job(run: TrainingRun, model: OneSeekModel, settings: Settings, *, attempt: int) -> dict[str, Any]:
    """Fine-tune. A pod that is evicted is replaced and resumes from the checkpoint in staging."""
    spec, resolved = run.spec, run.status.resolved
    if resolved is None or resolved.data_digest is None:
        raise ValueError("training needs prepared data")
    request = TrainRequest(
        run=_reference(run),
        base_path="/models/base",
        base_digest=resolved.base_model_digest,
        data_path="/staging/data",
        output_path="/staging/adapter",
        data_digest=resolved.data_digest,
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        batch_size=spec.batch_size,
        maximum_length=spec.maximum_length,
        lora=spec.lora,
        auto_stop=spec.auto_stop,
        seed=spec.seed,
        precision=spec.precision,
        parent_path=_PARENT_PATH if resolved.parent else None,
        parent_digest=resolved.parent_digest,
    )
    base = f"{names.BASE_DIR}/{model.spec.base_model.name}"
    mounts: list[dict[str, Any]] = [
        {"name": "models", "mountPath": "/models/base", "subPath": base, "readOnly": True},
        *_parent_mount(resolved.parent),
        {"name": "models", "mountPath": "/staging/data", "subPath": f"{_staging(run)}/data", "readOnly": True},
        {"name": "models", "mountPath": "/staging/adapter", "subPath": f"{_staging(run)}/adapter"},
    ]
    env = [common.request_env(request), *pod_options.env(run)]
    main = common.container(
        "main", settings.runtime_image, ["train"], mounts=mounts, env=env, resources=common.resources_of(spec.resources)
    )
    name = train_job_name(run, attempt)
    volumes = [common.models_volume(model)]
    deadline = spec.active_deadline_seconds
    return _job(run, model, settings, "train", name=name, main=main, volumes=volumes, deadline=deadline, as_asked=True)


def _parent_mount(parent: str | None) -> list[dict[str, Any]]:
    if parent is None:
        return []
    path = f"{names.CERTIFIED_DIR}/{parent}"
    return [{"name": "models", "mountPath": _PARENT_PATH, "subPath": path, "readOnly": True}]


def evaluate_job(run: TrainingRun, model: OneSeekModel, settings: Settings) -> dict[str, Any]:
    """Answer the held-out questions. Base, adapter and questions are read-only; no token, no key."""
    resolved = run.status.resolved
    if resolved is None or resolved.heldout_digest is None:
        raise ValueError("evaluation needs a held-out set")
    request = EvaluateRequest(
        run=_reference(run),
        base_digest=resolved.base_model_digest,
        heldout_digest=resolved.heldout_digest,
        maximum_length=run.spec.maximum_length,
        precision="auto",  # as the engine will serve it
    )
    base = f"{names.BASE_DIR}/{model.spec.base_model.name}"
    mounts: list[dict[str, Any]] = [
        {"name": "models", "mountPath": request.base_path, "subPath": base, "readOnly": True},
        *(
            {"name": "models", "mountPath": f"/staging/{part}", "subPath": f"{_staging(run)}/{part}", "readOnly": True}
            for part in ("adapter", "evaluation")
        ),
        {"name": "models", "mountPath": request.output_path, "subPath": f"{_staging(run)}/scores"},
    ]
    main = common.container(
        "main",
        settings.runtime_image,
        ["evaluate"],
        mounts=mounts,
        env=[common.request_env(request), *pod_options.devices(run)],
        resources=common.resources_of(run.spec.resources),
    )
    volumes = [common.models_volume(model)]
    return _job(run, model, settings, "evaluate", main=main, volumes=volumes, retries=1, as_asked=True)


def certify_job(run: TrainingRun, model: OneSeekModel, settings: Settings) -> dict[str, Any]:
    """Check and seal what training left in staging."""
    spec, resolved = run.spec, run.status.resolved
    if resolved is None or resolved.created_at is None or resolved.major is None or resolved.data_digest is None:
        raise ValueError("certification needs a finished training and a version number")
    request = CertifyRequest(
        run=_reference(run),
        spec_digest=resolved.spec_digest,
        model=model_reference(model),
        family=model.spec.family,
        major=resolved.major,
        micro=resolved.micro or 0,
        type=spec.type,
        language=resolved.language,
        tags=resolved.tags,
        created_at=resolved.created_at,
        base_name=model.spec.base_model.name,
        base_digest=resolved.base_model_digest or "",
        datasets=resolved.datasets,
        data_digest=resolved.data_digest,
        samples=resolved.samples or 0,
        data=run.status.data,
        weights_digest=resolved.weights_digest,
        report_digest=resolved.report_digest,
        scores_digest=resolved.scores_digest,
        epochs=spec.epochs,
        learning_rate=spec.learning_rate,
        batch_size=spec.batch_size,
        maximum_length=spec.maximum_length,
        seed=spec.seed,
        lora=resolved.lora or spec.lora,
        auto_stop=spec.auto_stop,
        parent=resolved.parent,
        signing_keys_path="/keys",
        legacy_layout=model.spec.certification.legacy_layout,
        images={"train": settings.runtime_image, "evaluate": settings.runtime_image, "certify": settings.slim_image},
    )
    certified = f"{names.MODELS_ROOT}/{names.CERTIFIED_DIR}"
    mounts: list[dict[str, Any]] = [
        {"name": "models", "mountPath": "/staging", "subPath": _staging(run), "readOnly": True},
        {"name": "models", "mountPath": certified, "subPath": names.CERTIFIED_DIR},
        {"name": "keys", "mountPath": "/keys", "readOnly": True},
    ]
    main = common.container("main", settings.slim_image, ["certify"], mounts=mounts, env=[common.request_env(request)])
    keys = {"name": "keys", "secret": {"secretName": secret_name(model), "defaultMode": 0o440}}
    return _job(run, model, settings, "certify", main=main, volumes=[common.models_volume(model), keys], retries=2)


def _job(
    run: TrainingRun,
    model: OneSeekModel,
    settings: Settings,
    step: str,
    *,
    main: dict[str, Any],
    volumes: list[dict[str, Any]],
    init: list[dict[str, Any]] | None = None,
    name: str = "",
    retries: int = 0,
    deadline: int | None = None,
    as_asked: bool = False,
) -> dict[str, Any]:
    placed, tags = run.spec.pod, labels(run, step)
    more: dict[str, Any] = {"terminationGracePeriodSeconds": 60}  # time to write a checkpoint
    # A ReadWriteOnce claim may lie on a node that only the run's tolerations allow: its other pods must go there too. They
    # get no other part of `spec.pod`.
    if placed.tolerations and (as_asked or model.spec.storage.access_mode == "ReadWriteOnce"):
        more["tolerations"] = [item.to_wire() for item in placed.tolerations]
    if as_asked:
        more |= pod_options.placement(run)
    template = common.pod(
        model,
        settings,
        labels={**pod_options.pod_labels(run), **tags} if as_asked else tags,
        containers=[main],
        volumes=volumes,
        init_containers=init or [],
        **more,
    )
    if as_asked:
        template["metadata"]["annotations"] = pod_options.pod_annotations(run)
    return common.job(
        run, name or job_name(run, step), labels=tags, template=template, retries=retries, deadline_seconds=deadline
    )
