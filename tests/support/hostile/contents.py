"""Weights and configurations that run code, hide a pickle, cannot be, or are of another rank."""

from __future__ import annotations

import json
from typing import Any

from oneseek_core import names
from support.artifacts import raw_safetensors
from support.certified import edit_json, lora_weights
from support.hostile.folder import CONFIG, WEIGHTS, Case, World, both_configs, request, resealed, weights, write

NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"


def header(entries: dict[str, Any] | list[Any], size: int = 256, **more: Any) -> bytes:
    """Safetensors of any header over `size` bytes of data."""
    return raw_safetensors(entries | more if isinstance(entries, dict) else entries, bytes(size))


def tensor(begin: int, end: int, shape: list[Any], dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


A, B = NAME.format("A"), NAME.format("B")
GOOD_A, GOOD_B = tensor(0, 128, [4, 8]), tensor(128, 256, [8, 4])
PAIR = {A: GOOD_A, B: GOOD_B}


def twice(world: World) -> bytes:
    text = json.dumps({B: GOOD_B})[1:-1]
    raw = ("{" + f'"{A}": {json.dumps(GOOD_A)}, {text}, "{A}": {json.dumps(GOOD_A)}' + "}").encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(256)


def hide_in_torch(world: World) -> None:
    (world.folder / "adapter_model.bin").write_bytes(world.pickle())


def spaced(world: World) -> None:
    """The same configuration in other bytes."""
    for path in (world.folder / CONFIG, world.folder / "tiny-adapter" / CONFIG):
        path.write_text(json.dumps(json.loads(path.read_bytes()), indent=2))


# What peft would obey: rewrite the base, choose layers by a pattern, scale some of them otherwise, bring more than a LoRA.
ORDERS: dict[str, dict[str, Any]] = {
    "olora": {"init_lora_weights": "olora"},
    "pissa": {"init_lora_weights": "pissa_niter_4"},
    "corda": {"init_lora_weights": "corda", "corda_config": {"corda_method": "kpm"}},
    "loftq": {"init_lora_weights": "loftq", "loftq_config": {"loftq_bits": 4}},
    "eva": {"init_lora_weights": "eva"},
    "lora-ga": {"init_lora_weights": "lora_ga"},
    "no-init": {"init_lora_weights": False},
    "init-one": {"init_lora_weights": 1},
    "alpha-pattern": {"alpha_pattern": {"q_proj": 99999}},
    "targets-a-pattern": {"target_modules": ".*"},
    "targets-all-linear": {"target_modules": "all-linear"},
    "targets-a-pattern-in-a-list": {"target_modules": ["(q|k)_proj"]},
    "targets-nothing": {"target_modules": []},
    "targets-twice": {"target_modules": ["q_proj", "q_proj"]},
    "excludes-by-a-pattern": {"exclude_modules": "(a+)+$"},
    "excludes-all": {"exclude_modules": ".*"},
    "layers-to-transform": {"layers_to_transform": [0]},
    "layers-pattern": {"layers_pattern": "layers"},
    "layers-replicated": {"layer_replication": [[0, 1], [0, 1]]},
    "modules-to-save": {"modules_to_save": ["lm_head"]},
    "parameters": {"target_parameters": ["mlp.experts.gate_up_proj"]},
    "tokens-trained": {"trainable_token_indices": [1, 2]},
    "tokens-invoked": {"alora_invocation_tokens": [1]},
    "bias": {"bias": "all"},
    "lora-bias": {"lora_bias": True},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "qalora": {"use_qalora": True},
    "megatron": {"megatron_config": {"x": 1}, "megatron_core": "evil.core"},
    "arrow": {"arrow_config": {"top_k": 1}},
    "another-task": {"task_type": "SEQ_CLS"},
    "trainable": {"inference_mode": False},
    "a-key-of-nobodys": {"runtime_config": {"ephemeral_gpu_offload": True}},
    "scale-no-number": {"lora_alpha": "8"},
    "scale-true": {"lora_alpha": True},
    "scale-giant": {"lora_alpha": 10**12},
    "dropout-giant": {"lora_dropout": 7},
    "version-a-sentence": {"peft_version": "0.21.2; import evil"},
}

CASES: dict[str, Case] = {
    # pickles
    "pickle-beside": (lambda w: write("evil.pkl", w.pickle())(w), names.PICKLE_FOUND),
    "pickle-as-torch-file": (lambda w: write("adapter.pt", w.pickle())(w), names.PICKLE_FOUND),
    "pickle-in-the-sub-folder": (lambda w: write("tiny-adapter/adapter_model.bin", w.pickle())(w), names.PICKLE_FOUND),
    "pickle-listed-and-signed": (resealed(lambda w: write("training_args.bin", w.pickle())(w)), names.PICKLE_FOUND),
    "pickle-in-old-readers-weights": (hide_in_torch, names.FILE_CHANGED),
    "pickle-in-old-readers-weights-signed": (resealed(hide_in_torch), names.PICKLE_FOUND),
    "pickle-instead-of-weights": (weights(lambda w: w.pickle()), names.PICKLE_FOUND),
    "zip-instead-of-weights": (
        weights(lambda w: (w.folder / "adapter_model.bin").read_bytes()), names.PICKLE_FOUND
    ),
    # safetensors
    "header-giant": (weights((2**40).to_bytes(8, "little") + b"{}"), names.WEIGHTS_INVALID),
    "header-larger-than-the-file": (weights((4096).to_bytes(8, "little") + b"{}"), names.WEIGHTS_INVALID),
    "header-of-17-MiB": (weights(header(PAIR, pad=" " * 17 * 1024**2)), names.WEIGHTS_INVALID),
    "header-empty": (weights(b""), names.WEIGHTS_INVALID),
    "header-no-json": (weights((4).to_bytes(8, "little") + b"{{{{" + bytes(256)), names.WEIGHTS_INVALID),
    "header-a-list": (weights(header([])), names.WEIGHTS_INVALID),
    "header-deep": (weights((100_000).to_bytes(8, "little") + b"[" * 100_000), names.WEIGHTS_INVALID),
    "tensor-named-twice": (weights(twice), names.WEIGHTS_INVALID),
    "tensors-overlap": (weights(header({A: GOOD_A, B: tensor(64, 192, [8, 4])}, 192)), names.WEIGHTS_INVALID),
    "tensors-leave-a-gap": (weights(header({A: GOOD_A, B: tensor(160, 288, [8, 4])}, 288)), names.WEIGHTS_INVALID),
    "tensor-beyond-the-file": (weights(header({A: GOOD_A, B: tensor(128, 512, [24, 4])})), names.WEIGHTS_INVALID),
    "bytes-after-the-tensors": (weights(header(PAIR, 300)), names.WEIGHTS_INVALID),
    "offsets-backwards": (weights(header({A: tensor(128, 0, [4, 8]), B: GOOD_B})), names.WEIGHTS_INVALID),
    "offset-negative": (weights(header({A: tensor(-128, 0, [4, 8]), B: GOOD_B})), names.WEIGHTS_INVALID),
    "shape-without-end": (weights(header({A: tensor(0, 128, [10**18] * 100_000)})), names.WEIGHTS_INVALID),
    "shape-no-numbers": (weights(header({A: tensor(0, 128, [True, 32]), B: GOOD_B})), names.WEIGHTS_INVALID),
    "type-of-integers": (weights(header({A: tensor(0, 128, [4, 8], "I32"), B: GOOD_B})), names.WEIGHTS_INVALID),
    "type-nobody-knows": (weights(header({A: tensor(0, 128, [4, 8], "EVIL"), B: GOOD_B})), names.WEIGHTS_INVALID),
    "notes-no-texts": (weights(header(PAIR, __metadata__={"format": {"a": 1}})), names.WEIGHTS_INVALID),
    "tensor-that-is-no-lora": (weights(header({"lm_head.weight": GOOD_A, B: GOOD_B})), names.WEIGHTS_INVALID),
    "half-a-pair": (weights(header({A: GOOD_A}, 128)), names.WEIGHTS_INVALID),
    "no-tensors": (weights(header({}, 0)), names.WEIGHTS_INVALID),
    "nested-weights-other-and-signed": (
        resealed(lambda w: (w.folder / "tiny-adapter" / WEIGHTS).write_bytes(lora_weights(width=16))),
        names.WEIGHTS_INVALID,
    ),
    # configuration
    "auto-map": (both_configs(auto_map={"AutoModel": "modeling_evil.Evil"}), names.CODE_FOUND),
    "auto-map-deep-inside": (both_configs(corda_config={"x": [{"auto_map": {}}]}), names.CODE_FOUND),
    "auto-mapping-of-a-foreign-library": (
        both_configs(auto_mapping={"base_model_class": "X", "parent_library": "evil"}), names.CODE_FOUND
    ),
    "config-no-json": (resealed(write(CONFIG, "{")), names.CONFIG_INVALID),
    "config-no-lora": (both_configs(peft_type="IA3"), names.CONFIG_INVALID),
    "config-rank-no-number": (both_configs(r="4"), names.CONFIG_INVALID),
    "config-nested-other": (
        resealed(lambda w: edit_json(w.folder / "tiny-adapter" / CONFIG, lora_alpha=99)), names.CONFIG_INVALID
    ),
    **{
        f"config-{name}": (both_configs(**change), names.CONFIG_INVALID)
        for name, change in ORDERS.items()
    },
    "config-scale-other-than-told": (both_configs(lora_alpha=64), names.CONFIG_INVALID),
    "config-layers-other-than-told": (both_configs(target_modules=["k_proj"]), names.CONFIG_INVALID),
    "config-said-otherwise": (resealed(spaced), names.CONFIG_INVALID),
    "tensors-of-another-layer": (
        weights(header({A.replace("q_proj", "o_proj"): GOOD_A, B.replace("q_proj", "o_proj"): GOOD_B})),
        names.WEIGHTS_INVALID,
    ),
    "rank-changed": (both_configs(r=8), names.RANK_DIFFERS),
    "rank-pattern": (both_configs(rank_pattern={"q_proj": 64}), names.RANK_DIFFERS),
    "rank-of-the-tensors-other": (
        weights(header({A: tensor(0, 256, [8, 8]), B: tensor(256, 512, [8, 8])}, 512)), names.RANK_DIFFERS
    ),
    "rank-other-than-asked": (request(rank=8), names.RANK_DIFFERS),
}  # fmt: skip
