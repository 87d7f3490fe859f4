"""Parses adapter_config.json as strictly as possible: a plain LoRA of one rank and scale on named layers. Pure.

peft obeys that file: it can rewrite the base weights (`init_lora_weights`: olora, pissa, corda), match layers by patterns, or train
more than requested. Unknown keys are refused, and known ones with an effective value. peft gets a file made from the parsed one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from oneseek_core.digest import canonical_json
from oneseek_core.errors import ArtifactError
from oneseek_runtime.artifact.strict_json import strict_object

__all__ = ["CONFIG", "NEUTRAL", "AdapterConfig", "parse_config"]

CONFIG = "adapter_config.json"
# Keys of peft 0.21's file that say nothing under these values; what was certified before this release has them all.
NEUTRAL: Mapping[str, Any] = {
    **dict.fromkeys(
        ("alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config", "kasa_config",
         "layer_replication", "layers_pattern", "layers_to_transform", "lora_ga_config", "megatron_config",
         "modules_to_save", "monteclora_config", "revision", "target_parameters", "trainable_token_indices", "use_bdlora",
         "velora_config")
    ),
    **dict.fromkeys(("ensure_weight_tying", "lora_bias", "use_dora", "use_qalora", "use_rslora"), False),
    "alpha_pattern": {}, "loftq_config": {}, "rank_pattern": {},
    "bias": "none", "inference_mode": True, "init_lora_weights": True, "megatron_core": "megatron.core",
    "peft_type": "LORA", "qalora_group_size": 16, "task_type": "CAUSAL_LM",
}  # fmt: skip
_NEEDED = ("base_model_name_or_path", "lora_alpha", "peft_type", "r", "target_modules")
_READ = {*_NEEDED, "exclude_modules", "fan_in_fan_out", "lora_dropout", "peft_version"}
_LAYER = re.compile(r"[A-Za-z0-9_.]{1,128}")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+]{0,31}")
# Parts of a model that the training left out, as `train.lora` writes them: paths, each with all that is below it.
_TOWER = r"[A-Za-z0-9_]+(?:\\\.[A-Za-z0-9_]+)*\\\.\.\*"
_TOWERS = re.compile(rf"(?:{_TOWER}\|){{0,15}}{_TOWER}")
_MOST_LAYERS = 256
_LONGEST = 512  # characters of a name


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """The parsed configuration. Law: `parse_config(config.to_bytes()) == config`."""

    base: str
    rank: int
    alpha: int
    targets: tuple[str, ...]
    dropout: float = 0.0
    transposed: bool = False
    excluded: str | None = None

    def to_bytes(self) -> bytes:
        """The certified file."""
        said = {
            **{key: NEUTRAL[key] for key in ("bias", "inference_mode", "init_lora_weights", "peft_type", "task_type")},
            "base_model_name_or_path": self.base,
            "fan_in_fan_out": self.transposed,
            "lora_alpha": self.alpha,
            "lora_dropout": self.dropout,
            "r": self.rank,
            "target_modules": sorted(self.targets),
        }
        return canonical_json(said | ({"exclude_modules": self.excluded} if self.excluded else {})) + b"\n"

    def names_layer(self, path: str) -> bool:
        """Whether a layer is a target, by its path or the end of it."""
        return any(path == target or path.endswith(f".{target}") for target in self.targets)


def parse_config(data: bytes) -> AdapterConfig:
    """Parses the file. Raises ArtifactError, which names the key."""
    config = strict_object(data, CONFIG)
    for key in _NEEDED:
        if key not in config:
            raise ArtifactError(f"{CONFIG} has no {key}")
    for key, value in config.items():
        if key in NEUTRAL and canonical_json(value) != canonical_json(NEUTRAL[key]):
            raise ArtifactError(
                f"{CONFIG} has {key} {value!r:.80}; an adapter that is served has {NEUTRAL[key]!r} there"
            )
        if key not in NEUTRAL and key not in _READ:
            raise ArtifactError(f"{CONFIG} has {key[:80]!a}, which no adapter that is served has")
    for key, good in _CHECKS.items():
        if key in config and not good(config[key]):
            raise ArtifactError(f"{CONFIG} has {key} {config[key]!r:.80}, which is no value of it that can be used")
    return AdapterConfig(
        base=config["base_model_name_or_path"],
        rank=config["r"],
        alpha=config["lora_alpha"],
        targets=tuple(sorted(config["target_modules"])),
        dropout=float(config.get("lora_dropout", 0.0)),
        transposed=config.get("fan_in_fan_out", False),
        excluded=config.get("exclude_modules"),
    )


def _is_count(value: object, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most


def _are_layers(value: object) -> bool:
    return (
        isinstance(value, list)
        and 0 < len(value) <= _MOST_LAYERS
        and all(isinstance(item, str) and _LAYER.fullmatch(item) for item in value)
        and len(set(value)) == len(value)
    )


_CHECKS: Mapping[str, Any] = {
    "base_model_name_or_path": lambda value: isinstance(value, str) and 0 < len(value) <= _LONGEST,
    "exclude_modules": lambda value: value is None or (isinstance(value, str) and _TOWERS.fullmatch(value) is not None),
    "fan_in_fan_out": lambda value: isinstance(value, bool),
    "lora_alpha": lambda value: _is_count(value, 4096),
    "lora_dropout": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1,
    "peft_version": lambda value: isinstance(value, str) and _VERSION.fullmatch(value) is not None,
    "r": lambda value: _is_count(value, 4096),
    "target_modules": _are_layers,
}
