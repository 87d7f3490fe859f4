"""The OpenAI API's bodies. Answers are the engine's own and may hold more."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field

from oneseek_runtime.sidecar.api.schemas import Answer, OpenAnswer, RequestBody, left_out

_MODEL = (
    "`default`, the OneSeekModel's name, the DNA that serves, or the base model's name. Left out, it means `default`."
)


_Text = Annotated[str, Field(min_length=1)]
_Tokens = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
_TokenId = Annotated[str, Field(pattern="^[0-9]{1,9}$")]
_Bias = Annotated[float, Field(ge=-100, le=100)]


class TextPart(RequestBody):
    """A piece of a message's text."""

    type: Literal["text"]
    text: str


class Message(RequestBody):
    """One message of a conversation."""

    role: str
    content: str | list[TextPart]


class AssistantMessage(RequestBody):
    """What the model said before; without a content, an empty text."""

    role: Literal["assistant"]
    content: str | list[TextPart] | None = None


class TextFormat(RequestBody):
    """The only form of answers."""

    type: Literal["text"]


class _Generation(RequestBody):
    model: str | None = Field(default=None, description=_MODEL)
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1, description="0: the likeliest token, as with temperature 0.")
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    logit_bias: dict[_TokenId, _Bias] | None = Field(
        default=None, description="What is added to the logits of tokens, by their ids in the model's own vocabulary."
    )
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    stream: bool | None = None


class ChatAsked(_Generation):
    """A conversation to go on with."""

    messages: list[Message | AssistantMessage] = Field(min_length=1)
    logprobs: bool | None = Field(
        default=None,
        description="With `top_logprobs` (0 to 20) beside it, so many of the likeliest tokens at each place.",
    )
    response_format: TextFormat | None = None


class CompletionAsked(_Generation):
    """A text to go on with."""

    logprobs: Annotated[int, Field(ge=0, le=5)] | bool | None = Field(
        default=None, description="So many of the likeliest tokens at each place, and the one that was drawn."
    )
    prompt: _Text | _Tokens | Annotated[list[_Text | _Tokens], Field(min_length=1, max_length=1)]


class Usage(OpenAnswer):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ChatChoice(OpenAnswer):
    """One answer."""

    index: int
    message: dict[str, Any]
    finish_reason: str | None


class CompletionChoice(OpenAnswer):
    """One continuation."""

    index: int
    text: str
    finish_reason: str | None


class _Generated(OpenAnswer):
    id: str
    created: int
    model: str
    usage: Usage


class ChatAnswer(_Generated):
    """A whole answer; `model` is what made it."""

    object: Literal["chat.completion"]
    choices: list[ChatChoice]


class CompletionAnswer(_Generated):
    """A whole continuation; `model` is what made it."""

    object: Literal["text_completion"]
    choices: list[CompletionChoice]


class Model(OpenAnswer):
    """A model that requests may name; `root` is what stands behind a name that moves."""

    id: str
    object: Literal["model"]


class ModelList(Answer):
    """The models."""

    object: Literal["list"]
    data: list[Model]


class ErrorDetail(OpenAnswer):
    """What went wrong."""

    message: str
    type: NotRequired[Annotated[str | None, left_out(None)]]
    param: NotRequired[Annotated[str | None, left_out(None)]]
    code: NotRequired[Annotated[str | int | None, left_out(None)]]


class OpenAIError(OpenAnswer):
    """The error body that OpenAI's clients read."""

    error: ErrorDetail
