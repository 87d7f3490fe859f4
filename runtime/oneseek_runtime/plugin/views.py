"""What the plugin reads of models and runs; how leniently, says `objectview`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from oneseek_core import names
from oneseek_runtime.plugin.objectview import ObjectView, StatusView, View

__all__ = ["LedgerView", "ModelView", "RunView", "ScoreSetView", "ScoresView", "VersionView", "of_model"]


class ScoreSetView(View):
    """Scores over some of the held-out questions."""

    questions: int = 0
    facts_contained: float | None = None
    exact: float | None = None
    loss: float | None = None


class ScoresView(ScoreSetView):
    """Scores over all, and by language."""

    by_language: dict[str, ScoreSetView] = {}


class ReferenceView(View):
    """A version in a role."""

    dna: str
    digest: str = ""
    since: str = ""


class VersionView(View):
    """A certified version."""

    dna: str
    digest: str = ""
    type: str = ""
    state: str = ""
    parent: str | None = None
    run: str | None = None
    scores: ScoresView | None = None
    reason: str | None = None
    created_at: str = ""


class QuarantineView(View):
    """A version that may not answer."""

    dna: str
    reason: str = ""
    message: str = ""
    since: str = ""


class SelectionView(View):
    """A person's standing choice of version; without a DNA it is the base model."""

    verb: str = ""
    dna: str | None = None
    since: str = ""


class LedgerView(View):
    """The ledger as the operator last saw it."""

    height: int
    head: str


class BaseModelView(View):
    """The base model, as the spec names it and as it was imported."""

    name: str = ""
    digest: str | None = None


class ModelSpecView(View):
    """What of a model's spec is shown."""

    family: str = ""
    version: str = "auto"
    suspend: bool = False
    base_model: BaseModelView = BaseModelView()


class ModelStatusView(StatusView):
    """A model's status."""

    current: ReferenceView | None = None
    previous: ReferenceView | None = None
    candidate: ReferenceView | None = None
    versions: list[VersionView] = []
    quarantine: list[QuarantineView] = []
    selection: SelectionView | None = None
    base_model: BaseModelView | None = None
    outbox: list[dict[str, Any]] = []
    ledger: LedgerView | None = None
    url: str | None = None
    colour: str | None = None
    replicas: int = 0
    selector: str | None = None


class ModelView(ObjectView):
    """A OneSeekModel."""

    spec: ModelSpecView
    status: ModelStatusView = ModelStatusView()

    def _status(self) -> StatusView:
        return self.status


class ModelRefView(View):
    """Whose run it is."""

    name: str


class RunSpecView(View):
    """What of a run's spec is shown."""

    model_ref: ModelRefView
    type: str = ""
    suspend: bool = False


class ProgressView(View):
    """How far the train pod is, as it last said."""

    percent: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: int | None = None
    updated_at: str = ""


class LossPointView(View):
    """A point of the loss curve."""

    step: int
    loss: float


class AutoStoppedView(View):
    """When and why a run stopped before its last epoch."""

    step: int = 0
    reason: str = ""


class RunStatusView(StatusView):
    """A run's status."""

    started_at: str | None = None
    completed_at: str | None = None
    progress: ProgressView | None = None
    losses: list[LossPointView] = []
    auto_stopped: AutoStoppedView | None = None
    dna: str | None = None
    scores: ScoresView | None = None
    attempts: int = 0
    exit_reason: str | None = None


class RunView(ObjectView):
    """A TrainingRun."""

    spec: RunSpecView
    status: RunStatusView = RunStatusView()

    def _status(self) -> StatusView:
        return self.status

    @property
    def phase(self) -> Literal["UnderWay", "Ended", "Failed"]:
        """Whether it goes on: Ready has ended well (certified or rejected), Stalled badly, all else goes on."""
        stalled = self.find(names.STALLED)
        if self.seen and stalled is not None and stalled.status == "True":
            return "Failed"
        return "Ended" if self.ready.status == "True" else "UnderWay"


def of_model(runs: Sequence[RunView], model: ModelView) -> list[RunView]:
    """A model's runs, the newest first."""
    mine = [
        run
        for run in runs
        if (run.spec.model_ref.name, run.metadata.namespace) == (model.metadata.name, model.metadata.namespace)
    ]
    return sorted(mine, key=lambda run: (run.metadata.creation_timestamp, run.metadata.name), reverse=True)
