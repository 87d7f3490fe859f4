"""What is measured of answers, and the contract's formulas over it, each with an example worked by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from oneseek_runtime.sidecar.api.multi.comparison import compare
from oneseek_runtime.sidecar.api.multi.schemas import compared
from oneseek_runtime.sidecar.api.multi.sentiment import compound, label_of
from oneseek_runtime.sidecar.api.multi.text_metrics import TextMetrics, read
from oneseek_runtime.sidecar.language import language_of

HELD_OUT = Path(__file__).resolve().parents[3] / "datasets" / "oneseek_identity_heldout_v1.jsonl"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hej", "sv"),
        ("AI?", "en"),
        ("", "en"),
        ("1234 !!", "en"),
        ("Vem är du?", "sv"),
        ("vem ar du", "sv"),
        ("kan du hjälpa mig", "sv"),
        ("Who are you?", "en"),
        ("hello", "en"),
        ("Tell me about the history of Malmö and its people", "en"),
        ("Räksmörgås", "sv"),
        ("Demokrati bygger på att alla får rösta", "sv"),
        ("Democracy is the rule of the people", "en"),
    ],
)
def test_the_language_is_told_down_to_one_word(text: str, language: str) -> None:
    assert language_of(text) == language


def test_the_language_of_every_held_out_question_and_answer_is_told() -> None:
    rows = [json.loads(line) for line in HELD_OUT.read_text().splitlines()]
    wrong = [row[key] for row in rows for key in ("question", "output") if language_of(row[key]) != row["language"]]
    assert (len(rows), wrong) == (24, [])


@pytest.mark.parametrize(("score", "label"), [(0.05, "positive"), (0.049, "neutral"), (-0.05, "negative")])
def test_sentiment_has_vaders_bounds(score: float, label: str) -> None:
    assert label_of(score) == label


def test_swedish_sentiment_is_the_normed_sum_of_its_words() -> None:
    def normed(total: float) -> float:
        return round(total / math.sqrt(total**2 + 15), 4)

    assert compound("Svaret är bra.", "sv") == normed(1.9)
    assert compound("Svaret är inte bra.", "sv") == normed(-0.74 * 1.9)
    assert compound("Svaret är väldigt bra.", "sv") == normed(1.9 + 0.293)
    assert compound("Ett lite dåligt svar.", "sv") == normed(-1.9 + 0.293), "and inflected: dålig"
    assert compound("Inte. Svaret är bra.", "sv") == normed(1.9), "a negation ends with its sentence"
    assert compound("Sverige har kommuner.", "sv") == 0


def test_english_sentiment_is_vaders() -> None:
    assert compound("VADER is smart, handsome, and funny.", "en") == 0.8316, "the example of its own page"


@pytest.mark.parametrize(
    ("text", "tone"),
    [
        ("Det måste alltid vara så, kanske.", "assertive"),
        ("It might perhaps be so.", "cautious"),
        ("Jag heter OneSeek och hjälper dig.", "personal"),
        ("Sverige ligger i Europa.", "neutral"),
        ("Kanske. Jag vet.", "cautious"),
        ("", "neutral"),
    ],
)
def test_the_tone_is_the_kind_of_words_that_prevails(text: str, tone: str) -> None:
    assert read("m", text).tone == tone


def test_bias_is_biased_words_per_hundred_and_short_answers_count_as_fifty() -> None:
    assert read("m", "This is always so.").bias == 2.0
    long = "Det är alltid så. " + "Kommunen har en budget för skolan. " * 16  # 4 + 96 words
    assert read("m", long).bias == 1.0
    worst = read("m", "Alla ljuger alltid, uppenbarligen. " * 20)
    assert (worst.bias, worst.biases) == (10.0, ("overstatement", "loaded"))


def test_the_name_of_a_group_is_no_bias_and_what_generalises_it_is() -> None:
    assert read("m", "Kvinnor fick rösträtt 1921 och män tidigare.").biases == ()
    assert read("m", "Typiska män säger så.").biases == ("generalisation",)
    assert read("m", "Det är bra men alla vet det.").biases == ("overstatement",), "men is a conjunction here"


def test_fairness_is_what_bias_and_praise_leave() -> None:
    plain = read("m", "Sverige har 290 kommuner.")
    assert plain.fairness == 1.0
    loud = read("m", "Alla vet att det är bra.")
    assert loud.fairness == round(1 - 0.5 * 0.2 - 0.5 * loud.compound, 4)


PLAIN = read("a", "Sverige har 290 kommuner.")


def of(**changes: object) -> TextMetrics:
    return replace(PLAIN, **changes)  # type: ignore[arg-type]


def test_consensus_is_the_contracts_formula() -> None:
    # Sentiments 2 of 3, tones 1 of 3, bias 0, 0, 3: variance 2.
    found = compare(
        [
            of(sentiment="positive", tone="personal", bias=0.0),
            of(sentiment="positive", tone="neutral", bias=0.0),
            of(sentiment="neutral", tone="cautious", bias=3.0),
        ]
    )
    assert found.metrics == {"sentimentAgreement": 0.6667, "toneAgreement": 0.3333, "biasVariance": 2.0}
    assert found.consensus == round(0.4 * 2 / 3 + 0.3 / 3 + 0.3 * 0.8, 4) == 0.6067
    assert found.consensus_level == "medium"
    assert (found.bias, found.bias_level) == (1.0, "low")
    assert (found.fairness, found.fairness_level) == (1.0, "excellent")
    assert found.confidence == round(0.6 * 0.6067 + 0.4, 4)


def test_a_bias_variance_of_ten_or_more_takes_its_whole_share() -> None:
    found = compare([of(bias=0.0), of(bias=10.0)])
    assert found.metrics is not None
    assert found.metrics["biasVariance"] == 25.0
    assert (found.consensus, found.consensus_level) == (0.7, "medium")
    assert (found.bias, found.bias_level) == (5.0, "medium")


def test_full_agreement_is_confident_to_ninety_five_percent_and_no_more() -> None:
    found = compare([of(), of()])
    assert (found.consensus, found.consensus_level, found.confidence) == (1.0, "high", 0.95)


@pytest.mark.parametrize(
    ("bias", "level"), [(0.0, "low"), (2.9999, "low"), (3.0, "medium"), (5.9999, "medium"), (6.0, "high")]
)
def test_bias_levels(bias: float, level: str) -> None:
    assert compare([of(bias=bias)]).bias_level == level


@pytest.mark.parametrize(
    ("fairness", "level"), [(0.8, "excellent"), (0.7, "good"), (0.6, "fair"), (0.5999, "poor"), (0.7999, "good")]
)
def test_fairness_levels(fairness: float, level: str) -> None:
    assert compare([of(fairness=fairness)]).fairness_level == level


def test_one_answer_is_complete_and_has_no_metrics() -> None:
    body = compared(compare([PLAIN]))
    assert body["consensus"] == {"score": 1.0, "level": "complete"}
    assert body["bias"] == {"aggregatedScore": 0.0, "level": "low", "types": []}
    assert body["metaSummary"]["recommendation"].startswith("Bara en modell svarade")


def test_answers_without_a_word_are_no_data_and_earn_no_confidence() -> None:
    found = compare([read("a", ""), read("b", "42")])
    assert compared(found)["bias"] == {"aggregatedScore": 0.0, "level": "none"}
    assert (found.fairness, found.fairness_level) == (0.0, "poor")
    assert found.confidence == 0.6


def test_key_themes_are_the_ten_most_frequent_words_of_more_than_four_letters() -> None:
    one = read("a", "Skolan och skolan, kommun, vård. " + " ".join(f"ämnesord{chr(97 + n)}" for n in range(12)))
    two = read("b", "Kommun kommun SKOLAN?")
    found = compare([one, two])
    assert found.themes[:3] == ("skolan", "kommun", "ämnesorda")
    assert len(found.themes) == 10
    assert "vård" not in found.themes


def test_the_summary_repeats_the_numbers_and_shows_each_model() -> None:
    body = compared(compare([read("a", "Det är bra."), read("b", "Det är bra.")]))
    summary = body["metaSummary"]
    assert summary["consensusScore"] == body["consensus"]["score"]
    assert summary["fairnessScore"] == body["fairness"]["score"]
    assert summary["modelPerspectives"][1] == {
        "model": "b",
        "length": 11,
        "sentiment": "positive",
        "tone": "neutral",
        "biasScore": 0.0,
    }


def test_the_same_texts_give_the_same_numbers() -> None:
    texts = ["Vi måste alltid hjälpa alla!", "It is perhaps a terrible idea."]
    assert compare([read("m", t) for t in texts]) == compare([read("m", t) for t in texts])


def test_an_answer_that_shows_no_language_is_taken_for_the_questions() -> None:
    assert read("m", "Stockholm", "sv").language == "sv"
    assert read("m", "Stockholm").language == "en"
    assert read("m", "It is the capital.", "sv").language == "en"
