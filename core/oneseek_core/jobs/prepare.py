"""Which data a run's prepare Job is told to fetch, and what it made of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oneseek_core import names
from oneseek_core.api.base import ApiModel, DigestText
from oneseek_core.api.v1alpha1.common import Dataset
from oneseek_core.api.v1alpha1.training_run import ResolvedDataset, RowCount, RunType
from oneseek_core.jobs.common import CertifiedVersion, Ref


class DatasetInput(ApiModel):
    """A dataset and, for configMap and image sources, the file it is mounted at."""

    dataset: Dataset
    file: str | None = None


class PrepareRequest(ApiModel):
    """Fetch, validate and digest the data into `.staging/<run uid>/data/train.jsonl`; other runs' staging is removed."""

    run: Ref
    spec_digest: DigestText
    models_root: str = names.MODELS_ROOT
    datasets: list[DatasetInput]
    heldout: DatasetInput | None = Field(default=None, description="Held-out questions, for the evaluate Job alone.")
    language: Literal["auto", "sv", "en", "ensv"]
    type: RunType = "Major"


class PrepareReport(ApiModel):
    """The data as it will be used. With `already_certified` nothing was prepared: the claim holds the run's version."""

    datasets: list[ResolvedDataset] = []
    data_digest: DigestText | None = None
    samples: int = 0
    left_out: list[RowCount] = Field(default=[], description="Rows that were read and are not among the samples.")
    language: Literal["sv", "en", "ensv"] = "en"
    tags: list[str] = []
    heldout: ResolvedDataset | None = None
    micro_steps: int = Field(
        default=0, ge=0, description="Of recorded windows: a step a question, and one more where it was analysed."
    )
    already_certified: CertifiedVersion | None = None
