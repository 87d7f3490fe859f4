"""TrainingRun: one fine-tuning of one model, from data to a certified version.

The spec is frozen once the run has started (`suspend` apart): what was resolved then stands in the status, so the
run can be told and repeated.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, Condition, DigestText, DnaText, Name, ObjectMeta, Timestamp, cel, list_map
from oneseek_core.api.v1alpha1.common import (
    ANNOTATIONS,
    KEY_RULE,
    LABELS,
    VALUE_RULE,
    Dataset,
    EnvVar,
    Resources,
    Scores,
    StringMap,
    Toleration,
)
from oneseek_core.api.v1alpha1.promotion import Request

__all__ = ["TrainingRun", "TrainingRunSpec", "TrainingRunStatus"]


class ModelRef(ApiModel):
    """The OneSeekModel in the same namespace."""

    name: Name


class LoraSettings(ApiModel):
    """How much of the base model may change."""

    rank: int = Field(default=16, ge=1, le=256, description="Rank of the update matrices.")
    alpha: int = Field(default=32, ge=1, le=1024, description="Scale of the update: alpha / rank.")
    dropout: float = Field(default=0.05, ge=0, lt=1, description="Dropout on the adapter's input.")
    target_modules: Annotated[
        list[Annotated[str, Field(max_length=64)]],
        Field(
            min_length=1,
            max_length=16,
            json_schema_extra={
                "x-kubernetes-list-type": "set",
                **cel(
                    (
                        "self.all(name, name.matches('^[A-Za-z0-9_.]+$'))",
                        (
                            "name the base model's linear layers, such as q_proj; all-linear and patterns are not taken (the"
                            " error of a name that it lacks lists those that it has)"
                        ),
                    )
                ),
            },
        ),
    ] = Field(
        default=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        description="Linear layers that get an adapter.",
    )


class AutoStop(ApiModel):
    """Stop early when an epoch's mean training loss no longer falls by at least `threshold`."""

    metric: Literal["TrainingLoss"] = "TrainingLoss"
    threshold: float = Field(
        default=0.001, ge=0, le=10, description="Smallest fall of an epoch's mean loss that counts."
    )
    patience: int = Field(
        default=3, ge=1, le=100, description="Epochs in a row without such a fall before the run stops."
    )
    minimum_steps: int = Field(default=0, ge=0, le=10_000_000, description="Never stop before this many steps.")


class PodSettings(ApiModel):
    """Where and how the pods that train and evaluate are placed; the run's other pods hold tokens and keys, and get none of it."""

    node_selector: StringMap = Field(default={}, max_length=16)
    tolerations: list[Toleration] = Field(default=[], max_length=16)
    priority_class_name: Name | None = None
    runtime_class_name: Name | None = None
    labels: StringMap = Field(
        default={},
        max_length=16,
        json_schema_extra=cel(
            (
                f"self.all(key, key.matches('^({LABELS})$'))",
                (
                    "a label of your own goes without a prefix; with one, those of Kueue, Volcano, YuniKorn, autoscalers and"
                    " clouds are taken, and no other: some cluster's webhook may take it for an order"
                ),
            ),
            (
                "self.all(key, !(key in ['job-name', 'controller-uid']))",
                "job-name and controller-uid are set by Kubernetes itself; use another name",
            ),
            KEY_RULE,
            VALUE_RULE,
        ),
    )
    annotations: dict[Annotated[str, Field(max_length=316)], Annotated[str, Field(max_length=1024)]] = Field(
        default={},
        max_length=16,
        json_schema_extra=cel(
            (
                f"self.all(key, key.matches('^({ANNOTATIONS})$'))",
                (
                    "annotations of Kueue, Volcano, YuniKorn, autoscalers, clouds and Prometheus are taken, and no other: a"
                    " webhook obeys them, and puts its own containers beside the run's"
                ),
            ),
            KEY_RULE,
        ),
    )
    env: list[EnvVar] = Field(
        default=[],
        max_length=32,
        json_schema_extra=list_map("name"),
        description="For the container that trains; the one that evaluates gets the names of its devices alone.",
    )


RunType = Literal["Major", "Micro"]


