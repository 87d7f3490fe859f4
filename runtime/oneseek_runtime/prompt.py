"""The prompt: one form for training and for answering, so that a model is asked the way it was taught.

Pure over a tokenizer-like object; torch and transformers stay out, so that train and engine can both import it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from oneseek_core.errors import OneSeekError

__all__ = ["TemplateRefusedError", "Tokenizer", "prompt_ids", "prompt_text", "user_message"]

Message = Mapping[str, str]


class TemplateRefusedError(OneSeekError):
    """The model's chat template does not take these messages."""


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    chat_template: Any
    eos_token_id: int | None

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any:
        """The conversation as the model's own format."""

    def __call__(self, text: str, **options: Any) -> Any:
        """A mapping with `input_ids`."""


def user_message(instruction: str, extra: str = "") -> Message:
    """One question as a chat message; `extra` (a row's input) follows after a blank line."""
    return {"role": "user", "content": f"{instruction}\n\n{extra}" if extra.strip() else instruction}


def prompt_text(tokenizer: Tokenizer, messages: Sequence[Message]) -> str:
    """The messages and the opening of the assistant's turn, in the model's own form.

    A tokenizer without a chat template (a base model) gets headed paragraphs instead.

    Raises:
        TemplateRefusedError: with the template's own words.
    """
    if tokenizer.chat_template:
        plain = [dict(message) for message in messages]
        try:
            return str(tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # a template is a program of the model's: it may raise anything
            words = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise TemplateRefusedError(words) from error
    turns = [f"### {message['role'].capitalize()}:\n{message['content']}\n\n" for message in messages]
    return "".join(turns) + "### Assistant:\n"


def prompt_ids(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """Token ids of `prompt_text`. A template writes its own special tokens; without one the tokenizer adds them."""
    text = prompt_text(tokenizer, messages)
    return [int(i) for i in tokenizer(text, add_special_tokens=not tokenizer.chat_template)["input_ids"]]
