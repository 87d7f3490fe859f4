"""The engine's words into ours, and what is refused rather than invented."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_runtime.sidecar.engine.completion import completion_of, confidence_of, loaded_models
from oneseek_runtime.sidecar.errors import EngineAnswerError


def answer(**changes: Any) -> dict[str, Any]:
    choice = {"message": {"content": " Jag är "}, "logprobs": {"content": [{"logprob": -1.0}, {"logprob": -3.0}]}}
    return {"model": "m", "choices": [choice | changes], "usage": {"completion_tokens": 2}}


def test_an_answer_is_text_model_tokens_and_confidence() -> None:
    completion = completion_of(answer())
    assert (completion.text, completion.model, completion.tokens) == ("Jag är", "m", 2)
    assert completion.confidence == pytest.approx(math.exp(-2))


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(None, id="null"),
        pytest.param({}, id="empty"),
        pytest.param({"choices": []}, id="no-choice"),
        pytest.param(answer(logprobs=None), id="no-logprobs"),
        pytest.param(answer(logprobs={"content": []}), id="no-token"),
        pytest.param(answer() | {"usage": None}, id="no-usage"),
    ],
)
def test_what_is_missing_is_not_invented(body: object) -> None:
    with pytest.raises(EngineAnswerError, match="no chat completion with log-probabilities"):
        completion_of(body)


@given(st.lists(st.floats(min_value=-1e6, max_value=1e-6), min_size=1))
def test_confidence_is_above_zero_and_at_most_one(logprobs: list[float]) -> None:
    assert 0 < confidence_of(logprobs) <= 1


def test_loaded_models_are_the_listed_ids() -> None:
    assert loaded_models({"data": [{"id": "base"}, {"id": "dna"}]}) == ("base", "dna")
    with pytest.raises(EngineAnswerError):
        loaded_models(["base"])
