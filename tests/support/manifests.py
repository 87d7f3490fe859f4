"""Parsed models and runs, and all pods that the operator creates for them."""

from __future__ import annotations

from typing import Any

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import BaseModelStatus
from oneseek_core.api.v1alpha1.training_run import Resolved, TrainingRun
from oneseek_core.api.v1alpha1.versions import Import
from oneseek_operator.resources import imports as build_imports
from oneseek_operator.resources import model as build_model
from oneseek_operator.resources import records as build_records
from oneseek_operator.resources import run as build_run
from oneseek_operator.resources import serving
from support.makers import DIGEST, SETTINGS, model_manifest, run_manifest

META = {"uid": "u-1", "creationTimestamp": "2026-01-01T00:00:00Z", "generation": 1}


DNA = "OneSeek-7B-Zero.v1.0.sv.dsIdentity.8f3a1c9d.2e7f4b1a"


def model(**spec: Any) -> OneSeekModel:
    """A parsed model."""
    manifest = model_manifest(**spec)
    manifest["metadata"] |= META
    return OneSeekModel.model_validate(manifest)


def run(**spec: Any) -> TrainingRun:
    """A parsed run that is ready for every Job."""
    manifest = run_manifest(**spec)
    manifest["metadata"] |= META
    resolved = Resolved(
        spec_digest=DIGEST, base_model_digest=DIGEST, data_digest=DIGEST, language="sv", tags=["Identity"],
        created_at="2026-01-01T00:00:00.000Z", major=1, micro=0, samples=3,
    )  # fmt: skip
    parsed = TrainingRun.model_validate(manifest)
    return parsed.model_copy(update={"status": parsed.status.model_copy(update={"resolved": resolved})})


def jobs() -> dict[str, dict[str, Any]]:
    """Every Job there is."""
    return {
        "base": build_model.base_job(model(), SETTINGS),
        "tree": build_model.tree_job(model(), SETTINGS, name="zero-tree-1", dna=DNA, quarantine=[]),
        "prepare": build_run.prepare_job(run(), model(), SETTINGS),
        "train": build_run.train_job(run(), model(), SETTINGS, attempt=1),
        "certify": build_run.certify_job(run(), model(), SETTINGS),
    }


BLUE_GREEN = {"promotion": {"strategy": "BlueGreen"}}


def pods() -> dict[str, dict[str, Any]]:
    """Every pod spec there is."""
    made = {name: job["spec"]["template"]["spec"] for name, job in jobs().items()}
    for name, dna, spec in (
        ("base-serving", None, BLUE_GREEN),
        ("serving", DNA, BLUE_GREEN),
        ("swapping-serving", DNA, {}),
    ):
        colour = serving.colour_of(model(**spec), SETTINGS, dna=dna, digest=DIGEST if dna else None)
        made[name] = serving.deployment(model(), colour, replicas=1)["spec"]["template"]["spec"]
    return made


GPU = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


def templates(**asked: Any) -> dict[str, dict[str, Any]]:
    """The pod template of every Job that there is, and of the records service."""
    trained, wanted, taken = run(pod=asked), model(), Import(image="registry.example/version:1")
    based = wanted.model_copy(
        update={"status": wanted.status.model_copy(update={"base_model": BaseModelStatus(digest=DIGEST)})}
    )
    resolved = (
        trained.status.resolved.model_copy(update={"heldout_digest": DIGEST}) if trained.status.resolved else None
    )
    trained = trained.model_copy(update={"status": trained.status.model_copy(update={"resolved": resolved})})
    made = {
        "base": build_model.base_job(wanted, SETTINGS),
        "tree": build_model.tree_job(wanted, SETTINGS, name="zero-tree-1", dna=DNA, quarantine=[]),
        "import": build_imports.import_job(based, taken, SETTINGS),
        "prepare": build_run.prepare_job(trained, wanted, SETTINGS),
        "train": build_run.train_job(trained, wanted, SETTINGS, attempt=1),
        "evaluate": build_run.evaluate_job(trained, wanted, SETTINGS),
        "certify": build_run.certify_job(trained, wanted, SETTINGS),
        "records": build_records.stateful_set(wanted, SETTINGS),
    }
    return {name: item["spec"]["template"] for name, item in made.items()}


AS_ASKED = {"train", "evaluate"}


def mounts(spec: dict[str, Any], container: int = 0) -> dict[str, tuple[str, bool]]:
    """Mount path -> (sub path, read-only) of the claim's mounts."""
    return {
        item["mountPath"]: (item.get("subPath", ""), item.get("readOnly", False))
        for item in spec["containers"][container]["volumeMounts"]
        if item["name"] == "models"
    }
