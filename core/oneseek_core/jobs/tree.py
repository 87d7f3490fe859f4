"""What a tree Job is told to do with the links and versions on the claim, and how they lie afterwards."""

from __future__ import annotations

from pydantic import Field

from oneseek_core import names
from oneseek_core.api.base import ApiModel, DnaText, Timestamp
from oneseek_core.api.v1alpha1.model_status import Quarantined


class ResetOrder(ApiModel):
    """Who had everything certified deleted, and when."""

    user: str = Field(max_length=512)
    timestamp: Timestamp


class TreeRequest(ApiModel):
    """Point CURRENT (link and marker) at `current`; None removes both. With `reset` every certified version goes.

    `quarantine` is written down beside the versions, for a model that is made again over the claim.
    """

    models_root: str = names.MODELS_ROOT
    family: str
    current: DnaText | None = None
    remove: list[DnaText] = Field(default=[], max_length=32, description="Versions that retention deletes.")
    quarantine: list[Quarantined] | None = Field(default=None, max_length=64, description="None: leave it as it is.")
    reset: ResetOrder | None = None


class TreeReport(ApiModel):
    """Where CURRENT points now."""

    current: DnaText | None = None
    removed: list[DnaText] = []
