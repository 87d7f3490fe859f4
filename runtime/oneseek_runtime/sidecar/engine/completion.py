"""A question as an OpenAI request, and the engine's answers parsed; standard fields only. Pure.

A missing `options.temperature` means greedy decoding (0.0 in the answer), so that the same question gets the same answer. An
explicit 0 means 0.7, as in the old service. Values out of range are clamped, because the old service refused none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.sidecar.errors import EngineAnswerError

__all__ = [
    "QUESTION_REQUIRED",
    "Completion",
    "Question",
    "QuestionError",
    "completion_of",
    "confidence_of",
    "listed_models",
    "loaded_models",
]

QUESTION_REQUIRED = "Question is required and must be a string"
DEFAULT_TEMPERATURE = 0.7
DEFAULT_MAX_TOKENS = 160
MAXIMUM_MAX_TOKENS = 4096


class QuestionError(ValueError):
    """The body holds no question; the message is the contract's."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its generation options."""

    text: str
    temperature: float = 0.0
    max_tokens: int = DEFAULT_MAX_TOKENS
    top_p: float = 1.0

    @classmethod
    def parse(cls, body: Mapping[str, Any]) -> Question:
        """Parses a query's body; unknown keys are ignored. Raises QuestionError."""
        text = body.get("question")
        if not isinstance(text, str) or not text:
            raise QuestionError(QUESTION_REQUIRED)
        options = body.get("options")
        if not isinstance(options, Mapping):
            return cls(text)
        return cls(
            text,
            temperature=_temperature(options.get("temperature")),
            max_tokens=int(_within(options.get("maxTokens"), 1, MAXIMUM_MAX_TOKENS, DEFAULT_MAX_TOKENS)),
            top_p=_within(options.get("top_p"), 0.01, 1.0, 1.0),
        )

    def body(self, model: str) -> dict[str, Any]:
        """The question as a chat completion request to `model`."""
        return {
            "model": model,
            "messages": [{"role": "user", "content": self.text}],
            "temperature": self.temperature,
            "top_p": self.top_p,
            "max_tokens": self.max_tokens,
            "logprobs": True,
            "stream": False,
        }


def _temperature(value: object) -> float:
    if value == 0 and not isinstance(value, bool):
        return DEFAULT_TEMPERATURE
    return _within(value, 0.0, 2.0, 0.0)


def _within(value: object, low: float, high: float, default: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not -math.inf < value < math.inf:
        return default
    return float(min(max(value, low), high))  # bounded first: an integer may be larger than any float


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated answer; `model` as reported by the engine."""

    model: str
    text: str
    tokens: int
    confidence: float


def completion_of(body: object) -> Completion:
    """Parses a chat completion that was requested with `logprobs`. Raises EngineAnswerError."""
    try:
        choice = _mapping(body)["choices"][0]
        logprobs = [float(entry["logprob"]) for entry in choice["logprobs"]["content"]]
        return Completion(
            model=str(_mapping(body)["model"]),
            text=str(choice["message"]["content"] or "").strip(),
            tokens=int(_mapping(body)["usage"]["completion_tokens"]),
            confidence=confidence_of(logprobs),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise EngineAnswerError(
            f"the engine's answer is no chat completion with log-probabilities: {error!r}"
        ) from error


def confidence_of(logprobs: Sequence[float]) -> float:
    """Returns the geometric mean of the token probabilities, in (0, 1]. Raises ValueError without tokens."""
    if not logprobs:
        raise ValueError("no token carries a log-probability")
    mean = math.fsum(logprobs) / len(logprobs)
    # Below e^-700 the exponential is 0.0 in a double; and rounding in the engine can lift a sum above 0.
    return min(1.0, math.exp(max(mean, -700.0)))


def loaded_models(body: object) -> tuple[str, ...]:
    """Returns the ids in an answer of `GET /v1/models`. Raises EngineAnswerError."""
    return tuple(str(entry["id"]) for entry in listed_models(body))


def listed_models(body: object) -> tuple[Mapping[str, Any], ...]:
    """Returns the entries in an answer of `GET /v1/models`, each with an id. Raises EngineAnswerError."""
    try:
        entries = tuple(_mapping(entry) for entry in _mapping(body)["data"])
    except (KeyError, TypeError) as error:
        raise EngineAnswerError("the engine's list of models is none") from error
    if not all("id" in entry for entry in entries):
        raise EngineAnswerError("the engine's list of models holds one without an id")
    return entries


def _mapping(body: object) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise TypeError("not a JSON object")
    return body
