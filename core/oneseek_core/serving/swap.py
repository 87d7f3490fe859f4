"""Which version a HotSwap pod is to answer with, and how far it is with it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, DigestText, DnaText, ReasonText
from oneseek_core.api.v1alpha1.promotion import Probe


class WantedVersion(ApiModel):
    """The version that a HotSwap pod answers with: in its ConfigMap (`names.WANTED_FILE`), and in what it is told."""

    dna: DnaText | None = Field(default=None, description="None: the base model.")
    digest: DigestText | None = None
    serial: int = Field(
        default=0, ge=0, description="Rises with every change; of two different ones the higher counts."
    )


class SwapRequest(WantedVersion):
    """POST /internal/swap of a HotSwap pod's sidecar: get ready to answer with this version, and do unless `hold`."""

    hold: bool = Field(default=False, description="Load and probe it, but let the old one answer.")
    probes: list[Probe] = []
    keep: DnaText | None = Field(
        default=None,
        description="What answered before may stay loaded beside it; where it is loaded no more, it is not.",
    )


class SwapState(ApiModel):
    """How far the newest swap is. `Ready`: loaded and probed, held back. `Done`: it answers. `Failed`: it never will."""

    dna: DnaText | None = None
    serial: int
    phase: Literal["Verifying", "Loading", "Probing", "Ready", "Done", "Failed"]
    refused: bool = Field(default=False, description="The verifier's word: this is not what was certified.")
    reason: ReasonText | None = None
    message: str | None = None
    kept: DnaText | None = Field(default=None, description="What answered before and is loaded still, as it was told.")
