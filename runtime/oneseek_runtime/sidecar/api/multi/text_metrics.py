"""Metrics of one answer's wording: sentiment, tone, bias, fairness. Pure and deterministic.

They count words and say nothing about whether an answer is true.

- sentiment: see `sentiment`.
- tone: the most frequent of three kinds of words: certain ("alltid", "must"), hedging ("kanske", "might"), personal ("jag", "we",
  exclamation marks). None: neutral. Ties: the first in that order.
- bias, 0 to 10: words that overstate, load or generalise, per hundred words, at most 10. Texts under 50 words count as 50.
- fairness, 0 to 1: 1 - 0.5·bias/10 - 0.5·|sentiment|.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from oneseek_runtime.sidecar.api.multi.sentiment import Sentiment, compound, label_of
from oneseek_runtime.sidecar.language import Language, language_of, words_of

__all__ = ["BiasKind", "TextMetrics", "Tone", "read"]

BiasKind = Literal["overstatement", "loaded", "generalisation"]
Tone = Literal["assertive", "cautious", "personal", "neutral"]

_MOST_CHARACTERS = 20_000  # of an answer; external models may send any amount
_FEWEST_WORDS = 50


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# By language: "men" is a Swedish conjunction and an English group, "i" a preposition and a pronoun.
_TONES: dict[Language, dict[Tone, frozenset[str]]] = {
    "sv": {
        "assertive": _words("alltid aldrig måste definitivt absolut självklart säkert givetvis tveklöst bevisligen"),
        "cautious": _words(
            "kanske möjligen troligen förmodligen sannolikt eventuellt ungefär kunde skulle verkar tycks ibland oftast"
        ),
        "personal": _words("jag mig min mitt mina vi oss vår vårt våra du dig din ditt dina"),
    },
    "en": {
        "assertive": _words("always never must definitely absolutely certainly surely undoubtedly clearly obviously"),
        "cautious": _words(
            "maybe perhaps possibly probably likely might could would seems appears sometimes often roughly"
        ),
        "personal": _words("i me my mine we us our ours you your yours i'm i'll i've we're"),
    },
}
_OVERSTATED: dict[Language, frozenset[str]] = {
    "sv": _words("alltid aldrig alla ingen inga samtliga fullständigt totalt omöjligt"),
    "en": _words("always never everyone everybody nobody none all totally completely impossible"),
}
_LOADED: dict[Language, frozenset[str]] = {
    "sv": _words(
        """uppenbarligen självklart naturligtvis givetvis skandal skandalös skamligt vansinne vansinnig löjlig idiotisk
        korrumperad svekfull lögnare fiende fiender eliten pöbeln"""
    ),
    "en": _words(
        """obviously clearly naturally scandal scandalous disgraceful insane ridiculous idiotic corrupt liar liars enemy
        enemies elites mob"""
    ),
}
_GROUPS: dict[Language, frozenset[str]] = {
    "sv": _words(
        "män kvinnor invandrare muslimer judar kristna romer svenskar utlänningar pensionärer ungdomar politiker"
    ),
    "en": _words("men women immigrants muslims jews christians foreigners swedes pensioners teenagers politicians"),
}
_GENERAL: dict[Language, frozenset[str]] = {
    "sv": _words("alla inga samtliga alltid aldrig typiska"),
    "en": _words("all every no typical always never most these those"),
}
_NEAR = 2  # distance in words between a group and a generalising word


@dataclass(frozen=True, slots=True)
class TextMetrics:
    """The metrics of one model's answer; `words` in order."""

    model: str
    length: int
    words: tuple[str, ...]
    language: Language
    sentiment: Sentiment
    compound: float
    tone: Tone
    bias: float
    biases: tuple[BiasKind, ...]
    fairness: float


def read(model: str, text: str, question_language: Language = "en") -> TextMetrics:
    """Measures an answer; `length` in characters. If its language is unclear, the question's is used."""
    seen = text[:_MOST_CHARACTERS]
    language = language_of(seen, question_language)
    words = words_of(seen)
    score = compound(seen, language) if words else 0.0
    bias, biases = _bias(words, language)
    return TextMetrics(
        model=model,
        length=len(text),
        words=tuple(words),
        language=language,
        sentiment=label_of(score),
        compound=score,
        tone=_tone(words, seen.count("!"), language),
        bias=bias,
        biases=biases,
        fairness=round(1 - 0.5 * bias / 10 - 0.5 * abs(score), 4),
    )


def _tone(words: Sequence[str], exclamations: int, language: Language) -> Tone:
    counts = {tone: sum(word in marks for word in words) for tone, marks in _TONES[language].items()}
    counts["personal"] += exclamations
    tone = max(counts, key=lambda name: counts[name])  # first on ties
    return tone if counts[tone] else "neutral"


def _bias(words: Sequence[str], language: Language) -> tuple[float, tuple[BiasKind, ...]]:
    """The bias score and the kinds of biased words found."""
    counts: dict[BiasKind, int] = {
        "overstatement": sum(word in _OVERSTATED[language] for word in words),
        "loaded": sum(word in _LOADED[language] for word in words),
        # A group's name alone is no bias; "all men" is.
        "generalisation": sum(
            word in _GROUPS[language]
            and not _GENERAL[language].isdisjoint(words[max(0, place - _NEAR) : place + _NEAR + 1])
            for place, word in enumerate(words)
        ),
    }
    score = min(10.0, 100 * sum(counts.values()) / max(len(words), _FEWEST_WORDS))
    return round(score, 4), tuple(kind for kind, count in counts.items() if count)
