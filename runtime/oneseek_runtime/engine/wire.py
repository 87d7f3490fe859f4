"""The OpenAI API's bodies: requests parsed, answers as plain data. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneseek_runtime.engine.errors import AdapterError, InvalidRequestError, RequestError
from oneseek_runtime.engine.fields import flag, logit_bias, number, refuse_unbuilt, whole, writable
from oneseek_runtime.engine.messages import read_messages

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
    "whole_answer",
]

DEFAULT_MAX_TOKENS = 256  # where a request names no limit; a small model without one may never end
_MAXIMUM_TOP = {True: 20, False: 5}  # likeliest tokens a position: of chats, of plain completions


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are drawn and when that ends; `top_logprobs` of the likeliest are told beside each."""

    max_tokens: int = DEFAULT_MAX_TOKENS
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    top_logprobs: int = 0


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
            code = "missing_required_parameter" if model is None else "invalid_type"
            raise InvalidRequestError("model must be a string", param="model", code=code)
        refuse_unbuilt(body)
        logprobs, top = _logprobs_asked(body, chat=chat)
        return cls(
            model=model,
            chat=chat,
            messages=read_messages(body.get("messages")) if chat else (),
            prompt="" if chat else _prompt(body.get("prompt")),
            sampling=_sampling(body, top),
            logprobs=logprobs,
            stream=flag(body.get("stream"), "stream"),
            include_usage=_includes_usage(body.get("stream_options")),
        )


def _includes_usage(options: object) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidRequestError("stream_options must be an object", param="stream_options", code="invalid_type")
    name = "stream_options.include_obfuscation"
    if flag(options.get("include_obfuscation"), name):
        raise InvalidRequestError(f"{name} must be false", param=name, code="unsupported_value")
    return flag(options.get("include_usage"), "stream_options.include_usage")


def _logprobs_asked(body: Mapping[str, Any], *, chat: bool) -> tuple[bool, int]:
    """Whether log-probabilities are asked for, and of how many of the likeliest tokens beside each."""
    asked = body.get("logprobs")
    if not chat:
        if asked is None or isinstance(asked, bool):
            return asked is True, int(asked is True)
        return True, whole(asked, "logprobs", low=0, high=_MAXIMUM_TOP[chat])
    top = body.get("top_logprobs")
    top = 0 if top is None else whole(top, "top_logprobs", low=0, high=_MAXIMUM_TOP[chat])
    if top and asked is not True:
        raise InvalidRequestError("top_logprobs needs logprobs to be true", param="top_logprobs", code="invalid_value")
    return flag(asked, "logprobs"), top


def _prompt(value: object) -> str | tuple[int, ...]:
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str | list):
        value = value[0]  # a batch of one
    if isinstance(value, str) and value:
        return writable(value)
    if not isinstance(value, list) or not value or isinstance(value[0], str | list):
        code = "missing_required_parameter" if value is None else "invalid_value"
        raise InvalidRequestError(
            "prompt must be one text or one list of token ids, and not empty", param="prompt", code=code
        )
    return tuple(
        token if type(token) is int and token >= 0 else whole(token, f"prompt[{index}]", low=0)
        for index, token in enumerate(value)
    )


def _sampling(body: Mapping[str, Any], top_logprobs: int) -> Sampling:
    limit = "max_tokens" if body.get("max_completion_tokens") is None else "max_completion_tokens"
    maximum = None if body.get(limit) is None else whole(body[limit], limit, low=1)
    seed = None if body.get("seed") is None else whole(body["seed"], "seed")
    return Sampling(
        max_tokens=DEFAULT_MAX_TOKENS if maximum is None else maximum,
        temperature=number(body, "temperature", 1.0, 0, 2),
        top_p=number(body, "top_p", 1.0, 0, 1),
        seed=None if seed is None else seed % 2**63,
        stop=_stop(body.get("stop")),
        frequency_penalty=number(body, "frequency_penalty", 0.0, -2, 2),
        presence_penalty=number(body, "presence_penalty", 0.0, -2, 2),
        logit_bias=logit_bias(body.get("logit_bias")),
        top_logprobs=top_logprobs,
    )


def _stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(stops, list) or len(stops) > 16 or any(not isinstance(stop, str) for stop in stops):
        raise InvalidRequestError(
            "stop must be a text or a list of at most 16 texts", param="stop", code="invalid_value"
        )
    return tuple(stop for stop in stops if stop)


@dataclass(frozen=True, slots=True)
class Token:
    """One generated token: its own text and its log-probability in nats.

    `top` are the likeliest at its place, likeliest first; `offset` is where it begins in the texts of all tokens joined.
    """

    text: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()
    offset: int = 0


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


def whole_answer(answer: Answer) -> dict[str, Any]:
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
        rows = [
            _likely(t.text, t.logprob) | {"top_logprobs": [_likely(text, logprob) for text, logprob in t.top]}
            for t in tokens
        ]
        return {"content": rows, "refusal": None}
    return {
        "tokens": [t.text for t in tokens],
        "token_logprobs": [t.logprob for t in tokens],
        "top_logprobs": [_by_text(t) for t in tokens] if any(t.top for t in tokens) else None,
        "text_offset": [t.offset for t in tokens],
    }


def _likely(text: str, logprob: float) -> dict[str, Any]:
    """A token in a chat's list. One that is a part of a character has no text of its own, so its bytes are not known."""
    return {"token": text, "logprob": logprob, "bytes": None if "\ufffd" in text else list(text.encode())}


def _by_text(token: Token) -> dict[str, float]:
    """The likeliest tokens and the one that was drawn; of two with one text, the likelier."""
    found: dict[str, float] = {}
    for text, logprob in (*token.top, (token.text, token.logprob)):
        found.setdefault(text, logprob)
    return found


def model_list(ids: Sequence[str], created: int) -> dict[str, Any]:
    """The body of GET /v1/models."""
    rows = [{"id": name, "object": "model", "created": created, "owned_by": "oneseek"} for name in ids]
    return {"object": "list", "data": rows}


def error_body(error: RequestError) -> dict[str, Any]:
    """The OpenAI API's error object."""
    return {"error": {"message": str(error), "type": error.kind, "param": error.param, "code": error.code}}


def adapter_error_body(error: AdapterError) -> dict[str, Any]:
    """The error object of vLLM: its code is the status."""
    return {"error": {"message": str(error), "type": error.kind, "param": None, "code": error.status}}
