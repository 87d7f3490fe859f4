"""The sentiment of a text, from -1 to 1, by counting words. Deterministic.

English: VADER's compound score (Hutto & Gilbert 2014), by vaderSentiment. Swedish: the same formula and constants over a word list
of our own, compared by stem (Snowball), because no maintained library fits a slim image: the Swedish VADER replaces the English
one, asent needs spaCy. Unknown words are neutral.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import Literal

from snowballstemmer import stemmer  # type: ignore[import-untyped]
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # type: ignore[import-untyped]

from oneseek_runtime.sidecar.language import Language, words_of

__all__ = ["Sentiment", "compound", "label_of"]

Sentiment = Literal["positive", "neutral", "negative"]

_NEUTRAL_BELOW = 0.05  # VADER's bounds of "neutral"
_NEGATED = -0.74
_STRENGTH = 0.293
_BEFORE = 3  # preceding words that can negate or strengthen
_NORM = 15.0
_SENTENCE_END = re.compile(r"[.!?:;\n]+")

_BY_VALENCE = {
    3.2: "fantastisk underbar utmärkt enastående lysande strålande älska perfekt suverän ypperlig förträfflig",
    2.5: "glad lycka lycklig bäst vacker härlig fin framgång framgångsrik seger kärlek imponerande jättebra toppen",
    1.9: """bra god bättre trevlig vänlig snäll hjälpsam positiv trygg trygghet säker säkerhet frihet fri rättvis
        rättvisa fred hopp hoppfull klok smart nyttig värdefull pålitlig ärlig stolt nöjd tacksam tack uppskatta gilla
        förbättra förbättring fördel möjlighet lovande effektiv stark styrka frisk hälsosam kul rolig intressant
        spännande skön lugn enkel hållbar demokratisk öppen respekt respektera stöd stödja hjälp hjälpa lyckas vinna
        vinst välkommen rekommendera meningsfull inspirerande engagerad skicklig kunnig noggrann generös modig""",
    1.1: "okej duglig lämplig rimlig användbar viktig tydlig lätt stabil modern nyfiken förtroende gemenskap utveckla",
    -1.1: "svår svårighet krånglig dyr långsam oklar otydlig tveksam osäker begränsad begränsning brist kritik risk trött",
    -1.9: """dålig sämre problem fel negativ ledsen orolig oro rädd rädsla farlig fara hot hota hotfull arg ilska sur
        elak dum svag förlora förlust misslyckas misslyckande misslyckad orättvis orättvisa ojämlik fattig fattigdom sjuk
        sjukdom skada skadlig smärta nackdel besviken besvikelse tråkig klaga konflikt kris lögn ljuga oärlig falsk
        opålitlig korrupt fientlig rasistisk diskriminera diskriminering förtryck förtrycka otrygg smutsig ful stöld
        brott kriminell straff skuld hopplös meningslös värdelös ineffektiv onödig förorening""",
    -2.6: "värst sämst hat hata krig våld våldsam död döda mord hemsk förfärlig usel katastrof svek förödande brutal",
    -3.3: "fruktansvärd vidrig avskyvärd vedervärdig katastrofal ondska terror terrorism tortyr folkmord",
}
VALENCES = {word: valence for valence, words in _BY_VALENCE.items() for word in words.split()}
NEGATIONS = frozenset("inte icke ej aldrig ingen inget inga knappast varken utan".split())  # noqa: SIM905
BOOSTERS = frozenset("mycket väldigt extremt oerhört otroligt verkligen synnerligen helt jätte väl".split())  # noqa: SIM905
DAMPERS = frozenset("lite något ganska delvis knappt tämligen relativt".split())  # noqa: SIM905


def label_of(score: float) -> Sentiment:
    """The label of a compound score."""
    if score >= _NEUTRAL_BELOW:
        return "positive"
    return "negative" if score <= -_NEUTRAL_BELOW else "neutral"


def compound(text: str, language: Language) -> float:
    """The compound score of a text; 0 without known words."""
    if language == "en":
        return float(_english().polarity_scores(text)["compound"])
    total = math.fsum(value for part in _SENTENCE_END.split(text) for value in _swedish(words_of(part)))
    return round(total / math.sqrt(total * total + _NORM), 4)


def _swedish(words: Sequence[str]) -> list[float]:
    """Valences of one sentence's known words, with negation and strengthening."""
    found = []
    for place, word in enumerate(words):
        value = _stems().get(_stem(word), 0.0)
        if not value or word in NEGATIONS:
            continue
        before = words[max(0, place - _BEFORE) : place]
        sign = math.copysign(1.0, value)
        value += sign * _STRENGTH * (sum(w in BOOSTERS for w in before) - sum(w in DAMPERS for w in before))
        found.append(value * (_NEGATED if any(w in NEGATIONS for w in before) else 1.0))
    return found


@functools.cache
def _english() -> SentimentIntensityAnalyzer:
    """The English analyzer, loaded once."""
    return SentimentIntensityAnalyzer()


@functools.cache
def _stems() -> dict[str, float]:
    """Valences by stem; the first word of a stem counts."""
    found: dict[str, float] = {}
    for word, valence in VALENCES.items():
        found.setdefault(_stem(word), valence)
    return found


@functools.lru_cache(maxsize=4096)
def _stem(word: str) -> str:
    return str(stemmer("swedish").stemWord(word))
