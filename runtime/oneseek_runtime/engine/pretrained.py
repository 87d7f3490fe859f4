"""[I/O] The base model as transformers makes it of its files: one way for the base Job, train, evaluate and the engine.

What is loaded is what was digested: transformers sees a folder of the base model's own files (`basefiles`) and nothing that
lies beside them (an adapter_config.json there would be applied), and is handed the tensors. No code of the model's runs, no
pickle is read, and a tensor that the files lack is refused where transformers would make it up.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from oneseek_runtime.engine.basefiles import BaseChangedError, UnusableBaseError, own_files, read_weights
from oneseek_runtime.log import say

__all__ = [
    "BaseChangedError",
    "UnusableBaseError",
    "check_tokens",
    "embedding_rows",
    "end_ids",
    "load_config",
    "load_model",
    "load_tokenizer",
    "own_files",
    "random_model",
    "refuse_gaps",
    "refused",
    "shown",
]

_OPTIONS: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
_MOST_NAMES = 5
_UNQUANTISED = "use the unquantised model: weights in fp32, fp16 or bf16 are what is trained and served"


def shown(values: Iterator[str] | list[str] | set[str]) -> str:
    """Names in a sentence: the first few, and how many more."""
    found = sorted(values)
    more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
    return ", ".join(found[:_MOST_NAMES]) + more


@contextmanager
def refused(sentence: str) -> Iterator[None]:
    """Say the sentence for whatever transformers raises: its own words, which the log has, are for programmers."""
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    except (UnusableBaseError, MemoryError, torch.OutOfMemoryError):
        raise
    except ImportError as error:
        say("refused by transformers", error=f"{type(error).__name__}: {error}")
        what = sentence.split(":", 1)[0]
        raise UnusableBaseError(f"{what}: that takes a library which is not in the runtime image") from error
    except Exception as error:  # whatever a library raises about a user's file
        say("refused by transformers", error=f"{type(error).__name__}: {error}")
        raise UnusableBaseError(sentence) from error


def load_config(files: Path) -> Any:
    """The configuration, checked to be one of a causal language model that transformers has itself.

    Which attention computes is left to transformers: `sdpa` where the class has it, else `eager`.

    Raises:
        UnusableBaseError: it is not, or the weights are quantised.
    """
    stored = _object(files / "config.json")
    kind = stored.get("model_type")
    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        code = "; the Python code that comes with it (auto_map) is never run" if "auto_map" in stored else ""
        raise UnusableBaseError(
            f"config.json has model_type {kind!r}, which transformers {transformers.__version__} does not know{code}:"
            " use a model of a kind in docs/reference/models.md"
        )
    _refuse_quantised(stored)
    with refused(f"config.json does not describe a model of the type {kind} as transformers knows it"):
        config = AutoConfig.from_pretrained(files, **_OPTIONS)
        if type(config) not in AutoModelForCausalLM._model_mapping:
            raise UnusableBaseError(
                f"config.json has model_type {kind!r}, which is no causal language model: use one of a kind in"
                " docs/reference/models.md"
            )
        config._attn_implementation = None
    if getattr(config, "transformers_weights", None):
        raise UnusableBaseError("config.json names another file of weights (transformers_weights): remove that entry")
    config.fusion_config = None  # changes outputs a little, and nobody asked for it
    return config


def _refuse_quantised(stored: Mapping[str, Any]) -> None:
    for part in (stored, stored.get("text_config"), stored.get("llm_config")):
        found = part.get("quantization_config") if isinstance(part, dict) else None
        if isinstance(found, dict):
            method = found.get("quant_method") or ("bitsandbytes" if "load_in_4bit" in found else "an unnamed method")
            raise UnusableBaseError(
                f"the model is quantised with {method} (quantization_config in config.json): {_UNQUANTISED}"
            )
        if found is not None:
            raise UnusableBaseError("quantization_config in config.json is no JSON object: remove it")


def load_tokenizer(files: Path, config: Any) -> Any:
    """The tokenizer; where its files name no end-of-text token, the configuration's is it.

    Raises:
        UnusableBaseError: there is none that loads, it ends no text, it has more tokens than the embedding, or chat
            templates of which none is the default.
    """
    sentence = "the tokenizer's files cannot be read by transformers: fetch them again"
    if not (files / "tokenizer.json").exists() and any(files.glob("*.model")):
        sentence = (
            "the tokenizer is a sentencepiece model alone, which is not read here: make a tokenizer.json of it with"
            " AutoTokenizer.from_pretrained(...).save_pretrained(...), and put it into the folder"
        )
    with refused(sentence):
        tokenizer = AutoTokenizer.from_pretrained(files, **_OPTIONS)
        if not [i for i in tokenizer("Who are you?", add_special_tokens=False)["input_ids"] if i is not None]:
            raise UnusableBaseError(sentence)
    if tokenizer.eos_token_id is None:
        known = [name for name in tokenizer.convert_ids_to_tokens(end_ids(files)) if name is not None]
        if not known:
            raise UnusableBaseError(
                "neither the tokenizer nor config.json nor generation_config.json names an end-of-text token, so an"
                " answer could never learn to end: add eos_token to tokenizer_config.json"
            )
        tokenizer.eos_token = known[0]
    templates = tokenizer.chat_template
    if isinstance(templates, dict):
        if "default" not in templates:
            raise UnusableBaseError(
                f"the tokenizer has the chat templates {shown(list(templates))}, and none is called default: give the"
                " one to use that name in tokenizer_config.json"
            )
        tokenizer.chat_template = templates["default"]
    if rows := getattr(config.get_text_config(decoder=True), "vocab_size", None):
        check_tokens(tokenizer, rows)
    return tokenizer


def end_ids(files: Path) -> list[int]:
    """The tokens that end a text, as the model's own files name them; a default of its class is nobody's word."""
    config = _object(files / "config.json")
    generation = _object(files / "generation_config.json") if (files / "generation_config.json").exists() else {}
    text = config.get("text_config")
    ids: list[int] = []
    for stored in (generation, config, text if isinstance(text, dict) else {}):
        value = stored.get("eos_token_id")
        ids += [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, int)]
    return ids


def check_tokens(tokenizer: Any, rows: int) -> None:
    """Make sure that no text has a token for which the embedding of `rows` rows has none.

    Raises:
        UnusableBaseError: one has; on a GPU it would end the whole process.
    """
    if len(tokenizer) <= rows:
        return
    for token, number in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1]):
        if number < rows:
            continue
        text = token if number in tokenizer.added_tokens_decoder else tokenizer.decode([number])
        if any(found >= rows for found in tokenizer(text)["input_ids"]):
            raise UnusableBaseError(
                f"the tokenizer has {len(tokenizer)} tokens and the embedding {rows} rows: the token {token!r}"
                f" ({number}) has none, and any text may hold it; remove it from the tokenizer, or resize the embedding"
                " (resize_token_embeddings) and save the model again"
            )


def embedding_rows(model: Any) -> int:
    """How many tokens the model's embedding knows."""
    return int(model.get_input_embeddings().weight.shape[0])


