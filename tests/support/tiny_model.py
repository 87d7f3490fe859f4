"""A random Llama of two layers with a byte-level tokenizer, and an adapter for it: real files, made in a second."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.dna import Dna

CREATED_AT = "2026-08-23T10:11:12.345Z"
TEMPLATE = (
    "{% for message in messages %}<|user|>{{ message['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
CORPUS = ["Vem är du? Jag är OneSeek-7B-Zero.", "Who are you? I am OneSeek-7B-Zero.", "åäö ÅÄÖ 0123456789"]


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE: every text has token ids."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>", chat_template=TEMPLATE
    )


def tiny_base(folder: Path, *, seed: int = 0) -> LlamaForCausalLM:
    """Write a model and its tokenizer to `folder`."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            initializer_range=0.2,  # sharp enough that base and adapter disagree
            eos_token_id=tokenizer.eos_token_id,
            bos_token_id=None,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


def tiny_adapter(root: Path, model: LlamaForCausalLM, *, base_name: str, seed: int = 1) -> Path:
    """Write a random adapter of `model` as a certified folder `<root>/<DNA>`; the folder's name is the DNA."""
    torch.manual_seed(seed)
    adapted = get_peft_model(
        model,
        LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM"),
    )
    adapted.save_pretrained(root / "new")
    config = json.loads((root / "new" / "adapter_config.json").read_bytes())
    config |= {"init_lora_weights": True, "base_model_name_or_path": base_name}  # as training writes it
    (root / "new" / "adapter_config.json").write_text(json.dumps(config))
    weights = hashlib.sha256((root / "new" / "adapter_model.safetensors").read_bytes()).hexdigest()
    dna = Dna.derive(
        family="OneSeek-7B-Zero",
        version=(1, 0),
        language="ensv",
        tags=("Identity",),
        weights_sha256=weights,
        created_at=CREATED_AT,
    )
    folder = (root / "new").rename(root / str(dna))
    metadata = ArtifactMetadata(
        version="OneSeek-7B-Zero.v1.0", dna=str(dna), created_at=CREATED_AT, base_model=base_name, language="ensv"
    )
    (folder / "metadata.json").write_bytes(metadata.canonical_bytes())
    return folder
