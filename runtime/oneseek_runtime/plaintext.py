"""Token ids of a rendered prompt in which nobody's text becomes a control token: those come from the template alone.

A tokenizer looks for the names of its control tokens (`<|im_end|>`) in the whole rendered prompt, so a user who types
one would end the own turn and open another's. Ordinary text is tokenised as ever. Where the words of a turn spell a
control token, the template is rendered with a placeholder for it, so that the names left are the template's, and a copy
of the tokenizer that knows those under names of this process reads the whole, as if its own were any other text.
"""

from __future__ import annotations

import functools
import json
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from oneseek_core.errors import OneSeekError

__all__ = ["Message", "SpecialTokenError", "Tokenizer", "rendered_ids"]

Message = Mapping[str, str]
"""One turn: `role` and `content`."""

_PLACEHOLDERS = range(0xF0000, 0xFFFFD)  # private use: in no vocabulary, and no spaces that a template would trim


class SpecialTokenError(OneSeekError):
    """A text spells a control token, and this tokenizer has no other way to write it."""


class Tokenizer(Protocol):
    """What is used of a transformers tokenizer."""

    chat_template: Any
    eos_token_id: int | None
    added_tokens_decoder: Any

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any:
        """The conversation as the model's own format."""

    def __call__(self, text: str, **options: Any) -> Any:
        """A mapping with `input_ids`."""

    def __hash__(self) -> int:
        """By identity."""


def rendered_ids(
    tokenizer: Tokenizer,
    messages: Sequence[Message],
    render: Callable[[Sequence[Message]], str],
    *,
    neutral: str,
    add_special_tokens: bool,
) -> list[int]:
    """Token ids of `render(messages)`; `neutral` is what it writes around any content.

    Raises:
        SpecialTokenError: a content spells a control token that cannot be written as text.
    """
    text = render(messages)
    ids = _input_ids(tokenizer, text, add_special_tokens=add_special_tokens)
    control = _control_of(tokenizer, neutral)
    if not control.ids:
        return ids
    added = control.added if add_special_tokens else Counter[int]()
    spelled = {name for message in messages for name in control.names.findall(message["content"])}
    if not spelled and control.counted(ids) == control.expected(text) + added:
        return ids
    contents = [message["content"] for message in messages]
    unused = (chr(code) for code in _PLACEHOLDERS if not any(chr(code) in content for content in contents))
    placeholders = dict(zip(sorted(spelled), unused, strict=False))
    text = render([_with(message, control.names, placeholders) for message in messages])
    expected = control.expected(text) + added
    ids = control.without(text, placeholders, add_special_tokens=add_special_tokens)
    if control.counted(ids) != expected:
        raise SpecialTokenError("the text spells a control token, which the model's vocabulary cannot write as text")
    return ids


def _input_ids(tokenizer: Tokenizer, text: str, *, add_special_tokens: bool) -> list[int]:
    return [int(token) for token in tokenizer(text, add_special_tokens=add_special_tokens)["input_ids"]]


def _with(message: Message, names: re.Pattern[str], placeholders: Mapping[str, str]) -> Message:
    return {**message, "content": names.sub(lambda found: placeholders[found[0]], message["content"])}


@functools.lru_cache(maxsize=4)
def _control_of(tokenizer: Tokenizer, neutral: str) -> _Control:
    return _Control(tokenizer, neutral)


class _Control:
    """A tokenizer's control tokens: those it calls special, and others that its template marks turns with."""

    def __init__(self, tokenizer: Tokenizer, neutral: str) -> None:
        self._tokenizer = tokenizer
        self._tokens = {int(token): item for token, item in tokenizer.added_tokens_decoder.items()}
        # What stands for unknown words comes out of ordinary text, and ends nothing.
        unknown = getattr(tokenizer, "unk_token_id", None)
        self.ids = {
            item.content: token
            for token, item in self._tokens.items()
            if (item.special and (token != unknown or token == tokenizer.eos_token_id))
            or (item.content in neutral and _looks_like_a_mark(item.content))
        }
        longest_first = sorted(self.ids, key=lambda name: (-len(name), name))
        self.names = re.compile("|".join(map(re.escape, longest_first)))
        self._known = frozenset(self.ids.values())
        self._aliases = {name: f"\U0010fffd{secrets.token_hex(16)}\U0010fffd" for name in self.ids}

    def counted(self, ids: Iterable[int]) -> Counter[int]:
        """How often each control token stands among the ids."""
        return Counter(token for token in ids if token in self._known)

    def expected(self, text: str) -> Counter[int]:
        """How often each control token's name stands in a text."""
        return Counter(self.ids[name] for name in self.names.findall(text))

    @functools.cached_property
    def added(self) -> Counter[int]:
        """The control tokens that the tokenizer adds to any text by itself."""
        return self.counted(_input_ids(self._tokenizer, "", add_special_tokens=True))

    def without(self, text: str, placeholders: Mapping[str, str], *, add_special_tokens: bool) -> list[int]:
        """Token ids of a text whose control tokens are the template's, with placeholders for names that are text."""
        copy, original = self._copy
        text = self.names.sub(lambda found: self._aliases[found[0]], text)
        for name, placeholder in placeholders.items():
            text = text.replace(placeholder, name)
        found = copy.encode(text, add_special_tokens=add_special_tokens).ids
        return [original.get(token, token) for token in found]

    @functools.cached_property
    def _copy(self) -> tuple[Any, Mapping[int, int]]:
        """The tokenizer with its control tokens under their aliases, and the ids that its added tokens really have."""
        whole = getattr(self._tokenizer, "backend_tokenizer", None)
        if whole is None:
            raise SpecialTokenError("the text spells a control token, which this tokenizer cannot keep apart from text")
        parts = json.loads(whole.to_str()) | {"added_tokens": [], "truncation": None, "padding": None}
        copy = type(whole).from_str(json.dumps(parts))
        original = {}
        for token, item in sorted(self._tokens.items()):
            name = self._aliases.get(item.content, item.content)
            options = {key: getattr(item, key) for key in ("lstrip", "rstrip", "single_word", "special")}
            normalized = item.normalized and name == item.content
            copy.add_tokens([type(item)(name, normalized=normalized, **options)])
            original[copy.token_to_id(name)] = token
        return copy, original


def _looks_like_a_mark(name: str) -> bool:
    """Some added tokens are runs of spaces or plain words."""
    return any(map(str.isalnum, name)) and not name.isalnum()
