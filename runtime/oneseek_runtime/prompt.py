"""The prompt: one form for training and for answering, so that a model is asked the way it was taught.

Pure over a tokenizer-like object; torch and transformers stay out, so that train and engine can both import it.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from oneseek_core.errors import OneSeekError
from oneseek_runtime.plaintext import Message, SpecialTokenError, Tokenizer, rendered_ids

__all__ = [
    "Message",
    "SpecialTokenError",
    "TemplateRefusedError",
    "Tokenizer",
    "prompt_ids",
    "prompt_text",
    "text_ids",
    "user_message",
]

_WRITTEN_AS_IT_IS = ("system", "developer", "user")
_LONGEST = 300  # characters of what a template says
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


class TemplateRefusedError(OneSeekError):
    """The model's chat template does not take these turns."""


def user_message(instruction: str, extra: str = "") -> Message:
    """One question as a chat message; `extra` (a row's input) follows after a blank line."""
    return {"role": "user", "content": f"{instruction}\n\n{extra}" if extra.strip() else instruction}


def prompt_text(tokenizer: Tokenizer, messages: Sequence[Message]) -> str:
    """The messages and the opening of the assistant's turn, in the model's own form.

    A tokenizer without a chat template (a base model) gets headed paragraphs instead.

    Raises:
        TemplateRefusedError: the template raises, or a role is none: templates write it between their marks.
    """
    if role := next((message["role"] for message in messages if message["role"] not in _ROLES), None):
        raise TemplateRefusedError(f"there is no role {role[:40]!r}; the roles are {', '.join(_ROLES)}")
    if tokenizer.chat_template:
        plain = [dict(message) for message in messages]
        try:
            text = str(tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True))
        except Exception as error:  # a template is a program of the model's: it may raise anything
            raise TemplateRefusedError(_words(error)) from error
        if role := _left_out(messages, text):
            raise TemplateRefusedError(f"it leaves out what the {role} says")
        return text
    turns = [f"### {message['role'].capitalize()}:\n{message['content']}\n\n" for message in messages]
    return "".join(turns) + "### Assistant:\n"


def _left_out(messages: Sequence[Message], text: str) -> str | None:
    """The role of the first turn whose words are not in the rendered text.

    Templates trim turns, put the system's beside another one, write tools' answers as JSON, and cut the reasoning out of
    an assistant's earlier turns on purpose.
    """
    written = (message for message in messages if message["role"] in _WRITTEN_AS_IT_IS)
    return next((message["role"] for message in written if message["content"].strip() not in text), None)


def _words(error: Exception) -> str:
    """What the template itself has to say (`raise_exception`); of any other error its kind, not a library's words."""
    name = type(error).__name__
    said = next(iter(str(error).splitlines()), "")[:_LONGEST] if name == "TemplateError" else ""
    line = getattr(error, "lineno", None)
    return said or f"it ends in {name}{f' at line {line}' if line else ''}"


def prompt_ids(tokenizer: Tokenizer, messages: Sequence[Message]) -> list[int]:
    """Token ids of `prompt_text`. A template writes its own special tokens; without one the tokenizer adds them.

    Raises:
        TemplateRefusedError: the template does not take these messages.
        SpecialTokenError: a message spells a control token that cannot be written as text.
    """
    render = functools.partial(prompt_text, tokenizer)
    add_special_tokens = not tokenizer.chat_template
    return rendered_ids(tokenizer, messages, render, neutral=_neutral(tokenizer), add_special_tokens=add_special_tokens)


def text_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text by itself, without any special token.

    Raises:
        SpecialTokenError: it spells a control token that cannot be written as text.
    """
    return rendered_ids(
        tokenizer,
        [{"content": text}],
        lambda turns: turns[0]["content"],
        neutral=_neutral(tokenizer),
        add_special_tokens=False,
    )


@functools.lru_cache(maxsize=4)
def _neutral(tokenizer: Tokenizer) -> str:
    """What is written around any conversation."""
    for count in (3, 1):
        try:
            turns = [{"role": ("user", "assistant")[number % 2], "content": "x"} for number in range(count)]
            return prompt_text(tokenizer, turns)
        except TemplateRefusedError:
            continue
    return ""