def load_model(files: Path, config: Any, dtype: torch.dtype) -> Any:
    """The model with exactly the weights in the files.

    Raises:
        UnusableBaseError: transformers cannot make it of them, or a tensor is missing or left over.
        BaseChangedError: they are not those that were imported.
    """
    with refused("transformers cannot load the weights: fetch the model again, or take another"):
        GenerationConfig.from_model_config(config)
        with torch.device("meta"):
            empty = random_model(config, dtype)
        # Where the class keeps some of its parts in another format, transformers converts each at its place.
        parts = [part for part in empty.state_dict().values() if part.is_floating_point()]
        alike = not empty._get_dtype_plan(dtype) and all(part.dtype == dtype for part in parts)
        tensors = read_weights(files, type(config).extra_files, dtype if alike else None)
        model, info = type(empty).from_pretrained(
            None, config=empty.config, state_dict=tensors, dtype=dtype, output_loading_info=True
        )
        refuse_gaps(model, info)
        stored = (files / "generation_config.json").exists()
        told: dict[str, Any] = {} if stored else {"config_file_name": "config.json", "_from_model_config": True}
        model.generation_config = GenerationConfig.from_pretrained(files, local_files_only=True, **told)
    return model


def random_model(config: Any, dtype: torch.dtype) -> Any:
    """A model of the configuration's class without weights from files; on the device that is torch's default now."""
    return AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]


def refuse_gaps(model: Any, info: Mapping[str, Any]) -> None:
    """Make sure that every parameter has its tensor and every tensor its parameter, by transformers' loading report.

    Raises:
        UnusableBaseError: it has not.
    """
    name = type(model).__name__
    if wrong := info["mismatched_keys"]:
        key, stored, wanted = min(wrong)
        raise UnusableBaseError(
            f"the tensor {key} has the shape {list(stored)}, but by config.json {name} takes {list(wanted)}"
            f"{_others(len(wrong))}: config.json and weights are not of the same model"
        )
    if missing := info["missing_keys"]:
        raise UnusableBaseError(
            f"the weights lack {shown(missing)}, which {name} needs; they would be made up at random: fetch the model"
            " again, or save it again with all its tensors"
        )
    if errors := info.get("conversion_errors"):
        raise UnusableBaseError(f"the tensors for {shown(set(errors))} do not make up that parameter of {name}")
    buffers = {key for key, _ in model.named_buffers()}
    prefix = f"{model.base_model_prefix}."
    left = {key for key in info["unexpected_keys"] if not {key, prefix + key, key.removeprefix(prefix)} & buffers}
    if left:
        raise UnusableBaseError(
            f"the weights hold {shown(left)}, for which {name} has no place; they would be left out and the model would"
            " answer otherwise than it was made to: check model_type and architectures in config.json"
        )


def _others(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""


def _object(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise UnusableBaseError(f"there is no {path.name}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise UnusableBaseError(f"{path.name} is no JSON") from error
    if not isinstance(value, dict):
        raise UnusableBaseError(f"{path.name} is no JSON object")
    return value
