"""The OpenAI API's bodies: requests parsed, answers as plain data. Pure.

Unknown fields are ignored, as OpenAI's clients expect; what would change the answer and is not built is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneseek_runtime.engine.errors import AdapterError, InvalidRequestError, RequestError

__all__ = [
    "Answer",
    "Asked",
    "Sampling",
    "Token",
    "adapter_error_body",
    "chunk",
    "error_body",
    "model_list",
    "usage",
    "whole",
]

DEFAULT_MAX_TOKENS = 256  # where a request names no limit; a small model without one may never end
_NOT_BUILT = ("tools", "functions", "response_format", "logit_bias", "suffix", "echo", "best_of")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn and when that ends."""

    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """One request. `chat` tells which of the two APIs it came by; then `messages` hold the prompt, else `prompt`."""

    model: str
    chat: bool
    messages: tuple[Mapping[str, str], ...]
    prompt: str | tuple[int, ...]
    sampling: Sampling
    logprobs: bool
    stream: bool
    include_usage: bool

    @classmethod
    def parse(cls, body: object, *, chat: bool) -> Asked:
        """Read a request's JSON.

        Raises:
            InvalidRequestError: the sentence names the field.
        """
        if not isinstance(body, dict):
            raise InvalidRequestError("the body must be a JSON object")
        if not isinstance(model := body.get("model"), str):
            raise InvalidRequestError("model must be a string")
        if body.get("n") not in (None, 1):
            raise InvalidRequestError("n must be 1")
        if unsupported := [name for name in _NOT_BUILT if body.get(name)]:
            raise InvalidRequestError(f"{unsupported[0]} is not supported by this engine")
        if not isinstance(stream := body.get("stream", False), bool | None):
            raise InvalidRequestError("stream must be true or false")
        options = body.get("stream_options")
        logprobs = body.get("logprobs")
        return cls(
            model=model,
            chat=chat,
            messages=_messages(body.get("messages")) if chat else (),
            prompt="" if chat else _prompt(body.get("prompt")),
            sampling=_sampling(body),
            logprobs=logprobs is True if chat else logprobs is not None and logprobs is not False,
            stream=stream is True,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        )


def _messages(value: object) -> tuple[Mapping[str, str], ...]:
    if not isinstance(value, list) or not value:
        raise InvalidRequestError("messages must be a list with at least one message")
    return tuple(_message(item) for item in value)


def _message(item: object) -> Mapping[str, str]:
    if not isinstance(item, dict) or not isinstance(role := item.get("role"), str):
        raise InvalidRequestError("each message needs a role")
    content = item.get("content")
    if isinstance(content, list):
        parts = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content
        ]
        if any(not isinstance(part, str) for part in parts):
            raise InvalidRequestError("a message's content may hold text parts only")
        content = "".join(str(part) for part in parts)
    if not isinstance(content, str):
        raise InvalidRequestError("each message needs a content that is text")
    return {"role": role, "content": content}


def _prompt(value: object) -> str | tuple[int, ...]:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list):
        value = value[0]  # a batch of one
    if isinstance(value, str) and value:
        return value
    if not isinstance(value, list) or not value or isinstance(value[0], str | list):
        raise InvalidRequestError("prompt must be one text or one list of token ids, and not empty")
    return tuple(_whole(token, "each token id of the prompt") for token in value)


def _sampling(body: Mapping[str, Any]) -> Sampling:
    maximum = body.get("max_completion_tokens")
    maximum = body.get("max_tokens") if maximum is None else maximum
    maximum = None if maximum is None else _whole(maximum, "max_tokens")
    if maximum is not None and maximum < 1:
        raise InvalidRequestError("max_tokens must be a whole number of at least 1")
    seed = None if body.get("seed") is None else _whole(body["seed"], "seed")
    top_p = _number(body, "top_p", 1.0, 1.0)
    if top_p <= 0:
        raise InvalidRequestError("top_p must be above 0")
    return Sampling(
        max_tokens=DEFAULT_MAX_TOKENS if maximum is None else maximum,
        temperature=_number(body, "temperature", 1.0, 2.0),
        top_p=top_p,
        seed=None if seed is None else seed % 2**63,
        stop=_stop(body.get("stop")),
    )


