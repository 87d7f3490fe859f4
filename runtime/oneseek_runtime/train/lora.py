"""The adapter: peft puts it in and names its parts; one fused operation computes it.

peft's own layer runs the adapter as separate operations with casts and additions over whole activations between them.
On a CPU, where each of these is a pass over memory, that costs about as much as a fifth of the frozen matrix.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from torch import Tensor, nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import LoraSettings
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode

__all__ = ["adapter_parameters", "add_adapter", "load_weights"]

ADAPTER = "default"  # peft's name for the only adapter of a model


def add_adapter(model: Any, settings: LoraSettings, *, base_name: str, seed: int) -> Any:
    """Freeze `model` and give its target layers an adapter that changes nothing yet; the same seed, the same start.

    Raises:
        JobError: a target names no linear layer of this model.
    """
    linear = {name.rsplit(".", 1)[-1] for name, part in model.named_modules() if isinstance(part, nn.Linear)}
    paths = [name for name, _ in model.named_modules()]
    missing = [t for t in settings.target_modules if not any(p == t or p.endswith(f".{t}") for p in paths)]
    if missing:
        sentence = (
            f"lora.targetModules names {', '.join(missing)}, but the base model {base_name} has no such layer; "
            f"its linear layers are {', '.join(sorted(linear))}"
        )
        raise JobError(names.TARGET_MODULES_NOT_FOUND, sentence, ExitCode.BAD_INPUT)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=sorted(settings.target_modules),
        bias="none",
        fan_in_fan_out=_stores_transposed(model, settings.target_modules),
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    # The adapter's parameters are fp32 whatever the base is: Adam's small updates would be lost in bf16.
    adapted = get_peft_model(model, config, autocast_adapter_dtype=True)
    adapted.peft_config[ADAPTER].base_model_name_or_path = base_name  # a name, never a path of this pod
    for part in adapted.modules():
        if type(part) is LoraLinear and type(part.base_layer) is nn.Linear:
            part.forward = types.MethodType(_fused_forward, part)  # type: ignore[method-assign]
    return adapted


def load_weights(model: Any, tensors: Mapping[str, Tensor]) -> None:
    """Bring the adapter to where another one ended; its tensors have PEFT's names.

    Raises:
        JobError: they are not those of this adapter.
    """
    own = get_peft_model_state_dict(model, save_embedding_layers=False)
    if {name: part.shape for name, part in own.items()} != {name: part.shape for name, part in tensors.items()}:
        sentence = "the parent's adapter does not fit the base model: its tensors have other names or shapes"
        raise JobError(names.ARTIFACT_INVALID, sentence, ExitCode.BAD_ARTIFACT)
    set_peft_model_state_dict(model, dict(tensors))


def _stores_transposed(model: nn.Module, targets: list[str]) -> bool:
    """Whether the target layers are GPT-2's, which keep their matrices the other way round."""
    ends = tuple(targets)
    return any(type(part) is Conv1D and name.endswith(ends) for name, part in model.named_modules())


def adapter_parameters(model: nn.Module) -> Mapping[str, nn.Parameter]:
    """The trained parameters by name, sorted: the order in which the optimiser and the checkpoint hold them."""
    return dict(sorted((name, part) for name, part in model.named_parameters() if part.requires_grad))


def _fused_forward(self: Any, x: Tensor) -> Tensor:
    down, up = self.lora_A[ADAPTER].weight, self.lora_B[ADAPTER].weight
    base, scale = self.base_layer, self.scaling[ADAPTER]
    rate = self.lora_dropout[ADAPTER].p if isinstance(self.lora_dropout[ADAPTER], nn.Dropout) else 0.0
    if self.training and rate > 0:
        inner = functional.linear(functional.dropout(x, rate), down.to(x.dtype))
        y: Tensor = base(x) + functional.linear(inner, up.to(x.dtype) * scale)
    else:
        y = _LowRank.apply(x, base.weight, base.bias, down, up, scale)
    return y


class _LowRank(torch.autograd.Function):
    """`y = x W^T + b + scale * (x A^T) B^T` with W and b frozen.

    Shapes: x `[..., in]`, W `[out x in]`, A `[rank x in]`, B `[out x rank]`. Sums go into the large product's memory
    (addmm), so that nothing of an activation's size is written twice.
    """

    @staticmethod
    def forward(  # noqa: PLR0917 - autograd's form
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        flat = x.reshape(-1, x.shape[-1])
        low, scaled = down.to(x.dtype), (up * scale).to(x.dtype)
        inner = flat @ low.T
        y = functional.linear(flat, weight, bias)
        y.addmm_(inner, scaled.T)
        ctx.save_for_backward(flat, inner, weight, low, scaled)
        ctx.scale = scale
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        flat, inner, weight, low, scaled = ctx.saved_tensors
        gradient = gradients[0]
        out = gradient.reshape(-1, gradient.shape[-1])
        inner_gradient = out @ scaled
        down_gradient = (inner_gradient.T @ flat).float()
        up_gradient = (out.T @ inner).float() * ctx.scale
        x_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = (out @ weight).addmm_(inner_gradient, low).view(*gradient.shape[:-1], -1)
        return x_gradient, None, None, down_gradient, up_gradient, None
