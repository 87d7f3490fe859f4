"""Who answers in the place of a pod that no longer may: the pod passes each new request on, whole."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from oneseek_core.api.base import ApiModel, DnaText

__all__ = ["Handover", "HandoverRequest"]

PodAddress = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]-]+$", max_length=253)]


class Handover(ApiModel):
    """The version that took over, and the pods that answer with it. Requests that began before finish where they are."""

    dna: DnaText | None = Field(default=None, description="The version that took over; None: the base model.")
    addresses: list[PodAddress] = Field(
        default=[],
        max_length=8,
        description="Of pods that answer with it (their internal port). None yet: new requests wait until there is one.",
    )


class HandoverRequest(ApiModel):
    """POST /internal/handover: hand every new request over, or (None) answer again."""

    handover: Handover | None = None
