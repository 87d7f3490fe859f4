"""What an adapter's configuration orders peft to do: the engine and evaluate refuse it before peft sees it."""

import dataclasses
import json

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM

from oneseek_core.names import ExitCode
from oneseek_runtime.artifact.adapter_config import NEUTRAL
from oneseek_runtime.engine.adapters import Skeleton
from oneseek_runtime.engine.errors import EngineStartError
from support.hostile.contents import ORDERS
from support.tiny_model import tiny_adapter, tiny_base

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:torch"),
]


@pytest.fixture(scope="module")
def model_and_adapter(tmp_path_factory):
    root = tmp_path_factory.mktemp("orders")
    tiny_base(root / "base")
    model = AutoModelForCausalLM.from_pretrained(root / "base", dtype=torch.float32)
    return model, tiny_adapter(root, AutoModelForCausalLM.from_pretrained(root / "base"), base_name="tiny")


@pytest.fixture
def adapter(model_and_adapter, tmp_path):
    """A copy of the adapter that may be changed."""
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (tmp_path / name).write_bytes((model_and_adapter[1] / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("order", [pytest.param(order, id=name) for name, order in ORDERS.items()])
def test_no_order_changes_a_bit_of_the_base_that_answers(model_and_adapter, adapter, order):
    model, _ = model_and_adapter
    before = {name: part.clone() for name, part in model.state_dict().items()}
    config = json.loads((adapter / "adapter_config.json").read_bytes()) | order
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(EngineStartError) as raised:
        Skeleton(model, "tiny").weights_with(adapter)
    assert raised.value.exit_code == ExitCode.BAD_ARTIFACT
    assert str(raised.value).startswith("the adapter is refused: adapter_config.json has ")
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())


def test_a_plain_adapter_is_loaded_and_leaves_the_base_as_it_was(model_and_adapter, adapter):
    model, _ = model_and_adapter
    before = {name: part.clone() for name, part in model.state_dict().items()}
    weights = Skeleton(model, "tiny").weights_with(adapter)
    assert weights
    assert any(not torch.equal(part, model.get_submodule(path).weight) for path, part in weights.items())
    assert all(torch.equal(part, before[name]) for name, part in model.state_dict().items())


def test_every_setting_of_the_installed_peft_is_known_with_the_value_under_which_it_does_nothing():
    config = LoraConfig(task_type="CAUSAL_LM", inference_mode=True)
    read = {"base_model_name_or_path", "exclude_modules", "fan_in_fan_out", "lora_alpha", "lora_dropout", "peft_version", "r",
            "target_modules"}  # fmt: skip
    found = {key: value for key, value in config.to_dict().items() if key not in read}
    assert found == NEUTRAL
    assert {field.name for field in dataclasses.fields(LoraConfig)} - set(found) - read == {"runtime_config"}
