"""The adapter: peft puts it in and names its parts; one fused operation computes it.

peft's own layer runs the adapter as separate operations with casts and additions over whole activations between them.
On a CPU, where each of these is a pass over memory, that costs about as much as a fifth of the frozen matrix.
"""

from __future__ import annotations

import re
import types
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.tuners_utils import _check_lora_target_modules_mamba
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import LoraSettings
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode

__all__ = ["adapter_parameters", "add_adapter", "linear_layers", "load_weights", "target_names"]

_MOST_TARGETS = 16  # as many as lora.targetModules takes
ADAPTER = "default"  # peft's name for the only adapter of a model


def add_adapter(model: Any, settings: LoraSettings, *, base_name: str, seed: int) -> Any:
    """Freeze `model` and give its target layers an adapter that changes nothing yet; the same seed, the same start.

    Raises:
        JobError: a target names no linear layer of this model, or something beside linear layers.
    """
    paths, linear = _text_layers(model), linear_layers(model)
    wrong = [target for target in settings.target_modules if not _usable(target, model, paths, linear)]
    if wrong:
        sentence = (
            f"lora.targetModules names {', '.join(wrong)}, but the base model {base_name} has no linear layer of that"
            f" name that can be trained; its linear layers are {', '.join(target_names(model))}"
        )
        raise JobError(names.TARGET_MODULES_NOT_FOUND, sentence, ExitCode.BAD_INPUT)
    elsewhere = [path for path, _ in model.named_modules() if path not in paths]
    shared = any(_named(target, elsewhere) for target in settings.target_modules)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=sorted(settings.target_modules),
        exclude_modules=_other_towers(model) if shared else None,
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


def target_names(model: Any) -> list[str]:
    """Names that `lora.targetModules` may hold for this model: as many as it has room for."""
    paths, linear = _text_layers(model), linear_layers(model)
    names_found = sorted({path.rsplit(".", 1)[-1] for path in linear})
    return [name for name in names_found if _usable(name, model, paths, linear)][:_MOST_TARGETS]


def linear_layers(model: Any) -> set[str]:
    """Paths of the layers that an adapter can change: linear ones, of the text model, with weights of their own.

    Where weights are shared (by an output layer and the embedding, by layers of a few classes) one change would be lost, or
    change both.
    """
    owners = Counter(
        id(part.weight) for part in model.modules() if isinstance(getattr(part, "weight", None), nn.Parameter)
    )
    return {path for path, part in _text_layers(model).items() if _is_linear(part) and owners[id(part.weight)] == 1}


def _is_linear(part: nn.Module) -> bool:
    """Whether the layer computes `x W^T + b` and no more; of other people's classes one is asked (a router chooses too)."""
    if type(part) in (nn.Linear, Conv1D):
        return True
    if not isinstance(part, nn.Linear):
        return False
    x = torch.ones(1, part.in_features, dtype=part.weight.dtype, device=part.weight.device)
    with torch.inference_mode():
        try:
            found = part(x)
            return torch.allclose(found, functional.linear(x, part.weight, part.bias), rtol=0.02, atol=0.02)
        except (TypeError, ValueError, RuntimeError):
            return False


def _usable(target: str, model: Any, paths: Iterable[str], linear: Collection[str]) -> bool:
    """Whether the target names linear layers and nothing else, to peft too.

    peft may take a name for all experts in one tensor, and refuses layers whose weights their class uses past them.
    """
    named = _named(target, paths)
    if not named or not named <= set(linear):
        return False
    config = LoraConfig(target_modules=[target])
    try:
        _check_lora_target_modules_mamba(config, model, target.rsplit(".", 1)[-1])
        convert_peft_config_for_transformers(config, model, None)
    except ValueError:
        return False
    return not config.target_parameters


def _named(target: str, paths: Iterable[str]) -> set[str]:
    """What peft takes the target for: the path itself, or the end of it."""
    return {path for path in paths if path == target or path.endswith(f".{target}")}


def _text_layers(model: Any) -> dict[str, nn.Module]:
    """The parts by path, without those that see pictures or hear: text never reaches them."""
    others = _other_towers(model)
    return {path: part for path, part in model.named_modules() if not (others and re.fullmatch(others, path))}


def _other_towers(model: Any) -> str:
    """A pattern of the paths within models that are parts of this one and not its text model. Empty: there are none."""
    text = model.config.get_text_config(decoder=True)
    towers = [
        path
        for path, part in model.named_modules()
        if path and isinstance(part, PreTrainedModel) and part.config not in (model.config, text)
    ]
    return "|".join(rf"{re.escape(path)}\..*" for path in towers)


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
        # Shaped out here: some classes change it in place, which a view made within the Function would not bear.
        y = _LowRank.apply(x, base.weight, base.bias, down, up, scale).view(*x.shape[:-1], -1)
    return y


class _LowRank(torch.autograd.Function):
    """`y = x W^T + b + scale * (x A^T) B^T` with W and b frozen.

    Shapes: x `[..., in]`, y `[all, out]`, W `[out x in]`, A `[rank x in]`, B `[out x rank]`. Sums go into the large product's memory
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
        ctx.shape = x.shape
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        flat, inner, weight, low, scaled = ctx.saved_tensors
        out = gradients[0]
        inner_gradient = out @ scaled
        down_gradient = (inner_gradient.T @ flat).float()
        up_gradient = (out.T @ inner).float() * ctx.scale
        x_gradient = None
        if ctx.needs_input_grad[0]:
            x_gradient = (out @ weight).addmm_(inner_gradient, low).view(ctx.shape)
        return x_gradient, None, None, down_gradient, up_gradient, None
