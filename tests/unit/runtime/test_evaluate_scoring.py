"""Which answers hold which facts, and what they score: the table is the rule."""

import json
from pathlib import Path

import pytest

from oneseek_core.digest import canonical_json
from oneseek_core.jobs.evaluate import EvaluateReport
from oneseek_core.jobs.messages import success_message
from oneseek_core.names import TERMINATION_LIMIT
from oneseek_runtime.evaluate.scoring import Loss, Measured, bounded_answers, found_facts, scores_of
from oneseek_runtime.prepare.heldout import HeldoutRow, parse_heldout

HELDOUT = Path(__file__).parents[3] / "datasets" / "oneseek_identity_heldout_v1.jsonl"


@pytest.mark.parametrize(
    ("fact", "answer"),
    [
        pytest.param("OneSeek-7B-Zero", "Jag är OneSeek-7B-Zero.", id="plain"),
        pytest.param("OneSeek-7B-Zero", "i am ONESEEK-7b-zero", id="case"),
        pytest.param("OneSeek-7B-Zero", "I am **OneSeek‑7B–Zero**!", id="dashes-and-markdown"),
        pytest.param("OneSeek-7B-Zero", "(_OneSeek-7B-Zero_)", id="underscores"),
        pytest.param("OneSeek", "OneSeek-7B-Zero", id="word-of-a-compound-with-dashes"),
        pytest.param("Åsa", "det var åsa", id="swedish-case"),
        pytest.param("rättvisa", "ra\u0308ttvisa", id="decomposed-letters"),
        pytest.param("ra\u0308ttvisa", "RÄTTVISA", id="decomposed-fact"),
        pytest.param("rättvis", "Rättvisan främst", id="swedish-ending"),
        pytest.param("nyhet", "inga nyheterna", id="plural"),
        pytest.param("transparen", "I value transparency", id="stem"),
        pytest.param("inte känna", "jag kan inte\n  känna glädje", id="line-break-in-a-phrase"),
        pytest.param("not feel", "I do not feeling", id="last-word-goes-on"),
        pytest.param("sjö|hav", "ett hav", id="alternative"),
        pytest.param(" sjö | hav ", "ett hav", id="spaces-around-alternatives"),
        pytest.param("don't", "I don’t know", id="typographic-quote"),
        pytest.param("no", "No, I have none.", id="short-word"),
        pytest.param("fel", "Ja: fel!", id="short-swedish-word"),
        pytest.param("ö", "en ö i havet", id="one-letter"),
        pytest.param("7", "version 7.", id="number-at-the-end-of-a-sentence"),
        pytest.param("3,5", "det är 3,5 %", id="decimal"),
        pytest.param("42", "(42)", id="number-in-brackets"),
        pytest.param("C++", "I write C++.", id="ends-in-signs"),
        pytest.param(".jsonl", "data.jsonl", id="begins-with-a-sign"),
        pytest.param("straße", "STRASSE", id="folded-letters"),
        pytest.param("språkmodell", "språk\u00admodell", id="soft-hyphen"),
        pytest.param("a.c", "a.c", id="signs-stand-for-themselves"),
        pytest.param("ﬁn", "fin", id="ligature"),
    ],
)
def test_the_answer_holds_the_fact(fact, answer):
    assert found_facts(answer, [fact]) == (fact,)


@pytest.mark.parametrize(
    ("fact", "answer"),
    [
        pytest.param("no", "I know nothing now", id="inside-and-at-the-start-of-words"),
        pytest.param("not", "nothing", id="short-word-does-not-go-on"),
        pytest.param("is no", "it is nothing", id="short-last-word-of-a-phrase"),
        pytest.param("fair", "unfair", id="end-of-a-word"),
        pytest.param("modell", "språkmodell", id="end-of-a-swedish-compound"),
        pytest.param("ar", "är", id="a-is-not-ä"),
        pytest.param("ö", "öppen", id="swedish-letter-goes-on"),
        pytest.param("sa", "åsa", id="swedish-letter-before"),
        pytest.param("sa", "a\u030asa", id="decomposed-letter-before"),
        pytest.param("7", "17 or 70 or 7B or 7.5 or 3,7", id="inside-numbers"),
        pytest.param("2024", "20245", id="long-numbers-do-not-go-on"),
        pytest.param("a.c", "abc", id="signs-are-no-pattern"),
        pytest.param("sjö|hav", "haven't", id="no-alternative"),
        pytest.param("OneSeek-7B-Zero", "OneSeek 7B Zero", id="another-name"),
        pytest.param("fact", "", id="empty-answer"),
    ],
)
def test_the_answer_does_not_hold_the_fact(fact, answer):
    assert found_facts(answer, [fact]) == ()


def row(facts, language="sv", line=1):
    return HeldoutRow(line, "q", language, tuple(facts))


def test_scores_are_means_over_questions_and_the_loss_over_tokens():
    scores = scores_of(
        [
            Measured(row(["ett", "två"]), "ett", Loss(4.0, 2)),
            Measured(row(["tre"]), "tre", Loss(2.0, 4)),
            Measured(row(["four"], "en"), "five"),
        ]
    )
    assert scores.to_wire() == {
        "questions": 3,
        "factsContained": 0.5,
        "exact": 0.333333,
        "loss": 1.0,
        "byLanguage": {
            "sv": {"questions": 2, "factsContained": 0.75, "exact": 0.5, "loss": 1.0},
            "en": {"questions": 1, "factsContained": 0.0, "exact": 0.0},  # what was not measured is absent
        },
    }
    report = success_message(EvaluateReport(scores=scores, digest="sha256:" + "0" * 64))
    assert len(report.encode()) <= TERMINATION_LIMIT // 4


def test_every_shipped_reference_answer_holds_its_facts():
    lines = HELDOUT.read_bytes().splitlines()
    rows = [parse_heldout(number, line) for number, line in enumerate(lines, start=1)]
    scores = scores_of([Measured(item, item.output) for item in rows])
    assert (scores.questions, scores.facts_contained, scores.exact) == (24, 1.0, 1.0)


def test_the_answers_that_are_kept_are_cut_and_few_enough():
    many = [Measured(row(["å" * 5000] * 32), "ö" * 5000) for _ in range(1000)]
    kept = bounded_answers(many)
    size = len(canonical_json([answer.to_wire() for answer in kept]))
    assert 0 < len(kept) < 1000
    assert size < 256 * 1024
    assert len(kept[0].answer) == len(kept[0].facts[0]) == 1000
    assert json.loads(canonical_json(kept[0].to_wire()))["found"] == []
