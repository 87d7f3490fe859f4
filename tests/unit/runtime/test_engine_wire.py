"""The OpenAI API's bodies: what is read, what is refused and how."""

from typing import Any

import pytest

from oneseek_runtime.engine.errors import InvalidRequestError
from oneseek_runtime.engine.wire import Answer, Asked, Sampling, Token, chunk, error_body, whole_answer

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hej"}]}
TEXT: dict[str, Any] = {"model": "m", "prompt": "hej"}
TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def test_a_chat_request_is_read_with_openai_s_defaults() -> None:
    asked = Asked.parse(CHAT | {"unknown": 1}, chat=True)
    assert asked.messages == ({"role": "user", "content": "hej"},)
    assert (asked.sampling, asked.stream, asked.logprobs) == (Sampling(), False, False)
    assert (asked.sampling.temperature, asked.sampling.top_p) == (1.0, 1.0)


def test_the_newer_name_of_the_token_limit_wins_and_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    asked = Asked.parse(
        CHAT | {"max_tokens": 5, "max_completion_tokens": 7, "messages": [{"role": "user", "content": parts}]},
        chat=True,
    )
    assert asked.sampling.max_tokens == 7
    assert asked.messages[0]["content"] == "ab"


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"response_format": {"type": "text"}}, id="case-40"),
        pytest.param({"presence_penalty": 0, "frequency_penalty": None}, id="case-42"),
        pytest.param({"top_logprobs": 0}, id="case-41"),
        pytest.param({"top_logprobs": None, "logprobs": False}, id="case-41-null"),
        pytest.param({"best_of": 1}, id="case-45-best-of"),
        pytest.param({"tools": [TOOL], "tool_choice": "none"}, id="case-45-tools-not-to-be-used"),
        pytest.param({"functions": [{"name": "f"}], "function_call": "none"}, id="functions-not-to-be-used"),
        pytest.param({"tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, id="no-tools"),
        pytest.param({"n": 1, "echo": False, "suffix": None, "logit_bias": {}, "stream_options": None}, id="empty"),
        pytest.param({"modalities": ["text"], "audio": None, "web_search_options": None}, id="text-only"),
        pytest.param({"reasoning_effort": "none", "verbosity": "medium", "service_tier": "auto"}, id="medium"),
        pytest.param({"store": False, "metadata": {"a": "b"}, "user": "u", "safety_identifier": "s"}, id="labels"),
        pytest.param({"prompt_cache_key": "k", "prediction": {"type": "content", "content": "x"}}, id="faster"),
        pytest.param({"stream_options": {"include_obfuscation": False}}, id="no-padding"),
        pytest.param({"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0, "ignore_eos": False}, id="vllm"),
    ],
)
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completion"])
def test_what_asks_for_nothing_changes_nothing(fields: dict[str, object], chat: bool) -> None:
    body = CHAT if chat else TEXT
    assert Asked.parse(body | fields, chat=chat) == Asked.parse(body, chat=chat)


@pytest.mark.parametrize(
    ("fields", "param", "sentence"),
    [
        pytest.param({"response_format": {"type": "json_object"}}, "response_format", '{"type": "text"}', id="case-40"),
        pytest.param(
            {"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format", "must be", id="schema"
        ),
        pytest.param({"response_format": "text"}, "response_format", "must be", id="no-object"),
        pytest.param({"tools": [TOOL]}, "tools", "tools is not supported", id="tools"),
        pytest.param({"tools": [TOOL], "tool_choice": "auto"}, "tools", "tools is not supported", id="auto"),
        pytest.param({"functions": [{"name": "f"}]}, "functions", "functions is not supported", id="functions"),
        pytest.param({"tool_choice": "required"}, "tool_choice", 'must be "none" or "auto"', id="required"),
        pytest.param({"n": 2}, "n", "n must be 1", id="n"),
        pytest.param({"best_of": 3}, "best_of", "best_of must be 1", id="best-of"),
        pytest.param({"echo": True}, "echo", "leave it out", id="echo"),
        pytest.param({"suffix": "x"}, "suffix", "leave it out", id="suffix"),
        pytest.param({"modalities": ["text", "audio"]}, "modalities", 'must be ["text"]', id="audio"),
        pytest.param({"reasoning_effort": "high"}, "reasoning_effort", "must be", id="effort"),
        pytest.param({"verbosity": "low"}, "verbosity", "must be", id="verbosity"),
        pytest.param({"store": True}, "store", "leave it out", id="store"),
        pytest.param({"top_k": 5}, "top_k", "must be -1 or 0", id="top-k"),
        pytest.param({"min_p": 0.1}, "min_p", "leave it out", id="min-p"),
        pytest.param({"repetition_penalty": 1.2}, "repetition_penalty", "must be 1", id="repetition"),
        pytest.param({"guided_regex": "[a-z]+"}, "guided_regex", "leave it out", id="guided"),
        pytest.param(
            {"stream_options": {"include_obfuscation": True}},
            "stream_options.include_obfuscation",
            "must be false",
            id="padding",
        ),
    ],
)
@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completion"])
def test_what_would_change_the_answer_and_is_not_built_is_refused_by_name(
    fields: dict[str, object], param: str, sentence: str, chat: bool
) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        Asked.parse((CHAT if chat else TEXT) | fields, chat=chat)
    error = error_body(refused.value)["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["code"] in ("unsupported_value", "unsupported_parameter")
    assert sentence in error["message"]
    assert error["message"].startswith(param)


@pytest.mark.parametrize(
    ("change", "sentence", "param", "code"),
    [
        pytest.param({"model": None}, "model must be a string", "model", "missing_required_parameter", id="model"),
        pytest.param({"messages": []}, "at least one message", "messages", "empty_array", id="messages"),
        pytest.param(
            {"messages": None}, "messages is missing", "messages", "missing_required_parameter", id="no-messages"
        ),
        pytest.param({"messages": ["x"]}, "needs a role", "messages[0].role", "invalid_type", id="role"),
        pytest.param(
            {"messages": [{"role": "user", "content": None}]},
            "content that is text",
            "messages[0].content",
            "invalid_type",
            id="content",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "text parts only",
            "messages[0].content[0]",
            "invalid_value",
            id="image",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": {"x": 1}, "text": "a"}]}]},
            "text parts only",
            "messages[0].content[0]",
            "invalid_value",
            id="no-kind",
        ),
        pytest.param(
            {"temperature": 3},
            "temperature must be between 0 and 2",
            "temperature",
            "decimal_above_max_value",
            id="temperature",
        ),
        pytest.param({"temperature": 10**400}, "between 0 and 2", "temperature", "decimal_above_max_value", id="huge"),
        pytest.param({"top_p": -0.1}, "top_p must be between 0 and 1", "top_p", "decimal_below_min_value", id="top-p"),
        pytest.param({"top_p": "1"}, "top_p must be a number", "top_p", "invalid_type", id="text"),
        pytest.param(
            {"max_tokens": 0},
            "max_tokens must be a whole number of at least 1",
            "max_tokens",
            "integer_below_min_value",
            id="max-tokens",
        ),
        pytest.param(
            {"max_completion_tokens": -1},
            "max_completion_tokens must be a whole number",
            "max_completion_tokens",
            "integer_below_min_value",
            id="max-completion-tokens",
        ),
        pytest.param(
            {"max_tokens": True}, "max_tokens must be a whole number", "max_tokens", "invalid_type", id="bool"
        ),
        pytest.param({"stop": [1]}, "stop must be a text", "stop", "invalid_value", id="stop"),
        pytest.param({"stream": "yes"}, "stream must be true or false", "stream", "invalid_type", id="stream"),
        pytest.param(
            {"stream_options": [1]}, "stream_options must be an object", "stream_options", "invalid_type", id="options"
        ),
        pytest.param({"seed": "x"}, "seed must be a whole number", "seed", "invalid_type", id="seed"),
        pytest.param(
            {"presence_penalty": 2.1},
            "presence_penalty must be between -2 and 2",
            "presence_penalty",
            "decimal_above_max_value",
            id="presence",
        ),
        pytest.param(
            {"frequency_penalty": "much"},
            "frequency_penalty must be a number",
            "frequency_penalty",
            "invalid_type",
            id="frequency",
        ),
        pytest.param({"logit_bias": {"hej": 1}}, "keys are token ids", "logit_bias", "invalid_type", id="bias-key"),
        pytest.param(
            {"logit_bias": {"7": 101}},
            "logit_bias.7 must be between -100 and 100",
            "logit_bias.7",
            "decimal_above_max_value",
            id="bias",
        ),
        pytest.param(
            {"logprobs": True, "top_logprobs": 21},
            "top_logprobs must be between 0 and 20",
            "top_logprobs",
            "integer_above_max_value",
            id="top",
        ),
        pytest.param(
            {"top_logprobs": 2}, "needs logprobs to be true", "top_logprobs", "invalid_value", id="top-without"
        ),
        pytest.param({"logprobs": 5}, "logprobs must be true or false", "logprobs", "invalid_type", id="logprobs"),
    ],
)
def test_a_bad_field_is_named(change: dict[str, object], sentence: str, param: str, code: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        Asked.parse(CHAT | change, chat=True)
    error = error_body(refused.value)["error"]
    assert (error["param"], error["code"]) == (param, code)
    assert sentence in error["message"]


def test_penalties_and_biases_are_read() -> None:
    asked = Asked.parse(
        CHAT | {"presence_penalty": 1.5, "frequency_penalty": -0.5, "logit_bias": {"7": -100, "8": 2.5}}, chat=True
    )
    assert (asked.sampling.presence_penalty, asked.sampling.frequency_penalty) == (1.5, -0.5)
    assert asked.sampling.logit_bias == ((7, -100.0), (8, 2.5))


def test_a_top_p_of_zero_is_taken_for_what_it_says() -> None:
    assert Asked.parse(CHAT | {"top_p": 0}, chat=True).sampling.top_p == 0


@pytest.mark.parametrize(
    ("turn", "text"),
    [
        pytest.param({"content": None}, "", id="case-43"),
        pytest.param({"content": None, "tool_calls": [], "function_call": None}, "", id="no-calls"),
        pytest.param({}, "", id="missing"),
        pytest.param({"content": None, "refusal": "I cannot."}, "I cannot.", id="refusal"),
        pytest.param({"content": [{"type": "refusal", "refusal": "No."}]}, "No.", id="refusal-part"),
    ],
)
def test_an_assistant_s_turn_without_content_is_an_empty_text(turn: dict[str, object], text: str) -> None:
    history = [*CHAT["messages"], {"role": "assistant", **turn}, {"role": "user", "content": "och?"}]
    asked = Asked.parse(CHAT | {"messages": history}, chat=True)
    assert asked.messages[1] == {"role": "assistant", "content": text}


@pytest.mark.parametrize(
    ("turn", "field"),
    [
        ({"content": None, "tool_calls": [CALL]}, "tool_calls"),
        ({"content": "x", "function_call": {"name": "f"}}, "function_call"),
    ],
    ids=["case-43", "function"],
)
def test_tool_calls_in_a_history_are_refused_with_what_to_send(turn: dict[str, object], field: str) -> None:
    history = [{"role": "user", "content": "a"}, {"role": "assistant", **turn}]
    with pytest.raises(
        InvalidRequestError, match="supports no tool calls; send what was called and found as text"
    ) as e:
        Asked.parse(CHAT | {"messages": history}, chat=True)
    assert (e.value.param, e.value.code) == (f"messages[1].{field}", "unsupported_parameter")


def test_half_a_character_is_read_as_a_question_mark() -> None:
    messages = [
        {"role": "user", "content": "hej \ud83d"},
        {"role": "user", "content": [{"type": "text", "text": "\udc00"}]},
    ]
    asked = Asked.parse({"model": "m", "messages": messages}, chat=True)
    assert [item["content"] for item in asked.messages] == ["hej ?", "?"]
    assert Asked.parse({"model": "m", "prompt": "\ud83d\ude00 \ud83d"}, chat=False).prompt == "?? ?"


def test_a_completion_prompt_is_a_text_or_token_ids() -> None:
    assert Asked.parse({"model": "m", "prompt": ["x"]}, chat=False).prompt == "x"
    assert Asked.parse({"model": "m", "prompt": [1, 2.0]}, chat=False).prompt == (1, 2)
    with pytest.raises(InvalidRequestError, match="prompt must be one text"):
        Asked.parse({"model": "m", "prompt": ["x", "y"]}, chat=False)
    with pytest.raises(InvalidRequestError, match=r"prompt\[1\] must be a whole number") as refused:
        Asked.parse({"model": "m", "prompt": [1, -2]}, chat=False)
    assert refused.value.param == "prompt[1]"


@pytest.mark.parametrize(
    ("value", "asked", "top"), [(None, False, 0), (False, False, 0), (True, True, 1), (0, True, 0), (5, True, 5)]
)
def test_a_completion_names_how_many_of_the_likeliest_tokens_it_wants(value: object, asked: bool, top: int) -> None:
    found = Asked.parse(TEXT | {"logprobs": value}, chat=False)
    assert (found.logprobs, found.sampling.top_logprobs) == (asked, top)


def test_a_completion_gets_at_most_five_of_the_likeliest_tokens() -> None:
    with pytest.raises(InvalidRequestError, match="logprobs must be between 0 and 5") as refused:
        Asked.parse(TEXT | {"logprobs": 6}, chat=False)
    assert (refused.value.param, refused.value.code) == ("logprobs", "integer_above_max_value")


def test_an_answer_carries_tokens_log_probabilities_and_counts() -> None:
    answer = Answer("id", 1, "m", chat=True, logprobs=True, prompt_tokens=3, text="hej", finish_reason="stop")
    answer.tokens.append(Token("hå", -0.5, (("hå", -0.5), ("\ufffd", -1.0))))
    body = whole_answer(answer)
    assert body["choices"][0]["logprobs"]["content"] == [
        {
            "token": "hå",
            "logprob": -0.5,
            "bytes": [104, 195, 165],
            "top_logprobs": [
                {"token": "hå", "logprob": -0.5, "bytes": [104, 195, 165]},
                {"token": "\ufffd", "logprob": -1.0, "bytes": None},  # a part of a character
            ],
        }
    ]
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "hej"}
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}


def test_a_completion_s_log_probabilities_have_the_older_form_with_the_drawn_token_in_it() -> None:
    tokens = (Token("b", -2.0, (("a", -0.1), ("c", -1.9)), 0), Token("a", -0.1, (("a", -0.1), ("a", -3.0)), 1))
    answer = Answer("id", 1, "m", chat=False, logprobs=True, prompt_tokens=1, text="ba", tokens=[*tokens])
    whole = whole_answer(answer)["choices"][0]["logprobs"]
    assert whole == {
        "tokens": ["b", "a"],
        "token_logprobs": [-2.0, -0.1],
        "top_logprobs": [{"a": -0.1, "c": -1.9, "b": -2.0}, {"a": -0.1}],  # of two with one text, the likelier
        "text_offset": [0, 1],
    }
    assert chunk(answer, "a", tokens[1:])["choices"][0]["logprobs"]["text_offset"] == [1]


def test_without_a_wish_for_the_likeliest_tokens_there_are_none() -> None:
    answer = Answer("id", 1, "m", chat=False, logprobs=True, prompt_tokens=1, text="b", tokens=[Token("b", -2.0)])
    assert whole_answer(answer)["choices"][0]["logprobs"]["top_logprobs"] is None


def test_a_stream_names_the_role_first_and_the_reason_last() -> None:
    answer = Answer("id", 1, "m", chat=True, logprobs=False, prompt_tokens=3, finish_reason="length")
    assert chunk(answer, "a", (), first=True)["choices"][0]["delta"] == {"role": "assistant", "content": "a"}
    last = chunk(answer, "", (), last=True)["choices"][0]
    assert (last["delta"], last["finish_reason"], last["logprobs"]) == ({}, "length", None)
