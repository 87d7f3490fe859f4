"""The OpenAI API's bodies: what is read, what is refused and how."""

import pytest

from oneseek_runtime.engine.errors import InvalidRequestError
from oneseek_runtime.engine.wire import Answer, Asked, Token, chunk, whole

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hej"}]}


def test_a_chat_request_is_read_with_openai_s_defaults() -> None:
    asked = Asked.parse(CHAT | {"unknown": 1}, chat=True)
    assert asked.messages == ({"role": "user", "content": "hej"},)
    assert (asked.sampling.temperature, asked.sampling.top_p, asked.stream, asked.logprobs) == (1.0, 1.0, False, False)


def test_the_newer_name_of_the_token_limit_wins_and_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = Asked.parse(
        CHAT | {"max_tokens": 5, "max_completion_tokens": 7, "messages": [{"role": "user", "content": parts}]},
        chat=True,
    )
    assert asked.sampling.max_tokens == 7
    assert asked.messages[0]["content"] == "ab"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param({"model": None}, "model must be a string", id="model"),
        pytest.param({"messages": []}, "at least one message", id="messages"),
        pytest.param({"messages": [{"role": "user", "content": None}]}, "content that is text", id="content"),
        pytest.param({"n": 2}, "n must be 1", id="n"),
        pytest.param({"tools": [{}]}, "tools is not supported", id="tools"),
        pytest.param({"temperature": 3}, "temperature must be between 0 and 2", id="temperature"),
        pytest.param({"top_p": 0}, "top_p must be above 0", id="top-p"),
        pytest.param({"max_tokens": 0}, "max_tokens must be a whole number", id="max-tokens"),
        pytest.param({"max_tokens": True}, "max_tokens must be a whole number", id="bool"),
        pytest.param({"stop": [1]}, "stop must be a text", id="stop"),
        pytest.param({"seed": "x"}, "seed must be a whole number", id="seed"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidRequestError, match=sentence):
        Asked.parse(CHAT | change, chat=True)


def test_a_completion_prompt_is_a_text_or_token_ids() -> None:
    assert Asked.parse({"model": "m", "prompt": ["x"]}, chat=False).prompt == "x"
    assert Asked.parse({"model": "m", "prompt": [1, 2]}, chat=False).prompt == (1, 2)
    with pytest.raises(InvalidRequestError, match="prompt must be one text"):
        Asked.parse({"model": "m", "prompt": ["x", "y"]}, chat=False)


def test_an_answer_carries_tokens_log_probabilities_and_counts() -> None:
    answer = Answer("id", 1, "m", chat=True, logprobs=True, prompt_tokens=3, text="hej", finish_reason="stop")
    answer.tokens.append(Token("hej", -0.5))
    body = whole(answer)
    assert body["choices"][0]["logprobs"]["content"] == [{"token": "hej", "logprob": -0.5, "top_logprobs": []}]
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hej"}
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


def test_a_stream_names_the_role_first_and_the_reason_last() -> None:
    answer = Answer("id", 1, "m", chat=True, logprobs=False, prompt_tokens=3, finish_reason="length")
    assert chunk(answer, "a", (), first=True)["choices"][0]["delta"] == {"role": "assistant", "content": "a"}
    last = chunk(answer, "", (), last=True)["choices"][0]
    assert (last["delta"], last["finish_reason"], last["logprobs"]) == ({}, "length", None)
