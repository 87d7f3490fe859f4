"""The held-out set: one line to one question, and whether training has seen it. Pure.

prepare checks the file with this and evaluate reads it with this, so the two cannot disagree about what a row is.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from oneseek_runtime.prepare.rows import Row, RowError, check_whole, kind_of, parse_object, refuse_unread

__all__ = ["HeldoutRow", "alternatives", "folded", "parse_heldout", "question_key", "trained_questions"]

_EXAMPLE = '{"question": "...", "language": "sv", "mustContain": ["..."]}'
_NEEDS = "a held-out row needs question, language and mustContain"
_FIELDS = ("question", "language", "mustContain", "output")
_MOST_FACTS = 32
Language = Literal["sv", "en"]
_LANGUAGES: tuple[Language, ...] = ("sv", "en")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2212"), "-")
_QUOTES = dict.fromkeys(map(ord, "\u2018\u2019\u02bc\u00b4`"), "'")
_ENDS = " .,;:!?\u2026"


@dataclass(frozen=True, slots=True)
class HeldoutRow:
    """One question; an answer is right if it contains every fact. `a|b` is one fact that may be put either way.

    `line` counts from 1; `output` is a reference answer on which the loss is measured, where there is one.
    """

    line: int
    question: str
    language: Language
    facts: tuple[str, ...]
    output: str | None = None


def parse_heldout(number: int, line: bytes) -> HeldoutRow | None:
    """The question in line `number`; None for a blank line.

    Raises:
        RowError: it is no UTF-8, no JSON object, or a field is missing or of another kind.
    """
    value = parse_object(line, _EXAMPLE)
    if value is None:
        return None
    question = _text(value, "question")
    given = value.get("language")
    language = next((known for known in _LANGUAGES if known == given), None)
    if language is None:
        raise RowError(f"has {'no language' if given is None else f'the language {given!r}'}: write sv or en")
    output = _text(value, "output") if value.get("output") is not None else None
    refuse_unread(value, _FIELDS, [{"role": "user", "content": question}])
    return HeldoutRow(number, question, language, _facts(value), output)


def alternatives(fact: str) -> tuple[str, ...]:
    """The ways to put a fact, folded: an answer contains it if it contains one of them."""
    return tuple(folded(way) for way in fact.split("|"))


def folded(text: str) -> str:
    """The text as it is compared: case, form of its characters, dashes, quotes and width of spaces do not matter."""
    # Folding may leave a character that composes (and the other way round), hence normal form before and after.
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    seen = "".join(character for character in plain if unicodedata.category(character) != "Cf")  # soft hyphens
    return " ".join(seen.translate(_DASHES).translate(_QUOTES).split())


def trained_questions(heldout: Iterable[HeldoutRow], rows: Iterable[Row]) -> list[HeldoutRow]:
    """The questions that training is given too, as an instruction or an input: answering them would prove nothing.

    Case, spaces and the mark at the end do not make another question.
    """
    asked = {question_key(row.question): row for row in reversed(list(heldout))}
    seen = {
        question_key(part)
        for row in rows
        for turn in row
        if turn["role"] == "user"
        for part in (turn["content"], *turn["content"].split("\n\n"))
    }
    return sorted((row for question, row in asked.items() if question in seen), key=lambda row: row.line)


def question_key(text: str) -> str:
    """What two questions have in common that are the same one."""
    return folded(text).strip(_ENDS)


def _facts(value: Mapping[str, Any]) -> tuple[str, ...]:
    facts = value.get("mustContain")
    if facts is None:
        raise _missing(value, "mustContain")
    if not isinstance(facts, list) or not all(isinstance(fact, str) for fact in facts):
        raise RowError('has a mustContain that is no list of texts: write ["...", "one way|another way"]')
    if not 1 <= len(facts) <= _MOST_FACTS:
        raise RowError(f"has {len(facts)} facts in mustContain: name at least one and at most {_MOST_FACTS}")
    for fact in facts:
        check_whole("mustContain", fact)
        if not all(any(map(str.isalnum, way)) for way in alternatives(fact)):
            raise RowError(
                f"has a fact without a letter or digit in mustContain ({fact!r}): every answer would hold it"
            )
    return tuple(facts)


def _text(value: Mapping[str, Any], name: str) -> str:
    content = value.get(name)
    if content is None:
        raise _missing(value, name)
    if not isinstance(content, str):
        raise RowError(f"has a {kind_of(content)} as {name}, which must be text: put it in quotes")
    if not content.strip():
        raise RowError(f"has an empty {name}: fill it or remove it")
    check_whole(name, content)
    return content


def _missing(value: Mapping[str, Any], name: str) -> RowError:
    found = ", ".join(sorted(map(str, value))[:8]) or "no field at all"
    return RowError(f"has no {name}; it has {found}: {_NEEDS}")
