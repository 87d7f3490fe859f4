"""What the base Job proves of a base model before it counts as imported: the real files of tiny random models."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from oneseek_core import names
from oneseek_core.errors import ArtifactError, JobError
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_runtime.engine.basecheck import job
from oneseek_runtime.engine.basecheck.check import check_small_files, check_weights
from oneseek_runtime.engine.errors import EngineStartError, InvalidRequestError
from oneseek_runtime.engine.loading import load_parts
from oneseek_runtime.engine.model import load
from oneseek_runtime.engine.wire import Asked, Sampling
from oneseek_runtime.train.model import load_base
from support.artifacts import MODEL, environment
from support.tiny_kinds import changed_json, tiny_files, tiny_kind
from support.tiny_model import tiny_base

pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers"),  # peft asks transformers in an old way
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:torch"),
]

WHOLE = "model.safetensors"
CODE = {"AutoConfig": "configuration_x.XConfig", "AutoModelForCausalLM": "modeling_x.XForCausalLM"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "tiny"
    tiny_base(folder)
    return folder


@pytest.fixture
def base(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "tiny"))


def imported(base: Path, claim: Path) -> BaseImportReport:
    claim.mkdir(exist_ok=True)
    asked = {"model": MODEL, "modelsRoot": str(claim), "baseName": "tiny", "source": {"image": "registry/tiny:1"}}
    return job.run(environment(asked | {"importPath": str(base)}))


def refusal(base: Path) -> str:
    """What the whole import says; nothing is left of it."""
    claim = base.parent / "claim"
    with pytest.raises(JobError) as caught:
        imported(base, claim)
    assert caught.value.reason == names.BASE_INVALID
    assert list((claim / "basemodeller").iterdir()) == []
    return caught.value.message


def tensors(base: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    found = load_file(base / WHOLE)
    change(found)
    save_file(found, base / WHOLE, metadata={"format": "pt"})


def test_a_sound_model_is_imported(base: Path) -> None:
    report = imported(base, base.parent / "claim")
    assert report.files == len([path for path in base.iterdir() if path.is_file()])


def test_a_model_that_is_there_already_is_hashed_again_without_torch(base: Path) -> None:
    claim = base.parent / "claim"
    first = imported(base, claim)
    asked = {"model": MODEL, "modelsRoot": str(claim), "baseName": "tiny", "source": {"image": "registry/tiny:1"}}
    program = (
        "import os, sys; from oneseek_runtime.engine.basecheck import job; print(job.run(os.environ).digest);"
        " assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment(asked)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == first.digest


# 33: what is missing, left over or of another shape

HOLES = {
    "a matrix": "model.layers.1.mlp.up_proj.weight",
    "a norm": "model.norm.weight",
    "the output layer": "lm_head.weight",
    "the embedding": "model.embed_tokens.weight",
}


@pytest.mark.parametrize("name", HOLES.values(), ids=HOLES.keys())
def test_a_missing_tensor_is_named_and_never_made_up(base: Path, name: str) -> None:
    tensors(base, lambda found: found.pop(name))
    assert f"the weights lack {name}, which LlamaForCausalLM needs; they would be made up at random" in refusal(base)
    with pytest.raises(EngineStartError, match="the weights lack"):  # one that the release before has imported
        load_parts(base=base, base_name="tiny", adapter=None, precision="fp32", threads=1)
    with pytest.raises(JobError, match="the weights lack"):
        load_base(base, torch.device("cpu"), "fp32")


def test_an_output_layer_that_is_the_embedding_is_not_missing(tmp_path: Path) -> None:
    tiny_kind(tmp_path / "tied", "llama", tie_word_embeddings=True)
    assert "lm_head.weight" not in load_file(tmp_path / "tied" / WHOLE)
    check_weights(tmp_path / "tied")


def test_a_tensor_that_the_class_has_no_place_for_is_named(base: Path) -> None:
    tensors(base, lambda found: found.update({"model.layers.0.self_attn.q_proj.bias": torch.zeros(64)}))
    assert "the weights hold model.layers.0.self_attn.q_proj.bias, for which LlamaForCausalLM has no place" in refusal(
        base
    )


def test_tensors_that_old_checkpoints_hold_beside_the_weights_are_no_matter(tmp_path: Path) -> None:
    tiny_kind(tmp_path / "gpt2", "gpt2")
    tensors(tmp_path / "gpt2", lambda found: found.update({"transformer.h.0.attn.bias": torch.ones(1, 1, 1024, 1024)}))
    check_weights(tmp_path / "gpt2")


def test_a_tensor_of_another_shape_is_named(base: Path) -> None:
    changed_json(base / "config.json", intermediate_size=96)
    assert "has the shape [64, 128], but by config.json LlamaForCausalLM takes [64, 96]" in refusal(base)


def test_weights_in_several_files_are_looked_at_in_all_of_them(base: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(base)
    (base / WHOLE).unlink()
    model.save_pretrained(base, max_shard_size="100KB")
    check_weights(base)
    index = json.loads((base / "model.safetensors.index.json").read_bytes())
    shard = index["weight_map"]["model.norm.weight"]
    found = load_file(base / shard)
    save_file({key: value for key, value in found.items() if key != "model.norm.weight"}, base / shard)
    assert "the weights lack model.norm.weight" in refusal(base)


# 20: only what was asked for is applied


def test_an_adapter_that_lies_beside_the_weights_is_applied_by_nobody(base: Path, tmp_path: Path) -> None:
    plain = AutoModelForCausalLM.from_pretrained(base)
    (base / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "base_model_name_or_path": "no/where"}))
    parts = load_parts(base=base, base_name="tiny", adapter=None, precision="fp32", threads=1)
    trained, _ = load_base(base, torch.device("cpu"), "fp32")
    ids = torch.tensor([[5, 7, 9]])
    with torch.inference_mode():
        for model in (parts.model, trained):
            assert torch.equal(model(ids).logits, plain(ids).logits)
    imported(base, tmp_path / "claim")
    assert not (tmp_path / "claim" / "basemodeller" / "tiny" / "adapter_config.json").exists()


def test_another_file_of_weights_is_not_taken(base: Path) -> None:
    shutil.copy(base / WHOLE, base / "other.safetensors")
    changed_json(base / "config.json", transformers_weights="other.safetensors")
    assert "config.json names another file of weights (transformers_weights): remove that entry" in refusal(base)


# 21: quantised models

METHODS: dict[str, dict[str, Any]] = {
    "gptq": {"quant_method": "gptq", "bits": 4, "group_size": 128},
    "awq": {"quant_method": "awq", "bits": 4, "zero_point": True},
    "bitsandbytes": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "compressed-tensors": {"quant_method": "compressed-tensors", "format": "pack-quantized"},
    "fp8": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "mxfp4": {"quant_method": "mxfp4"},
    "no-such-method": {"quant_method": "no-such-method"},
}


@pytest.mark.parametrize("method", METHODS)
def test_a_quantised_model_is_refused_by_its_method(base: Path, method: str) -> None:
    changed_json(base / "config.json", quantization_config=METHODS[method])
    sentence = refusal(base)
    assert (
        f"the model is quantised with {method} (quantization_config in config.json): use the unquantised model"
        in sentence
    )


def test_weights_that_are_quantised_without_a_word_are_refused(base: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    tensors(base, lambda found: found.update({name: found[name].to(torch.int8)}))
    assert f"the tensor {name} is of the type I8: the weights are quantised" in refusal(base)


# 25: code that comes with a model that transformers knows is not run and not needed


@pytest.mark.parametrize("kind", ["phi3", "falcon", "llama"])
def test_a_kind_that_transformers_knows_is_taken_and_its_code_is_not_run(tmp_path: Path, kind: str) -> None:
    base = tmp_path / "tiny"
    tiny_kind(base, kind)
    changed_json(base / "config.json", auto_map=CODE)
    for name in ("configuration_x.py", "modeling_x.py"):
        (base / name).write_text("raise SystemExit('the model brought code, and it was run')")
    imported(base, tmp_path / "claim")
    served = load(base=tmp_path / "claim/basemodeller/tiny", base_name="tiny", precision="fp32", threads=1)
    served.warm_up("tiny")


def test_a_kind_that_only_its_own_code_knows_is_refused(base: Path) -> None:
    changed_json(base / "config.json", model_type="chatglm", auto_map=CODE)
    sentence = refusal(base)
    assert "model_type 'chatglm', which transformers" in sentence
    assert "the Python code that comes with it (auto_map) is never run" in sentence


@pytest.mark.parametrize("kind", ["vit", "clip", "t5"])
def test_a_kind_that_is_no_causal_language_model_is_refused(base: Path, kind: str) -> None:
    changed_json(base / "config.json", model_type=kind)
    assert f"model_type {kind!r}, which is no causal language model" in refusal(base)


# 26, 27, 30, 31: tokenizers and templates


def test_a_sentencepiece_model_alone_is_refused_with_what_to_make_of_it(base: Path) -> None:
    (base / "tokenizer.json").unlink()
    (base / "tokenizer_config.json").unlink()
    (base / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\x02")
    sentence = refusal(base)
    assert "the tokenizer is a sentencepiece model alone" in sentence
    assert "make a tokenizer.json of it" in sentence


@pytest.mark.parametrize("place", ["config.json", "generation_config.json"])
def test_a_tokenizer_json_alone_ends_its_texts_as_the_configuration_says(base: Path, place: str) -> None:
    end = AutoTokenizer.from_pretrained(base).eos_token_id
    for name in ("tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        (base / name).unlink(missing_ok=True)
    for name in ("config.json", "generation_config.json"):
        changed_json(base / name, eos_token_id=[end] if name == place else None)
    imported(base, base.parent / "claim")
    parts = load_parts(base=base, base_name="tiny", adapter=None, precision="fp32", threads=1)
    assert parts.tokenizer.eos_token_id == end


def test_a_tokenizer_that_ends_no_text_is_refused_before_anything_is_trained(base: Path) -> None:
    changed_json(base / "tokenizer_config.json", eos_token=None)
    for name in ("config.json", "generation_config.json"):
        changed_json(base / name, eos_token_id=None)
    assert "names an end-of-text token, so an answer could never learn to end: add eos_token" in refusal(base)


def templates(base: Path, **named: str) -> None:
    (base / "chat_template.jinja").unlink(missing_ok=True)
    changed_json(
        base / "tokenizer_config.json", chat_template=[{"name": key, "template": text} for key, text in named.items()]
    )


def test_of_named_templates_the_default_is_used(base: Path) -> None:
    templates(base, tool_use="tools", default="{% for m in messages %}<|user|>{{ m['content'] }}{% endfor %}")
    imported(base, base.parent / "claim")
    parts = load_parts(base=base, base_name="tiny", adapter=None, precision="fp32", threads=1)
    assert parts.tokenizer.chat_template.startswith("{% for m in messages %}<|user|>")


def test_named_templates_without_a_default_are_refused(base: Path) -> None:
    templates(base, tool_use="a", rag="b")
    assert "has the chat templates rag, tool_use, and none is called default" in refusal(base)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ raise_exception('Only tools may speak') }}", "Only tools may speak"),
        ("{% for m in messages %}{{ m['content'] + 1 }}{% endfor %}", "it ends in TypeError"),
        ("{% for m in messages %}", "it ends in TemplateSyntaxError at line 1"),
    ],
)
def test_a_template_that_refuses_a_plain_question_is_refused_in_its_own_words_or_with_where_it_ends(
    base: Path, template: str, words: str
) -> None:
    (base / "chat_template.jinja").write_text(template)
    sentence = refusal(base)
    assert "its chat template refuses a single question of a user: " in sentence
    assert words in sentence


def test_a_role_that_the_template_refuses_is_the_clients_error(base: Path) -> None:
    (base / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}<|user|>{{ m['content'] }}{% endfor %}"
    )
    imported(base, base.parent / "claim")
    served = load(base=base, base_name="tiny", precision="fp32", threads=1)
    served.warm_up("tiny")
    messages = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Who are you?"}]
    with pytest.raises(InvalidRequestError, match="refuses these messages: System role not supported"):
        served.prompt(Asked.parse({"model": "tiny", "messages": messages}, chat=True))


@pytest.mark.parametrize("special", [True, False], ids=["special", "plain"])
def test_a_token_that_the_embedding_lacks_is_refused_where_a_text_may_hold_it(base: Path, special: bool) -> None:
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<|pad|>"], special_tokens=special)
    tokenizer.save_pretrained(base)
    assert "the token '<|pad|>'" in refusal(base)
    with pytest.raises(EngineStartError, match="the embedding"):
        load_parts(base=base, base_name="tiny", adapter=None, precision="fp32", threads=1)


def test_a_token_that_the_embedding_lacks_and_no_text_holds_is_no_matter(base: Path) -> None:
    inner = json.loads((base / "tokenizer.json").read_bytes())
    inner["model"]["vocab"]["qqqq"] = len(inner["model"]["vocab"])  # no merge leads to it
    (base / "tokenizer.json").write_text(json.dumps(inner))
    assert (
        Tokenizer.from_file(str(base / "tokenizer.json")).get_vocab_size()
        > load_file(base / WHOLE)["model.embed_tokens.weight"].shape[0]
    )
    imported(base, base.parent / "claim")


def test_text_that_holds_such_a_token_is_a_clients_error(base: Path) -> None:
    served = load(base=base, base_name="tiny", precision="fp32", threads=1)
    served._tokenizer.add_tokens(["<|new|>"], special_tokens=True)
    with pytest.raises(InvalidRequestError, match="not in the vocabulary"):
        served.prompt(Asked.parse({"model": "tiny", "prompt": "a <|new|> b"}, chat=False))


def test_settings_of_generation_that_transformers_refuses_are_named(base: Path) -> None:
    (base / "generation_config.json").write_text('{"temperature": "warm", "cache_implementation": "none such"}')
    assert "generation_config.json holds settings that transformers refuses" in refusal(base)


# 36, 37: attention and composite configurations


@pytest.mark.parametrize("kind", ["gemma2", "gpt_oss", "bloom", "mpt", "gptj", "llama"])
def test_attention_is_what_the_class_supports_everywhere(tmp_path: Path, kind: str) -> None:
    base = tmp_path / "tiny"
    tiny_kind(base, kind)
    imported(base, tmp_path / "claim")
    parts = load_parts(base=base, base_name="tiny", adapter=None, precision="fp32", threads=1)
    trained, _ = load_base(base, torch.device("cpu"), "fp32")
    expected = "sdpa" if type(trained)._supports_sdpa else "eager"
    assert parts.model.config._attn_implementation == trained.config._attn_implementation == expected


def test_attention_that_the_configuration_names_is_not_taken(base: Path) -> None:
    changed_json(
        base / "config.json", attn_implementation="flash_attention_2", _attn_implementation="flash_attention_2"
    )
    imported(base, base.parent / "claim")


@pytest.mark.parametrize("kind", ["gemma3", "llama4", "qwen3_5", "gemma4"])
def test_a_model_that_also_sees_answers_and_ends_where_its_text_model_does(tmp_path: Path, kind: str) -> None:
    base = tmp_path / "tiny"
    tiny_kind(base, kind)
    check_small_files(base)
    check_weights(base)
    served = load(base=base, base_name="tiny", precision="fp32", threads=1)
    end = AutoConfig.from_pretrained(base).get_text_config(decoder=True).eos_token_id
    assert end in served._ends
    assert served.prompt(Asked.parse({"model": "tiny", "prompt": "Vem är du?"}, chat=False))
    assert list(served.generate([5, 7, 9], Sampling(max_tokens=3, temperature=0.0), served.adapter("tiny"), bool))


@pytest.mark.parametrize("kind", ["bert", "electra", "mamba", "xlnet", "openai-gpt"])
def test_a_kind_that_cannot_be_served_is_refused_before_its_weights_are_moved(tmp_path: Path, kind: str) -> None:
    tiny_files(tmp_path, kind)
    with pytest.raises(ArtifactError, match="cannot be served: "):
        check_small_files(tmp_path)


@pytest.mark.parametrize("kind", ["reformer", "gemma3n"])
def test_a_kind_that_cannot_even_be_made_is_refused_before_its_weights_are_moved(tmp_path: Path, kind: str) -> None:
    tiny_files(tmp_path, kind)
    with pytest.raises(ArtifactError, match=r"a small [a-z0-9]+ model cannot be made of config.json"):
        check_small_files(tmp_path)
