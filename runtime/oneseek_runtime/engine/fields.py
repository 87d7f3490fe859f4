"""The fields of OpenAI's requests: how values are read, and what this engine does not do. Pure.

Values that ask for nothing pass, because many clients send every field; what would change the answer and is not built is
refused by name. Fields that are in no table are ignored, as OpenAI's clients expect.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from oneseek_runtime.engine.errors import InvalidRequestError

__all__ = ["flag", "logit_bias", "number", "refuse_unbuilt", "whole", "writable"]

# A field that is not built, and its values that ask for nothing; null always does.
# Not here, because they change no answer: metadata, user, safety_identifier, prompt_cache_*, prediction (of the answer,
# to be faster), parallel_tool_calls (tools are refused).
_UNBUILT: Mapping[str, tuple[object, ...]] = {
    # OpenAI's own
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
    "web_search_options": (),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "service_tier": ("auto", "default"),
    "store": (False,),
    # What vLLM, llama.cpp and others add to it
    "top_k": (-1, 0),
    "min_p": (0,),
    "repetition_penalty": (1,),
    "length_penalty": (1,),
    "min_tokens": (0,),
    "ignore_eos": (False,),
    "use_beam_search": (False,),
    "stop_token_ids": ([],),
    "bad_words": ([],),
    "allowed_token_ids": (),
    "include_stop_str_in_output": (False,),
    "skip_special_tokens": (True,),
    "truncate_prompt_tokens": (),
    "prompt_logprobs": (),
    "logits_processors": ([],),
    "structured_outputs": (),
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "grammar": ("",),
    "json_schema": ({},),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "documents": ([],),
    "add_generation_prompt": (True,),
    "continue_final_message": (False,),
}
_TOKEN_ID = re.compile("[0-9]{1,9}")
_CHOICES = {"tools": "tool_choice", "functions": "function_call"}  # "none": what is offered is not to be used


def refuse_unbuilt(body: Mapping[str, Any]) -> None:
    """Let a request through whose fields ask for nothing that is not built.

    Raises:
        InvalidRequestError: the sentence names the field, and the values that it may have.
    """
    for name, harmless in _UNBUILT.items():
        value = body.get(name)
        if value is None or value in harmless or body.get(_CHOICES.get(name, "")) == "none":
            continue
        if any(harmless):
            allowed = " or ".join(json.dumps(one) for one in harmless)
            raise InvalidRequestError(
                f"{name} must be {allowed}; this engine supports no other value", param=name, code="unsupported_value"
            )
        raise InvalidRequestError(
            f"{name} is not supported by this engine; leave it out", param=name, code="unsupported_parameter"
        )


def whole(value: object, name: str, *, low: int | None = None, high: int | None = None) -> int:
    """A whole number; JSON does not tell 45 from 45.0, so it is one however it is written."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        _wrong_type(name, "a whole number")
    _within(value, name, "integer", low, high)
    return value


def number(body: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    """A number between two others; null and a missing one are the default."""
    value = body.get(name)
    return default if value is None else _number(value, name, low, high)


def writable(text: str) -> str:
    """The text with `?` for half a character (a lone surrogate, as a cut emoji leaves it): no tokenizer takes one."""
    return text.encode("utf-8", "replace").decode()


def flag(value: object, name: str) -> bool:
    """True or false; null is false."""
    if not isinstance(value, bool | None):
        _wrong_type(name, "true or false")
    return value is True


def logit_bias(value: object) -> tuple[tuple[int, float], ...]:
    """What is to be added to the logits of which tokens."""
    if value is None:
        return ()
    if not isinstance(value, dict) or not all(_TOKEN_ID.fullmatch(key) for key in value):
        _wrong_type("logit_bias", "an object whose keys are token ids")
    return tuple((int(key), _number(bias, f"logit_bias.{key}", -100, 100)) for key, bias in value.items())


def _number(value: object, name: str, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:  # noqa: PLR0124 - not a number
        _wrong_type(name, "a number")
    _within(value, name, "decimal", low, high)
    return float(value)


def _within(value: float, name: str, kind: str, low: float | None, high: float | None) -> None:
    below, above = low is not None and value < low, high is not None and value > high
    if below or above:
        limits = f"a whole number of at least {low}" if high is None else f"between {low:g} and {high:g}"
        code = f"{kind}_below_min_value" if below else f"{kind}_above_max_value"
        raise InvalidRequestError(f"{name} must be {limits}", param=name, code=code)


def _wrong_type(name: str, what: str) -> NoReturn:
    raise InvalidRequestError(f"{name} must be {what}", param=name, code="invalid_type")
