"""What all runs of a model share, and the runs that the operator makes itself because clients asked over HTTP."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, cel, list_map
from oneseek_core.api.v1alpha1.common import Dataset, Resources
from oneseek_core.api.v1alpha1.training_run import LoraSettings, PodSettings

__all__ = ["Evaluation", "Micro", "RunDefaults", "Training"]


class Evaluation(ApiModel):
    """How every version of the model is measured."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "!has(self.dataset.source.records)",
                "what clients sent is no held-out set: give evaluation.dataset another source than records",
            )
        )
    }

    dataset: Dataset = Field(
        description="Held-out questions: JSONL rows with question, language, mustContain and, optionally, output."
    )


class Micro(ApiModel):
    """Learning from what clients send to `POST /api/oqt/micro-train`: questions are collected in windows."""

    enabled: bool = Field(
        default=True, description="false: such questions are refused, and nothing is trained on them."
    )
    minimum_questions: int = Field(
        default=10, ge=1, le=1000, description="A window closes once it holds so many and no more come for a while."
    )
    debounce_seconds: int = Field(
        default=60, ge=0, le=3600, description="That while. A window closes after an hour at the latest."
    )
    maximum_per_hour: int = Field(default=6, ge=1, le=3600, description="Windows that close within any hour.")


class RunDefaults(ApiModel):
    """Settings of the runs that the operator makes; what is unset has TrainingRun's own default."""

    language: Literal["auto", "sv", "en", "ensv"] | None = None
    epochs: int | None = Field(default=None, ge=1, le=1000)
    learning_rate: float | None = Field(default=None, gt=0, le=1)
    batch_size: int | None = Field(default=None, ge=1, le=4096)
    maximum_length: int | None = Field(default=None, ge=16, le=131072)
    lora: LoraSettings | None = Field(
        default=None, description="For runs from the base model; a Micro run goes on with the LoRA of what answers."
    )
    seed: int | None = Field(default=None, ge=0, le=4294967295)
    precision: Literal["auto", "bf16", "fp32"] | None = None
    resources: Resources | None = None
    active_deadline_seconds: int | None = Field(default=None, ge=1, le=31_536_000)
    pod: PodSettings | None = None


class Training(ApiModel):
    """What all runs of the model share."""

    suspend: bool = Field(default=False, description="No run of the model starts; one under way goes on.")
    datasets: list[Dataset] = Field(
        default=[],
        max_length=15,
        json_schema_extra={
            **list_map("name"),
            **cel(
                (
                    "self.all(item, !has(item.source.records))",
                    "a window of the records is no dataset of the model: a Major run that clients ask for trains it anyway",
                ),
                (
                    "self.all(item, !item.name.startsWith('conversation-'))",
                    "names that begin with conversation- are those of windows; name the dataset otherwise",
                ),
            ),
        },
        description="What every Major run that the operator makes itself trains, beside what clients sent since the last one."
        " Such a run starts from the base model, so what the model must know belongs here.",
    )
    micro: Micro = Micro()
    defaults: RunDefaults = RunDefaults()
    evaluation: Evaluation | None = Field(default=None, description="Unset: versions are certified without scores.")
