from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core.digest import canonical_json
from oneseek_core.errors import ArtifactError
from oneseek_runtime.artifact.adapter_config import NEUTRAL, AdapterConfig, parse_config
from support.artifacts import adapter_config
from support.hostile.contents import ORDERS

BEFORE = {
    **adapter_config(target_modules=["down_proj", "q_proj"], lora_dropout=0.05),
    "fan_in_fan_out": False,
    "exclude_modules": None,
    "peft_version": "0.21.2",
    **NEUTRAL,
}


def test_what_was_certified_before_is_read() -> None:
    found = parse_config(canonical_json(BEFORE) + b"\n")
    assert found == AdapterConfig("tiny", 4, 8, ("down_proj", "q_proj"), 0.05)


@given(
    base=st.text(min_size=1, max_size=40).filter(lambda text: text.isprintable()),
    rank=st.integers(1, 256),
    alpha=st.integers(1, 1024),
    targets=st.lists(
        st.from_regex(r"[a-z_]{1,20}(\.[a-z0-9_]{1,9})?", fullmatch=True), min_size=1, max_size=5, unique=True
    ),
    dropout=st.floats(0, 0.99),
    transposed=st.booleans(),
    excluded=st.sampled_from([None, r"vision_tower\..*", r"model\.vision_tower\..*|model\.audio\..*"]),
)
def test_what_is_written_is_read_back(**fields: Any) -> None:
    config = AdapterConfig(**fields | {"targets": tuple(sorted(fields["targets"]))})
    assert parse_config(config.to_bytes()) == config


@pytest.mark.parametrize("change", [pytest.param(change, id=name) for name, change in ORDERS.items()])
def test_an_order_to_peft_is_refused_with_its_key(change: dict[str, Any]) -> None:
    with pytest.raises(ArtifactError) as raised:
        parse_config(json.dumps(BEFORE | change).encode())
    assert str(raised.value).startswith("adapter_config.json has ")
    assert any(key in str(raised.value) for key in change)


@pytest.mark.parametrize("key", ["r", "lora_alpha", "target_modules", "peft_type", "base_model_name_or_path"])
def test_what_makes_a_lora_must_be_there(key: str) -> None:
    left = {name: value for name, value in BEFORE.items() if name != key}
    with pytest.raises(ArtifactError, match=f"has no {key}"):
        parse_config(json.dumps(left).encode())


@pytest.mark.parametrize(
    "pattern", [r"(a+)+\..*", ".*", r"a\..*|", r"a\..+", "a", r"a\..*" + r"|b\..*" * 16], ids=range(6)
)
def test_a_pattern_that_training_does_not_write_is_refused(pattern: str) -> None:
    with pytest.raises(ArtifactError, match="exclude_modules"):
        parse_config(json.dumps(BEFORE | {"exclude_modules": pattern}).encode())
