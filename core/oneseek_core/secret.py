"""[I/O] Secret values: the one way to read them, and what keeps all that were read out of messages and logs.

What a Secret holds is anybody's guess: a token with the line end that `echo` adds, a whole private key where a token was
meant. A word that goes into a header is one printable word of ASCII, or it is refused, and nothing of it is said. What was
looked at is remembered, refused or not: a library may quote it in an error of its own, and `redacted` takes it out again.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from oneseek_core.errors import OneSeekError

__all__ = ["MARK", "SecretError", "keep", "read_word", "redact_output", "redacted", "withdraw", "word"]

MARK = "[secret]"
_LARGEST = 8192  # bytes; a service account's token has a thousand
_SHORTEST = 6  # characters of a line; what is shorter may be any word
_RUN = re.compile(r"[A-Za-z0-9+/=_.~-]{12,}")  # what is left of a value whose other characters were escaped
_MOST = 64  # values; tokens are renewed, and a process may run for years

_kept: dict[bytes, tuple[str, tuple[str, ...]]] = {}  # each with what it is
_forms: tuple[str, ...] = ()  # of all that are kept, the longest first; replaced, never changed: threads read it


class SecretError(OneSeekError):
    """A secret value cannot be used. The sentence names it and quotes nothing of it."""


def keep(value: bytes | str, what: str = "") -> None:
    """Remember a secret value, so that `redacted` knows it, whole or in parts.

    Where there are too many, the oldest of what was renewed most goes: a token that is read once lives as long as the process.
    """
    global _forms  # noqa: PLW0603 - what a process knows is the process's
    data = value.encode(errors="surrogateescape") if isinstance(value, str) else value
    if data in _kept:
        return
    while len(_kept) >= _MOST:
        renewed = Counter(about for about, _ in _kept.values()).most_common(1)[0][0]
        del _kept[next(one for one, (about, _) in _kept.items() if about == renewed)]
    _kept[data] = (what, tuple(_forms_of(data)))
    _forms = tuple(sorted({form for _, forms in _kept.values() for form in forms}, key=len, reverse=True))


def _forms_of(data: bytes) -> Iterable[str]:
    """How a value may stand in a text: as it is, as Python, JSON or an address write it, line by line, piece by piece."""
    text = data.decode(errors="replace")
    stripped = text.strip()
    lines = [line.strip() for line in (stripped, *stripped.splitlines())]
    lines += [repr(data.strip())[2:-1], repr(stripped)[1:-1], json.dumps(stripped)[1:-1], quote(stripped, safe="")]
    return {form for form in (*lines, *_RUN.findall(text)) if len(form) >= _SHORTEST}


def redacted(text: str) -> str:
    """`text` without any secret value that this process has read."""
    for form in _forms:
        if form in text:
            text = text.replace(form, MARK)
    return text


def word(value: bytes | str, what: str) -> str:
    """The one printable word in a secret value; white space around it is cut. `what` names it in the error.

    Raises:
        SecretError: it is none: empty, longer than any token, more than one word, or no plain ASCII.
    """
    keep(value, what)
    data = value.encode(errors="surrogateescape") if isinstance(value, str) else value
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text or len(data) > _LARGEST or not text.isprintable() or " " in text:
        raise SecretError(f"{what} is not one word of printable ASCII: store the token, and nothing else, there")
    return text


def read_word(path: Path, what: str) -> str:
    """`word` of what a mounted file holds now.

    Raises:
        SecretError: there is no such file, or as `word`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise SecretError(f"{what} cannot be read ({error.strerror or 'no such file'})") from None
    return word(data, what)


def withdraw(environment: MutableMapping[str, str], *variables: str) -> dict[str, str]:
    """A copy of the environment; the variables are taken out of the original, where libraries would look for them."""
    copy = dict(environment)
    for name in variables:
        if name in environment:
            keep(environment.pop(name))
    return copy


class _Redacting:
    """A text stream that passes on what is written to it, redacted."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def redact_output() -> None:
    """From now on nothing that this process prints holds a secret value: log lines, warnings, tracebacks."""
    sys.stdout, sys.stderr = _Redacting(sys.stdout), _Redacting(sys.stderr)