class TrainingRunSpec(ApiModel):
    """What to train, on what, how."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "!has(self.type) || self.type != 'Micro' || self.datasets.all(item, has(item.source.records))",
                "a Micro run learns from what clients sent: every dataset of it has source.records",
            )
        )
    }

    model_ref: ModelRef
    type: RunType = Field(
        default="Major",
        description="Major: from the base model; MAJOR of the DNA rises by one. Micro: goes on from the version that"
        " answers; MICRO rises by the steps trained (one a question, and one more where it was analysed).",
    )
    datasets: list[Dataset] = Field(min_length=1, max_length=16, json_schema_extra=list_map("name"))
    language: Literal["auto", "sv", "en", "ensv"] = Field(
        default="auto", description="Language code of the DNA; auto reads it off the data."
    )
    epochs: int = Field(default=3, ge=1, le=1000)
    learning_rate: float = Field(default=0.0002, gt=0, le=1)
    batch_size: int = Field(default=8, ge=1, le=4096, description="Rows per optimiser step.")
    maximum_length: int = Field(
        default=512, ge=16, le=131072, description="Tokens per row; longer rows are cut at the end."
    )
    lora: LoraSettings = LoraSettings()
    auto_stop: AutoStop | None = Field(default=None, description="Unset: all epochs are trained.")
    seed: int = Field(default=42, ge=0, le=4294967295)
    precision: Literal["auto", "bf16", "fp32"] = Field(
        default="auto", description="auto: what a short probe at start finds faster."
    )
    resources: Resources = Field(default=Resources(), description="Compute resources of the train container.")
    suspend: bool = Field(
        default=False,
        description="Start nothing; a train Job under way is stopped and goes on from its checkpoint.",
    )
    active_deadline_seconds: int | None = Field(
        default=None, ge=1, le=31_536_000, description="Longest time the train Job may take."
    )
    pod: PodSettings = PodSettings()


class Progress(ApiModel):
    """How far the train pod is, as it last said."""

    percent: int = Field(ge=0, le=100)
    step: int = Field(ge=0)
    steps: int = Field(ge=0)
    epoch: int = Field(ge=0)
    epochs: int | None = Field(default=None, ge=0)
    loss: float | None = Field(default=None, description="Mean over the last steps.")
    tokens_per_second: float | None = Field(default=None, ge=0, description="Label tokens a second.")
    eta_seconds: int | None = Field(default=None, ge=0)
    updated_at: Timestamp


class LossPoint(ApiModel):
    """A point of the loss curve."""

    step: int = Field(ge=0)
    loss: float


class ResolvedDataset(ApiModel):
    """A dataset as it was used."""

    name: str = Field(max_length=96)
    digest: DigestText
    rows: int = Field(ge=0)


class RowCount(ApiModel):
    """Rows that one reason kept from being trained."""

    reason: str = Field(max_length=64)
    rows: int = Field(ge=0)


class DataCounts(ApiModel):
    """What became of the data's rows. `rows` = `trained` + the rows of `leftOut`, once training is done."""

    rows: int = Field(ge=0, description="Rows read from the datasets.")
    trained: int | None = Field(default=None, ge=0, description="Rows learnt from, as the train Job reports.")
    cut: int | None = Field(
        default=None, ge=0, description="Of the trained rows: those whose answer was cut at maximumLength."
    )
    left_out: list[RowCount] = Field(default=[], max_length=16, json_schema_extra=list_map("reason"))


class Resolved(ApiModel):
    """All that is needed to tell or repeat the run and that the spec alone does not say."""

    spec_digest: DigestText
    base_model_digest: DigestText | None = None
    datasets: list[ResolvedDataset] = Field(default=[], max_length=16)
    data_digest: DigestText | None = Field(default=None, description="SHA-256 of the prepared training file.")
    heldout_digest: DigestText | None = Field(default=None, description="SHA-256 of the held-out set.")
    samples: int | None = Field(default=None, ge=0, description="Rows trained; until training is done, rows prepared.")
    language: str | None = Field(default=None, max_length=8)
    tags: list[Annotated[str, Field(max_length=32)]] = Field(default=[], max_length=32)
    precision: str | None = Field(default=None, max_length=8)
    device: str | None = Field(default=None, max_length=64)
    steps: int | None = Field(default=None, ge=0)
    final_loss: float | None = None
    duration_seconds: float | None = Field(default=None, ge=0)
    created_at: Timestamp | None = None
    major: int | None = Field(default=None, ge=0)
    micro: int | None = Field(default=None, ge=0)
    parent: DnaText | None = Field(default=None, description="The version that a Micro run goes on from.")
    parent_digest: DigestText | None = None
    micro_steps: int | None = Field(default=None, ge=0, description="By how much a Micro run raises MICRO.")
    lora: LoraSettings | None = Field(default=None, description="The parent's, where a Micro run went on with it.")
    weights_digest: DigestText | None = Field(default=None, description="Of the adapter, as the train Job reports.")
    report_digest: DigestText | None = Field(default=None, description="Of training_report.json, likewise.")
    scores_digest: DigestText | None = Field(default=None, description="Of scores.json, as the evaluate Job reports.")


class AutoStopped(ApiModel):
    """When and why a run stopped before its last epoch."""

    step: int = Field(ge=0)
    reason: str = Field(max_length=1024)


class JobUids(ApiModel):
    """The run's Jobs as they were seen; one whose uid stands here and that is gone was deleted from outside."""

    prepare: str | None = Field(default=None, max_length=64)
    train: str | None = Field(default=None, max_length=64)
    evaluate: str | None = Field(default=None, max_length=64)
    certify: str | None = Field(default=None, max_length=64)


class TrainingRunStatus(ApiModel):
    """What is."""

    observed_generation: int = Field(default=-1)
    conditions: list[Condition] = Field(default=[], max_length=16, json_schema_extra=list_map("type"))
    started_at: Timestamp | None = Field(
        default=None, description="When the first Job was made; from then on the spec is frozen."
    )
    first_step_at: Timestamp | None = Field(default=None, description="When the train pod reported its first step.")
    completed_at: Timestamp | None = None
    progress: Progress | None = None
    losses: list[LossPoint] = Field(
        default=[], max_length=128, description="The loss curve, thinned to a bounded number of points."
    )
    resolved: Resolved | None = None
    data: DataCounts | None = Field(default=None, description="Rows read, trained and left out, with the reasons.")
    auto_stopped: AutoStopped | None = None
    dna: DnaText | None = None
    digest: DigestText | None = None
    scores: Scores | None = Field(default=None, description="On the model's held-out set, as certified.")
    jobs: JobUids = JobUids()
    attempts: int = Field(default=0, ge=0, description="Train Jobs made so far.")
    request: Request | None = Field(default=None, description="The newest retry asked for, and its outcome.")
    exit_reason: str | None = Field(default=None, max_length=2048, description="How the last Job that failed ended.")


class TrainingRun(ApiModel):
    """One fine-tuning of one model."""

    model_config = ApiModel.model_config | {"extra": "ignore"}

    metadata: ObjectMeta
    spec: TrainingRunSpec
    status: TrainingRunStatus = TrainingRunStatus()