def _whole(value: object, name: str) -> int:
    """JSON does not tell 45 from 45.0, so a whole number is one however it is written."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequestError(f"{name} must be a whole number")
    return value


def _number(body: Mapping[str, Any], name: str, default: float, high: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InvalidRequestError(f"{name} must be a number")
    if not 0 <= value <= high:
        raise InvalidRequestError(f"{name} must be between 0 and {high:g}")
    return float(value)


def _stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(stops, list) or len(stops) > 16 or any(not isinstance(stop, str) for stop in stops):
        raise InvalidRequestError("stop must be a text or a list of at most 16 texts")
    return tuple(stop for stop in stops if stop)


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token: its own text and its log-probability in nats."""

    text: str
    logprob: float


@dataclass(slots=True)
class Answer:
    """One answer under construction; `model` is what really generates it."""

    id: str
    created: int
    model: str
    chat: bool
    logprobs: bool
    prompt_tokens: int
    text: str = ""
    tokens: list[Token] = field(default_factory=list)
    finish_reason: str | None = None


def usage(answer: Answer) -> dict[str, int]:
    """Token counts. The end-of-turn token counts too: it was generated and has a probability."""
    completion = len(answer.tokens)
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": completion,
        "total_tokens": answer.prompt_tokens + completion,
    }


def whole(answer: Answer) -> dict[str, Any]:
    """The body of an answer that is not streamed."""
    kind = "chat.completion" if answer.chat else "text_completion"
    said = {"message": {"role": "assistant", "content": answer.text}} if answer.chat else {"text": answer.text}
    return _body(answer, kind, _choice(answer, said, answer.tokens, answer.finish_reason)) | {"usage": usage(answer)}


def chunk(
    answer: Answer, text: str, tokens: Sequence[Token], *, first: bool = False, last: bool = False
) -> dict[str, Any]:
    """One event of a stream: the text and the tokens that are new since the one before."""
    kind = "chat.completion.chunk" if answer.chat else "text_completion"
    delta = ({"role": "assistant"} if first else {}) | ({"content": text} if text or first else {})
    said: dict[str, Any] = {"delta": delta} if answer.chat else {"text": text}
    return _body(answer, kind, _choice(answer, said, tokens, answer.finish_reason if last else None))


def _body(answer: Answer, kind: str, choice: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": answer.id, "object": kind, "created": answer.created, "model": answer.model, "choices": [choice]}


def _choice(answer: Answer, said: Mapping[str, Any], tokens: Sequence[Token], reason: str | None) -> dict[str, Any]:
    return {"index": 0, **said, "logprobs": _logprobs(answer, tokens), "finish_reason": reason}


def _logprobs(answer: Answer, tokens: Sequence[Token]) -> dict[str, Any] | None:
    if not answer.logprobs:
        return None
    if answer.chat:
        return {"content": [{"token": t.text, "logprob": t.logprob, "top_logprobs": []} for t in tokens]}
    return {"tokens": [t.text for t in tokens], "token_logprobs": [t.logprob for t in tokens]}


def model_list(ids: Sequence[str], created: int) -> dict[str, Any]:
    """The body of GET /v1/models."""
    rows = [{"id": name, "object": "model", "created": created, "owned_by": "oneseek"} for name in ids]
    return {"object": "list", "data": rows}


def error_body(error: RequestError) -> dict[str, Any]:
    """The OpenAI API's error object."""
    return {"error": {"message": str(error), "type": error.kind, "param": None, "code": error.code}}


def adapter_error_body(error: AdapterError) -> dict[str, Any]:
    """The error object of vLLM: its code is the status."""
    return {"error": {"message": str(error), "type": error.kind, "param": None, "code": error.status}}
