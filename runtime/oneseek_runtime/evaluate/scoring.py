"""Does an answer hold a fact, and what do many answers score? Pure: equal answers give equal scores.

A fact is found as words, not as letters: "no" is not in "know", nor "7" in "17". Where its last word has four letters or
more, that word may go on, for that is how words are inflected (fair, fairness; nyhet, nyheterna); a shorter one must
stand alone ("not" is not in "nothing"). What stands in front is not looked at: a fact that is denied is found too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from oneseek_core.api.v1alpha1.common import Scores, ScoreSet
from oneseek_core.digest import canonical_json
from oneseek_core.jobs.evaluate import HeldoutAnswer
from oneseek_runtime.prepare.heldout import HeldoutRow, alternatives, folded

__all__ = ["Loss", "Measured", "bounded_answers", "found_facts", "scores_of"]

_OPEN_ENDED = 4  # letters that a fact's last word must have for it to go on
_DIGITS = 6  # decimals of a score: beyond is noise
_MOST_TEXT = 1000  # characters of a question, an answer or a fact in scores.json
_MOST_ANSWERS = 128 * 1024  # bytes of all answers in scores.json: metadata and provenance hold them too

_LAST_WORD = re.compile(r"[^\W_]+\Z")
# Not \b: it takes an underscore (Markdown) for a letter, and the comma in 3,5 for the end of a number.
_WORD_BEFORE, _WORD_AFTER = r"(?<![^\W_])", r"(?![^\W_])"
_NUMBER_BEFORE, _NUMBER_AFTER = r"(?<!\d[.,])", r"(?![.,]\d)"


@dataclass(frozen=True, slots=True)
class Loss:
    """Negative log-likelihood (nats) of a reference answer's tokens, its end of text included, summed."""

    nats: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One question with the answer that the model gave; `loss` where the row has a reference answer that fits."""

    row: HeldoutRow
    answer: str
    loss: Loss | None = None

    @property
    def found(self) -> tuple[str, ...]:
        """The row's facts that the answer holds."""
        return found_facts(self.answer, self.row.facts)


def found_facts(answer: str, facts: Sequence[str]) -> tuple[str, ...]:
    """Those of `facts` (`a|b` may be put either way) that the answer holds, in their order."""
    text = folded(answer)
    return tuple(fact for fact in facts if any(re.search(_pattern(way), text) for way in alternatives(fact)))


def _pattern(way: str) -> str:
    """The regular expression of one folded way to put a fact."""
    pattern = re.escape(way)
    if way[0].isalnum():
        pattern = (_NUMBER_BEFORE if way[0].isdigit() else "") + _WORD_BEFORE + pattern
    last = _LAST_WORD.search(way)
    if way[-1].isdigit():
        pattern += _WORD_AFTER + _NUMBER_AFTER
    elif last and len(last[0]) < _OPEN_ENDED:
        pattern += _WORD_AFTER
    return pattern


def scores_of(measured: Sequence[Measured]) -> Scores:
    """The scores over all questions and by language. At least one question."""
    languages = sorted({item.row.language for item in measured})
    by_language = {name: _score_set([item for item in measured if item.row.language == name]) for name in languages}
    return Scores(**dict(_score_set(measured)), by_language=by_language)


def _score_set(measured: Sequence[Measured]) -> ScoreSet:
    shares = [len(item.found) / len(item.row.facts) for item in measured]
    losses = [item.loss for item in measured if item.loss]
    tokens = sum(loss.tokens for loss in losses)
    return ScoreSet(
        questions=len(measured),
        facts_contained=round(sum(shares) / len(shares), _DIGITS),
        exact=round(sum(len(item.found) == len(item.row.facts) for item in measured) / len(measured), _DIGITS),
        loss=round(sum(loss.nats for loss in losses) / tokens, _DIGITS) if tokens else None,
    )


def bounded_answers(measured: Iterable[Measured]) -> list[HeldoutAnswer]:
    """The first answers, cut, as many as scores.json has room for: they are there to be looked at, not counted."""
    answers: list[HeldoutAnswer] = []
    room = _MOST_ANSWERS
    for item in measured:
        answer = HeldoutAnswer(
            question=item.row.question[:_MOST_TEXT],
            language=item.row.language,
            answer=item.answer[:_MOST_TEXT],
            facts=[fact[:_MOST_TEXT] for fact in item.row.facts],
            found=[fact[:_MOST_TEXT] for fact in item.found],
        )
        room -= len(canonical_json(answer.to_wire()))
        if room < 0:
            break
        answers.append(answer)
    return answers
