"""What the operator asks of a running sidecar on its internal port, and what the sidecar tells of itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from oneseek_core.api.base import ApiModel, DnaText
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.serving.analysis import AnalysisState
from oneseek_core.serving.handover import Handover
from oneseek_core.serving.swap import SwapState


class WarmVersion(ApiModel):
    """The version that answered before, while pods of its own still hold it: where their engines are."""

    dna: DnaText
    addresses: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$", max_length=253)]] = Field(
        min_length=1, max_length=8, description="Of its pods."
    )


class PreviousRequest(ApiModel):
    """POST /internal/previous: which version before this one can still be asked, and where; None: none."""

    previous: WarmVersion | None = None


class SidecarState(ApiModel):
    """GET /internal/state of a sidecar: what it found out, not what it was told."""

    dna: DnaText | None = Field(
        default=None, description="DNA the engine itself reports as loaded; absent for the base model."
    )
    base_name: str
    ready: bool = Field(description="The engine answers and serves what the settings ask for.")
    draining: bool = False
    open_connections: int = Field(ge=0, description="Open client connections on the public port.")
    spooled: int = Field(default=0, ge=0, description="Answered questions that the records service has not yet.")
    lost: int = Field(
        default=0, ge=0, description="Answered questions that will never be recorded: spool full, refused."
    )
    abandoned: int = Field(
        default=0, ge=0, description="Those given up when the stopping pod's time was over. Told once; then it ends."
    )
    revision: int = Field(default=0, ge=0, description="Rises with every change that GET /internal/changes waits for.")
    handover: Handover | None = Field(default=None, description="Who new requests are passed on to, if to anybody.")
    analysis: AnalysisState | None = Field(default=None, description="Of the newest /internal/analysis.")
    verdict: VerifyReport | None = Field(
        default=None, description="What the pod's own watching verifier found last; absent before its first round."
    )
    swap: SwapState | None = Field(default=None, description="HotSwap pods only.")
    previous: WarmVersion | None = Field(
        default=None, description="What /internal/previous told, as far as it was found there."
    )
    requests: int = Field(
        default=0, ge=0, description="Public answers since the start, or since clients were last sent here again."
    )
    errors: int = Field(
        default=0, ge=0, description="Those with a 5xx status; a busy engine's 503 is no error of the version."
    )


class DrainRequest(ApiModel):
    """POST /internal/drain: let clients go, or (false) take them again after the Service came back."""

    draining: bool = True


class ProbeRequest(ApiModel):
    """POST /internal/probe: one real generation, not recorded anywhere."""

    question: str
    max_tokens: int = 24


class ProbeAnswer(ApiModel):
    """What the probe's generation gave."""

    dna: DnaText | None = None
    text: str
    tokens: int
    latency_ms: int
