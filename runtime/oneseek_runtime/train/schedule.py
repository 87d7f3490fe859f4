"""Steps, rates, stopping and the loss curve. Pure: numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from oneseek_core.api.v1alpha1.training_run import AutoStop

__all__ = ["Curve", "Plan", "learning_rate", "stop_reason"]

WARM_UP_SHARE = 0.05  # of all steps; a fresh adapter's first gradients are the largest
FINAL_SHARE = 0.1  # of the peak rate, so that the last epoch still learns


@dataclass(frozen=True, slots=True)
class Plan:
    """How long the run is. `steps_per_epoch` optimiser steps make an epoch."""

    epochs: int
    steps_per_epoch: int
    peak_rate: float

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    @property
    def warm_up_steps(self) -> int:
        """Steps over which the rate rises to its peak."""
        return max(1, round(self.steps * WARM_UP_SHARE))


def learning_rate(step: int, plan: Plan) -> float:
    """Rate of step `step` (from 0): a short linear rise, then half a cosine down to a tenth of the peak."""
    warm_up = plan.warm_up_steps
    if step < warm_up:
        return plan.peak_rate * (step + 1) / warm_up
    done = (step - warm_up) / max(1, plan.steps - warm_up)
    return plan.peak_rate * (FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * done)))


def stop_reason(epoch_losses: Sequence[float], steps: int, settings: AutoStop | None) -> str | None:
    """Why to stop after these epochs; None to go on.

    An epoch counts as progress where its mean loss lies at least `threshold` below the lowest before it.
    """
    if settings is None or steps < settings.minimum_steps or len(epoch_losses) <= settings.patience:
        return None
    best = epoch_losses[0]
    without = 0
    for loss in epoch_losses[1:]:
        without = 0 if best - loss >= settings.threshold else without + 1
        best = min(best, loss)
    if without < settings.patience:
        return None
    return (
        f"the mean training loss did not fall by {settings.threshold:g} or more in {without} epochs in a row "
        f"(lowest {best:.4f}, last {epoch_losses[-1]:.4f})"
    )


@dataclass(slots=True)
class Curve:
    """The loss curve in bounded memory: each point is the mean of `width` steps, placed at the last of them.

    When `limit` points are full, neighbours are joined and `width` doubles; so it stays even from first to last step.
    """

    limit: int = 64
    width: int = 1
    points: list[tuple[int, float]] = field(default_factory=list)
    pending: list[float] = field(default_factory=list)

    def add(self, step: int, loss: float) -> None:
        """Take in the loss of step `step` (from 1, rising)."""
        self.pending.append(loss)
        if len(self.pending) < self.width:
            return
        self.points.append((step, sum(self.pending) / len(self.pending)))
        self.pending.clear()
        if len(self.points) == self.limit:
            pairs = zip(self.points[::2], self.points[1::2], strict=True)
            self.points = [(later[0], (earlier[1] + later[1]) / 2) for earlier, later in pairs]
            self.width *= 2
