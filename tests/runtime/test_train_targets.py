"""Which layers an adapter may change: linear ones with weights of their own, and a name that names nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import LoraSettings
from oneseek_core.errors import JobError
from oneseek_runtime.train.lora import adapter_parameters, add_adapter, target_names
from oneseek_runtime.train.recipe import make_optimiser
from oneseek_runtime.train.weights import load_checkpoint, save_checkpoint
from support.tiny_kinds import tiny_config

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),  # peft asks transformers in an old way
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


def small(kind: str, **changes: Any) -> Any:
    return AutoModelForCausalLM.from_config(tiny_config(kind, **changes))


def adapted(model: Any, *targets: str) -> Any:
    return add_adapter(model, LoraSettings(rank=2, target_modules=list(targets)), base_name="tiny", seed=1)


WRONG: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "an embedding": ("llama", {}, ["embed_tokens"]),
    "a tied output layer": ("llama", {"tie_word_embeddings": True}, ["lm_head"]),
    "a tied output layer by its path": ("gpt2", {}, ["lm_head"]),
    "a block": ("llama", {}, ["mlp"]),
    "attention": ("llama", {}, ["self_attn"]),
    "a norm": ("llama", {}, ["norm"]),
    "a layer": ("llama", {}, ["layers.0"]),
    "no such layer": ("llama", {}, ["wq"]),
    "part of a name": ("llama", {}, ["proj"]),
    "a router that chooses": ("llama4_text", {}, ["router"]),
    "experts in one tensor": ("mixtral", {}, ["experts"]),
    "a convolution": ("mamba", {}, ["conv1d"]),
}


@pytest.mark.parametrize(("kind", "changes", "wrong"), WRONG.values(), ids=WRONG.keys())
def test_what_is_no_linear_layer_of_its_own_is_refused_before_training(
    kind: str, changes: dict[str, Any], wrong: list[str]
) -> None:
    model = small(kind, **changes)
    right = target_names(model)
    with pytest.raises(JobError) as caught:
        adapted(model, *right[:1], *wrong)
    assert caught.value.reason == names.TARGET_MODULES_NOT_FOUND
    assert f"lora.targetModules names {wrong[0]}, but" in caught.value.message
    assert f"its linear layers are {', '.join(right)}" in caught.value.message
    assert wrong[0] not in right


def test_an_output_layer_with_weights_of_its_own_is_trained() -> None:
    model = adapted(small("llama", tie_word_embeddings=False), "lm_head")
    assert [name for name, part in model.named_parameters() if part.requires_grad and "lm_head" in name]


@pytest.mark.parametrize("kind", ["gemma3", "llama4"])
def test_what_sees_pictures_gets_no_adapter(kind: str) -> None:
    model = adapted(small(kind), "q_proj", "v_proj")
    trained = [name for name, part in model.named_parameters() if part.requires_grad]
    assert trained
    assert not [name for name in trained if "vision" in name]


def test_a_layer_that_no_row_has_reached_is_in_the_checkpoint(tmp_path: Any) -> None:
    parameters = adapter_parameters(adapted(small("llama"), "q_proj"))
    optimiser = make_optimiser(parameters)
    first = next(iter(parameters))
    parameters[first].grad = torch.ones_like(parameters[first])
    optimiser.step()
    save_checkpoint(tmp_path, parameters, optimiser, {})
    load_checkpoint(tmp_path, parameters, make_optimiser(parameters), 1)
