"""What a run's train Job is told, how far it says it is, and what it measured.

Progress is JSON lines in the pod's log; each line alone says all that the operator needs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, DigestText, Timestamp
from oneseek_core.api.v1alpha1.training_run import AutoStop, AutoStopped, LoraSettings, LossPoint, RowCount
from oneseek_core.jobs.common import Ref


class TrainRequest(ApiModel):
    """Fine-tune the base model at `base_path` on `<data_path>/train.jsonl` and leave an adapter in `output_path`."""

    run: Ref
    base_path: str
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
    percent: int
    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    tokens_per_second: float
    eta_seconds: int
    curve: Annotated[list[LossPoint], Field(max_length=64)] = []


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

    steps: int
    epochs: int
    samples: int = Field(description="Rows that were learnt from.")
    left_out: list[RowCount] = Field(default=[], description="Prepared rows that could not be learnt from.")
    cut: int = Field(default=0, ge=0, description="Of the samples: rows whose answer was cut at maximum_length.")
    micro_steps: int | None = Field(default=None, ge=0, description="Of recorded windows: the steps that were learnt.")
    final_loss: float = Field(description="Mean training loss of the last epoch, nats per label token.")
    epoch_losses: list[float] = Field(default=[], description="Mean training loss per epoch; the newest 100.")
    label_tokens: int
    tokens_per_second: float
    duration_seconds: float
    started_at: Timestamp
    ended_at: Timestamp
    precision: Literal["bf16", "fp32"]
    device: str
    auto_stopped: AutoStopped | None = None
    resumed_from_step: int | None = None
    weights_digest: DigestText = Field(description="SHA-256 of adapter_model.safetensors.")
    lora: LoraSettings | None = Field(default=None, description="The parent's, where training went on with it.")
    recipe: Recipe | None = Field(default=None, description="In the file alone: a termination message has little room.")
    report_digest: DigestText | None = Field(default=None, description="SHA-256 of the file; in the message alone.")
