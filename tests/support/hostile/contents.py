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
    "rank-changed": (both_configs(r=8), names.RANK_DIFFERS),
    "rank-pattern": (both_configs(rank_pattern={"q_proj": 64}), names.RANK_DIFFERS),
    "rank-of-the-tensors-other": (
        weights(header({A: tensor(0, 256, [8, 8]), B: tensor(256, 512, [8, 8])}, 512)), names.RANK_DIFFERS
    ),
    "rank-other-than-asked": (request(rank=8), names.RANK_DIFFERS),
}  # fmt: skip
