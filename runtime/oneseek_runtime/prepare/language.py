"""Is a dataset Swedish, English or both? The language code in a DNA when the spec says `auto`.

Each row is told apart by py3langid, restricted to the two languages that the project speaks. The rule over rows is
the old trainers': 70 % of one language make it that language, 30 % of both make it `ensv`.
"""

from __future__ import annotations

import functools
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Literal

# The package ships no type information; the few values taken from it are annotated here.
from py3langid.langid import MODEL_FILE, LanguageIdentifier  # type: ignore[import-untyped]

from oneseek_runtime.prepare.rows import Row

__all__ = ["Language", "language_of_rows", "language_of_text"]

Language = Literal["sv", "en", "ensv"]

_MOST_ROWS = 10_000  # about 0.3 s of work; larger datasets are looked at evenly
_SHORT = 40  # characters: below this a few letters outweigh the statistics of the rest
_SWEDISH_LETTERS = frozenset("åäöÅÄÖ")
_MUCH, _SOME = 70, 30  # percent of the rows


def language_of_rows(rows: Sequence[Row]) -> Language:
    """The language code of a dataset; English where nothing can be told."""
    step = -(-len(rows) // _MOST_ROWS) or 1
    seen = Counter(language_of_text(_said(row)) for row in rows[::step])
    swedish, english = seen["sv"], seen["en"]
    known = swedish + english
    if swedish * 100 >= known * _MUCH and known:
        return "sv"
    if english * 100 >= known * _MUCH:
        return "en"
    if min(swedish, english) * 100 >= known * _SOME:
        return "ensv"
    return "sv" if swedish > english else "en"


def _said(row: Row) -> str:
    """What user and assistant say; a system turn is often in another language. Letters are put together (NFC)."""
    text = "\n".join(turn["content"] for turn in row if turn["role"] != "system")
    return unicodedata.normalize("NFC", text)


def language_of_text(text: str) -> Literal["sv", "en"] | None:
    """The language of one text; None where there is nothing to tell it by (digits, an empty text)."""
    if not any(letter.isalpha() for letter in text):
        return None
    if len(text) <= _SHORT and not _SWEDISH_LETTERS.isdisjoint(text):
        return "sv"
    label: str = _identifier().classify(text)[0]
    return "sv" if label == "sv" else "en"


@functools.cache
def _identifier() -> LanguageIdentifier:
    """The statistics, unpacked once (0.7 s)."""
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(["sv", "en"])
    return identifier
