"""What a run's train Job is told, how far it says it is, and what it measured.

Progress is JSON lines in the pod's log; each line alone says all that the operator needs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, DigestText, Timestamp
from oneseek_core.api.v1alpha1.training_run import AutoStop, AutoStopped, LoraSettings, LossPoint, RowCount
from oneseek_core.jobs.common import Ref

# The pod that trains runs the code of whoever made its image and libraries: what it reports must fit into a status.
Count = Annotated[int, Field(ge=0, le=2**40)]


class CurvePoint(LossPoint):
    """A point of the loss curve, as the pod that trains says it."""

    step: Count


class LeftOut(RowCount):
    """Rows that one reason kept from being trained, as that pod counted them."""

    rows: Count


class TrainRequest(ApiModel):
    """Fine-tune the base model at `base_path` on `<data_path>/train.jsonl` and leave an adapter in `output_path`."""

    run: Ref
    base_path: str
    base_digest: DigestText | None = Field(
        default=None, description="Of the base model's manifest, as it was imported."
    )
    data_path: str
    output_path: str
    data_digest: DigestText
    epochs: int
    learning_rate: float
    batch_size: int
    maximum_length: int
    lora: LoraSettings
    auto_stop: AutoStop | None = None
    seed: int
    precision: Literal["auto", "bf16", "fp32"]
    parent_path: str | None = Field(default=None, description="Certified folder to go on from; its LoRA is continued.")
    parent_digest: DigestText | None = Field(default=None, description="SHA-256 of that folder's manifest.")


class TrainProgress(ApiModel):
    """One JSON line of the train pod's log, at most one a second; `curve` is the whole curve, thinned."""

    event: Literal["progress"] = "progress"
    percent: int = Field(ge=0, le=100)
    step: Count
    steps: Count
    epoch: Count
    epochs: Count
    loss: float
    tokens_per_second: float = Field(ge=0)
    eta_seconds: Count
    curve: Annotated[list[CurvePoint], Field(max_length=64)] = []


class Recipe(ApiModel):
    """What of the arithmetic no spec sets, in the words of the old trainer's settings."""

    lr_scheduler: str
    warmup_steps: int
    weight_decay: float
    max_grad_norm: float
    optimizer: str
    gradient_checkpointing: bool
    torch_compile: bool


class TrainReport(ApiModel):
    """What training measured. The whole of it lies in staging as `adapter/training_report.json`."""

    steps: Count
    epochs: Count
    samples: Count = Field(description="Rows that were learnt from.")
    left_out: list[LeftOut] = Field(
        default=[], max_length=8, description="Prepared rows that could not be learnt from."
    )
    cut: Count = Field(default=0, description="Of the samples: rows whose answer was cut at maximum_length.")
    micro_steps: Count | None = Field(default=None, description="Of recorded windows: the steps that were learnt.")
    final_loss: float = Field(description="Mean training loss of the last epoch, nats per label token.")
    epoch_losses: list[float] = Field(default=[], description="Mean training loss per epoch; the newest 100.")
    label_tokens: Count
    tokens_per_second: float
    duration_seconds: float
    started_at: Timestamp
    ended_at: Timestamp
    precision: Literal["bf16", "fp32"]
    device: str = Field(max_length=64)
    auto_stopped: AutoStopped | None = None
    resumed_from_step: Count | None = None
    weights_digest: DigestText = Field(description="SHA-256 of adapter_model.safetensors.")
    lora: LoraSettings | None = Field(default=None, description="The parent's, where training went on with it.")
    recipe: Recipe | None = Field(default=None, description="In the file alone: a termination message has little room.")
    report_digest: DigestText | None = Field(default=None, description="SHA-256 of the file; in the message alone.")
