"""What a run's certify Job is told, which alone holds the keys, and the version it sealed."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oneseek_core import names
from oneseek_core.api.base import ApiModel, DigestText, DnaText, Timestamp
from oneseek_core.api.v1alpha1.training_run import AutoStop, DataCounts, LoraSettings, ResolvedDataset, RunType
from oneseek_core.jobs.common import CertifiedVersion, Ref


class CertifyRequest(ApiModel):
    """Check the adapter in `<staging_path>/adapter` and seal it as `<certified_path>/<DNA>`."""

    run: Ref
    spec_digest: DigestText
    model: Ref
    staging_path: str = "/staging"
    certified_path: str = f"{names.MODELS_ROOT}/{names.CERTIFIED_DIR}"
    family: str
    major: int
    micro: int
    type: RunType
    language: Literal["sv", "en", "ensv"]
    tags: list[str]
    created_at: Timestamp = Field(description="The train Job's completion time, UTC with milliseconds and Z.")
    base_name: str
    base_digest: DigestText
    datasets: list[ResolvedDataset]
    data_digest: DigestText
    samples: int
    data: DataCounts | None = None
    weights_digest: DigestText | None = Field(default=None, description="Of the adapter, as the train Job reported it.")
    report_digest: DigestText | None = Field(default=None, description="Of training_report.json, likewise.")
    scores_digest: DigestText | None = Field(
        default=None, description="Of scores.json, as the evaluate Job reported it; None: the run was not evaluated."
    )
    epochs: int
    learning_rate: float
    batch_size: int
    maximum_length: int
    seed: int
    lora: LoraSettings
    auto_stop: AutoStop | None = None
    parent: DnaText | None = None
    signing_keys_path: str | None = Field(
        default=None, description="Folder with `signing.key` and `ledger.key`; absent: certified without signature."
    )
    legacy_layout: bool = Field(default=True, description="Also write what only the old service's readers open.")
    images: dict[str, str] = Field(
        default={}, description="Role (train, evaluate, certify) -> image with digest, for the provenance."
    )


class CertifyReport(ApiModel):
    """The certified folder."""

    version: CertifiedVersion
    signed: bool = False
