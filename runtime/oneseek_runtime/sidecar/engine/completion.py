"""What the engine says, in the OpenAI API's words, turned into what we know. Pure; standard fields only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.sidecar.errors import EngineAnswerError

__all__ = ["Completion", "completion_of", "confidence_of", "listed_models", "loaded_models"]


@dataclass(frozen=True, slots=True)
class Completion:
    """One generated answer. `model` is what the engine says generated it."""

    model: str
    text: str
    tokens: int
    confidence: float


def completion_of(body: object) -> Completion:
    """Read a chat completion that was asked for with `logprobs`.

    Raises:
        EngineAnswerError: a field that the OpenAI API promises is missing, or there are no log-probabilities.
    """
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
    """The geometric mean of the token probabilities, in (0, 1].

    Raises:
        ValueError: there is no token; a confidence would be invented.
    """
    if not logprobs:
        raise ValueError("no token carries a log-probability")
    mean = math.fsum(logprobs) / len(logprobs)
    # Below e^-700 the exponential is 0.0 in a double; and rounding in the engine can lift a sum above 0.
    return min(1.0, math.exp(max(mean, -700.0)))


def loaded_models(body: object) -> tuple[str, ...]:
    """The ids that `GET /v1/models` lists.

    Raises:
        EngineAnswerError: it is no such list.
    """
    return tuple(str(entry["id"]) for entry in listed_models(body))


def listed_models(body: object) -> tuple[Mapping[str, Any], ...]:
    """The entries that `GET /v1/models` lists; each has an id.

    Raises:
        EngineAnswerError: it is no such list.
    """
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
