"""metadata.json and training_results.json, in the old readers' field names. Pure and deterministic.

The creation time is the train Job's completion time, given by the operator, so certifying twice gives the same folder. Values that were
not measured are null.
"""

from __future__ import annotations

from typing import Any

from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.artifact import ArtifactMetadata, Provenance
from oneseek_core.digest import PREFIX, canonical_json
from oneseek_core.dna import Dna
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_core.jobs.evaluate import ScoresFile
from oneseek_core.jobs.train import TrainReport
from oneseek_runtime.artifact.layout import adapter_folder

__all__ = ["dna_of", "metadata_of", "scores_of", "training_results"]


def dna_of(request: CertifyRequest, weights_digest: str) -> Dna:
    """The DNA of the run's adapter with the weights digest `sha256:...`."""
    return Dna.derive(
        family=request.family,
        version=(request.major, request.micro),
        language=request.language,
        tags=tuple(sorted(set(request.tags))),
        weights_sha256=weights_digest.removeprefix(PREFIX),
        created_at=request.created_at,
    )


def metadata_of(
    request: CertifyRequest, report: TrainReport, dna: Dna, weights_digest: str, evaluated: ScoresFile | None = None
) -> ArtifactMetadata:
    """metadata.json, with the evaluation's scores in `scores` and among the old readers' metrics."""
    loss = {"loss": report.final_loss}
    scores = scores_of(evaluated)
    measured = (
        {"scores": scores.to_wire(), "evaluatedWith": evaluated.evaluated_with.to_wire()}
        if scores and evaluated
        else {}
    )
    # Checked as one value, for the fields that old readers want beside the typed ones are extra keys of the type.
    return ArtifactMetadata.model_validate(
        {
            "version": f"{request.family}.v{request.major}.{request.micro}",
            "dna": str(dna),
            "createdAt": request.created_at,
            "baseModel": request.base_name,
            "language": request.language,
            "datasets": [dataset.name for dataset in request.datasets],
            "trainingType": "dna-v2",
            "samplesProcessed": request.samples,
            "metrics": {"accuracy": None, "fairness": None, "bias_score": None, **_metrics(scores), **loss},
            "hashes": {"trainingData": _short(request.data_digest), "modelWeights": _short(weights_digest)},
            "digests": {"trainingData": request.data_digest, "modelWeights": weights_digest},
            "status": "completed",
            "finalizedAt": request.created_at,
            "adapters": [adapter_folder(request.base_name)] if request.legacy_layout else [],
            "trainingConfig": _training_config(request, report),
            "trainingDuration": _duration(report),
            "epochLosses": _epoch_losses(report),
            "autoStopped": report.auto_stopped.to_wire() if report.auto_stopped else None,
            "provenance": _provenance(request),
            **_data(request),
            **measured,
        }
    )


def scores_of(file: ScoresFile | None) -> Scores | None:
    """The scores without the answers: what is certified and decided by the gate."""
    if file is None:
        return None
    return Scores.model_validate({name: value for name, value in file if name in Scores.model_fields})


def _metrics(scores: Scores | None) -> dict[str, float | None]:
    """The evaluation's metrics beside the old readers' ones; its loss is no training loss."""
    if scores is None:
        return {}
    return {"factsContained": scores.facts_contained, "exact": scores.exact, "heldOutLoss": scores.loss}


def training_results(request: CertifyRequest, report: TrainReport, dna: Dna, immutable_hash: str) -> bytes:
    """training_results.json, the old trainers' second file; null for values they invented.

    `immutable_hash`: of the version's ledger_proof.json.
    """
    return (
        canonical_json(
            {
                "dna": str(dna),
                "version": f"{request.major}.{request.micro}",
                "status": "completed",
                "baseModels": [request.base_name],
                "dataset": ",".join(dataset.name for dataset in request.datasets),
                "samples": request.samples,
                **_data(request),
                "epochs": report.epochs,
                "current_epoch": report.epochs,
                "final_loss": report.final_loss,
                "final_weights": {request.base_name: 1.0},
                "training_history": _epoch_losses(report),
                "immutable_hash": immutable_hash,
                "metrics": {
                    "training_loss": report.final_loss,
                    "validation_accuracy": None,
                    "fairness_score": None,
                    "bias_score": None,
                    "consensus_accuracy": None,
                    "models_trained": 1,
                    "multi_model_mode": False,
                    "device": report.device,
                    "epoch_losses": list(report.epoch_losses),
                },
                "fairness_metrics": {"demographic_parity": None, "equal_opportunity": None, "disparate_impact": None},
                "trained_models": [request.base_name],
                # Old readers parse it as a time without a zone.
                "timestamp": request.created_at.removesuffix("Z"),
                "duration_seconds": report.duration_seconds,
            }
        )
        + b"\n"
    )


def _training_config(request: CertifyRequest, report: TrainReport) -> dict[str, Any]:
    auto_stop = request.auto_stop
    return {
        "epochs": request.epochs,
        "batchSize": request.batch_size,
        "learningRate": request.learning_rate,
        "maximumLength": request.maximum_length,
        "seed": request.seed,
        "loraConfig": {
            "rank": request.lora.rank,
            "alpha": request.lora.alpha,
            "dropout": request.lora.dropout,
            "targetModules": list(request.lora.target_modules),
        },
        "advancedConfig": {"precision": report.precision, **(report.recipe.to_wire() if report.recipe else {})},
        "autoStop": {"threshold": auto_stop.threshold, "patience": auto_stop.patience} if auto_stop else None,
    }


def _data(request: CertifyRequest) -> dict[str, Any]:
    """Counts of read, trained, truncated and dropped rows, as the Jobs reported them."""
    return {"data": request.data.to_wire()} if request.data else {}


def _duration(report: TrainReport) -> dict[str, Any]:
    minutes, seconds = divmod(int(report.duration_seconds), 60)
    return {
        "startTime": report.started_at,
        "endTime": report.ended_at,
        "durationSeconds": report.duration_seconds,
        "durationFormatted": f"{minutes}m {seconds}s",
    }


def _epoch_losses(report: TrainReport) -> list[dict[str, Any]]:
    """The report keeps the newest epochs only, so counting starts at the first of them."""
    first = report.epochs - len(report.epoch_losses) + 1
    return [{"epoch": epoch, "loss": loss} for epoch, loss in enumerate(report.epoch_losses, start=first)]


def _provenance(request: CertifyRequest) -> Provenance:
    return Provenance(
        namespace=request.run.namespace,
        run=request.run.name,
        run_uid=request.run.uid,
        spec_digest=request.spec_digest,
        model=request.model.name,
        base_model_digest=request.base_digest,
        data_digest=request.data_digest,
        datasets=[dataset.to_wire() for dataset in request.datasets],
        parent=request.parent,
    )


def _short(digest: str) -> str:
    return digest.removeprefix(PREFIX)[:8]
