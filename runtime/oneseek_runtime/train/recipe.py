"""The LoRA recipe, from top to bottom.

What makes it cheap, each part measured: the output layer runs at label positions only; rows are packed without
padding and share the prefix that their chat template gives them all; attention runs within each row; the frozen base
is in the number format this machine multiplies faster; the adapter is one fused operation per layer.

It does no I/O: whoever drives the iterator prints, saves and stops.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import AutoStop
from oneseek_core.errors import JobError
from oneseek_core.jobs.train import Recipe
from oneseek_core.names import ExitCode
from oneseek_runtime.train.data import Example, epoch_batches, pack
from oneseek_runtime.train.model import predict
from oneseek_runtime.train.schedule import Curve, Plan, learning_rate, stop_reason

__all__ = ["Settings", "State", "fine_tune", "make_optimiser", "recipe_of"]

CLIP_NORM = 1.0
WEIGHT_DECAY = 0.0
RECENT = 10  # steps behind the loss that progress shows


@dataclass(frozen=True, slots=True)
class Settings:
    """What shapes the arithmetic. `pack_tokens` is the longest packed sequence; 0 trains row by row."""

    plan: Plan
    batch_size: int
    seed: int
    pack_tokens: int
    auto_stop: AutoStop | None = None


@dataclass(slots=True)
class State:
    """Where the run is: everything beside the tensors that a resumed run needs to be the unbroken one."""

    step: int = 0
    label_tokens: int = 0
    seconds: float = 0.0
    epoch_loss_sum: float = 0.0
    epoch_labels: int = 0
    epoch_losses: list[float] = field(default_factory=list)
    recent: list[float] = field(default_factory=list)
    curve: Curve = field(default_factory=Curve)
    stopped: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON; the inverse of `from_json`, to the last bit of every float."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> State:
        """Read what `to_json` gave."""
        curve = dict(value["curve"])
        curve["points"] = [(int(step), float(loss)) for step, loss in curve["points"]]
        return cls(**{**value, "curve": Curve(**curve)})

    def close_epoch(self, settings: Settings) -> None:
        """Book the epoch that just ended, and decide whether it was the last."""
        self.epoch_losses.append(self.epoch_loss_sum / self.epoch_labels)
        self.epoch_loss_sum, self.epoch_labels = 0.0, 0
        if self.step < settings.plan.steps:
            self.stopped = stop_reason(self.epoch_losses, self.step, settings.auto_stop)


def make_optimiser(parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    """AdamW over the adapter alone, without decay: an adapter starts at zero change and is small already."""
    return torch.optim.AdamW(list(parameters.values()), lr=0.0, weight_decay=WEIGHT_DECAY, fused=True)


def recipe_of(plan: Plan) -> Recipe:
    """The recipe as a certificate tells it."""
    return Recipe(
        lr_scheduler="cosine",
        warmup_steps=plan.warm_up_steps,
        weight_decay=WEIGHT_DECAY,
        max_grad_norm=CLIP_NORM,
        optimizer="adamw_torch",
        gradient_checkpointing=False,
        torch_compile=False,
    )


def fine_tune(
    model: Any,
    optimiser: torch.optim.Optimizer,
    examples: Sequence[Example],
    settings: Settings,
    state: State,
) -> Iterator[bool]:
    """Train in place from `state.step` to the end; after each step yields whether an epoch ended with it.

    Between two yields `state`, `model` and `optimiser` belong together: the moment to save them.

    Raises:
        JobError: the loss or a gradient is no finite number any more (Diverged).
    """
    plan = settings.plan
    trained = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    model.train()
    while state.step < plan.steps and not state.stopped:
        epoch, done = divmod(state.step, plan.steps_per_epoch)
        batches = epoch_batches(examples, batch_size=settings.batch_size, seed=settings.seed, epoch=epoch)
        for batch in batches[done:]:
            began = time.perf_counter()
            torch.manual_seed(_step_seed(settings.seed, state.step))  # dropout needs no state in the checkpoint
            labels = sum(len(example.labels) for example in batch)
            loss_sum = 0.0
            for part in pack(batch, settings.pack_tokens):
                targets = torch.tensor(part.label_ids, device=trained[0].device)
                loss = cross_entropy(predict(model, part).float(), targets, reduction="sum")
                torch.autograd.backward(loss / labels)
                loss_sum += loss.item()
            norm = nn.utils.clip_grad_norm_(trained, CLIP_NORM).item()
            if not (math.isfinite(loss_sum) and math.isfinite(norm)):
                raise _diverged(state.step + 1, epoch + 1, loss_sum / labels)
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(state.step, plan)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

            state.step += 1
            state.label_tokens += labels
            state.seconds += time.perf_counter() - began
            state.epoch_loss_sum += loss_sum
            state.epoch_labels += labels
            state.recent = [*state.recent[1 - RECENT :], loss_sum / labels]
            state.curve.add(state.step, loss_sum / labels)
            epoch_ended = state.step % plan.steps_per_epoch == 0
            if epoch_ended:
                state.close_epoch(settings)
            yield epoch_ended


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}".encode()).digest()[:7])


def _diverged(step: int, epoch: int, loss: float) -> JobError:
    sentence = (
        f"training diverged: the loss or its gradient became {'NaN' if math.isnan(loss) else 'infinite'} at step {step} "
        f"(epoch {epoch}); lower learningRate, or look for broken rows in the data"
    )
    return JobError(names.DIVERGED, sentence, ExitCode.DIVERGED)
