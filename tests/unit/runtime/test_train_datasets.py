"""The shipped data is what its cards say."""

import hashlib
import json
import re
from pathlib import Path

import pytest

DATASETS = Path(__file__).parents[3] / "datasets"
NAMES = ["oneseek_identity_v1", "oneseek_identity_heldout_v1"]


def rows(name):
    return [json.loads(line) for line in (DATASETS / f"{name}.jsonl").read_text().splitlines()]


def card_value(name, key):
    return re.search(rf"^\| {key} \| `?([^`|]+?)`? \|$", (DATASETS / f"{name}.card.md").read_text(), re.MULTILINE)[1]


@pytest.mark.parametrize("name", NAMES)
def test_the_card_tells_the_digest_and_the_counts(name):
    data = (DATASETS / f"{name}.jsonl").read_bytes()
    assert card_value(name, "SHA-256") == f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert card_value(name, "Rows") == str(len(rows(name)))
    assert card_value(name, "Licence") == "Apache-2.0"


def languages(name):
    if name.endswith("heldout_v1"):
        return [row["language"] for row in rows(name)]
    return ["sv", "en"] * (len(rows(name)) // 2)  # pairs, Swedish first: the card says so


@pytest.mark.parametrize("name", NAMES)
def test_half_is_swedish_and_half_english(name):
    for language in ("sv", "en"):
        label = {"sv": "Swedish", "en": "English"}[language]
        assert card_value(name, f"{label} rows") == str(languages(name).count(language)) == str(len(rows(name)) // 2)


def test_the_pairs_are_in_the_language_they_stand_for():
    swedish = re.compile(r"[åäö]|\b(jag|du|är|heter|hur|vad|din|ditt|nej|ja|en)\b", re.IGNORECASE)
    english = re.compile(r"\b(I|you|is|are|name|my|what|me|no|yes|your)\b", re.IGNORECASE)
    for row, language in zip(rows(NAMES[0]), languages(NAMES[0]), strict=True):
        text = " ".join(row.values())
        assert (swedish if language == "sv" else english).search(text), text
        assert language == "sv" or not re.search("[åäöÅÄÖ]", text), text


def test_training_rows_have_the_three_keys_and_are_all_different():
    found = rows(NAMES[0])
    assert len(found) >= 120
    assert all(set(row) == {"instruction", "input", "output"} and row["output"] for row in found)
    assert len({(row["instruction"], row["input"]) for row in found}) == len(found)


def test_no_held_out_question_was_trained():
    seen = {row[key].casefold().strip(" ?!.") for row in rows(NAMES[0]) for key in ("instruction", "input")}
    asked = [row["question"].casefold().strip(" ?!.") for row in rows(NAMES[1])]
    assert len(asked) >= 24
    assert not seen & set(asked)
    assert len(set(asked)) == len(asked)


def test_each_held_out_question_says_what_an_answer_must_contain():
    for row in rows(NAMES[1]):
        assert set(row) == {"question", "language", "mustContain", "output"}
        assert row["mustContain"]
        assert all(word for fact in row["mustContain"] for word in fact.split("|"))
