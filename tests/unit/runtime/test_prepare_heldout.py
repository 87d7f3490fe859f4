"""The held-out set in prepare: what a row is, where it goes, and that training never gets to see it."""

import json
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode
from oneseek_runtime.prepare import job
from oneseek_runtime.prepare.heldout import HeldoutRow, parse_heldout
from oneseek_runtime.prepare.rows import RowError
from support.artifacts import RUN, SPEC_DIGEST, environment

DATASETS = Path(__file__).parents[3] / "datasets"
TRAINED = '{"instruction":"Vem är du?","input":"Svara kort.","output":"Jag är OneSeek."}\n'
HELD_OUT = '{"question":"Vad heter du?","language":"sv","mustContain":["OneSeek"],"output":"OneSeek."}\n'


def line(**changes):
    value = {"question": "q?", "language": "sv", "mustContain": ["a"]} | changes
    return json.dumps({key: item for key, item in value.items() if item is not ...}).encode()


def test_a_row_is_read():
    row = parse_heldout(7, line(question="Är du?", mustContain=["a|b", "c"], output="a c", source="by hand"))
    assert row == HeldoutRow(7, "Är du?", "sv", ("a|b", "c"), "a c")
    assert parse_heldout(1, line(output=None)).output is None
    assert parse_heldout(1, b" \r\n") is None


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"\xff", "not UTF-8", id="latin"),
        pytest.param(b"{", "is not JSON", id="json"),
        pytest.param(b"[]", '"mustContain": ["..."]', id="list"),
        pytest.param(line(question=...), "has no question; it has language, mustContain: a held-out row needs", id="q"),
        pytest.param(line(question=" "), "has an empty question", id="empty"),
        pytest.param(line(question=3), "has a number as question, which must be text", id="number"),
        pytest.param(line(question="\ud800"), "half a character", id="surrogate"),
        pytest.param(line(language=...), "has no language: write sv or en", id="no-language"),
        pytest.param(line(language="de"), "has the language 'de': write sv or en", id="german"),
        pytest.param(line(language=["sv"]), "has the language ['sv']: write sv or en", id="languages"),
        pytest.param(line(mustContain=...), "has no mustContain; it has language, question", id="no-facts"),
        pytest.param(line(mustContain="a"), "no list of texts", id="text"),
        pytest.param(line(mustContain=["a", 1]), "no list of texts", id="numbers"),
        pytest.param(line(mustContain=[]), "has 0 facts in mustContain: name at least one", id="none"),
        pytest.param(line(mustContain=["a"] * 33), "at most 32", id="many"),
        pytest.param(line(mustContain=["a|"]), "without a letter or digit in mustContain ('a|')", id="empty-way"),
        pytest.param(line(mustContain=["?"]), "without a letter or digit", id="sign"),
        pytest.param(line(mustContain=["\udc00"]), "half a character", id="surrogate-fact"),
        pytest.param(line(output=[]), "has a list as output", id="output"),
        pytest.param(line(output=""), "has an empty output", id="empty-output"),
    ],
)
def test_a_line_that_is_no_row_is_refused(data, sentence):
    with pytest.raises(RowError) as raised:
        parse_heldout(1, data)
    assert sentence in str(raised.value)


@pytest.fixture
def claim(tmp_path):
    for name in ("basemodeller", "oneseek-certified", ".staging"):
        (tmp_path / "claim" / name).mkdir(parents=True)
    (tmp_path / "claim" / "train.jsonl").write_text(TRAINED)
    return tmp_path / "claim"


def source(name, path, **changes):
    return {"dataset": {"name": name, "source": {"path": path}} | changes}


def prepare(claim, data=None, **changes):
    if data is not None:
        (claim / "heldout.jsonl").write_bytes(data if isinstance(data, bytes) else data.encode())
        changes = {"heldout": source("identity_heldout", "heldout.jsonl")} | changes
    return job.run(
        environment(
            {
                "run": RUN, "specDigest": SPEC_DIGEST, "modelsRoot": str(claim), "language": "auto",
                "datasets": [source("identity", "train.jsonl")],
            }
            | changes
        )
    )  # fmt: skip


def staging(claim):
    return claim / ".staging" / RUN["uid"]


def refusal(claim, data=None, reason=names.DATASET_INVALID, code=ExitCode.BAD_INPUT, **changes):
    with pytest.raises(JobError) as raised:
        prepare(claim, data, **changes)
    assert (raised.value.reason, raised.value.exit_code) == (reason, code)
    assert not (staging(claim) / "data" / "train.jsonl").exists()
    assert not (staging(claim) / "evaluation" / "heldout.jsonl").exists()
    return raised.value.message


def test_the_set_goes_byte_for_byte_to_a_folder_of_its_own_and_into_the_report(claim):
    data = b"\xef\xbb\xbf" + HELD_OUT.replace("\n", "\r\n").encode() + b"\n" + HELD_OUT.replace("heter", "är").encode()
    report = prepare(claim, data)
    assert report.heldout.to_wire() == {"name": "identity_heldout", "digest": digest_bytes(data), "rows": 2}
    assert [dataset.name for dataset in report.datasets] == ["identity"]
    assert report.tags == ["Identity"]
    assert (report.samples, report.language) == (1, "sv")
    assert [path.name for path in (staging(claim) / "evaluation").iterdir()] == ["heldout.jsonl"]
    assert (staging(claim) / "evaluation" / "heldout.jsonl").read_bytes() == data
    for path in (staging(claim) / "data").iterdir():  # what train pods see
        assert "Vad heter du" not in path.read_text()


def test_preparing_again_replaces_it_and_without_one_nothing_stays(claim):
    first = prepare(claim, HELD_OUT)
    assert prepare(claim, HELD_OUT) == first
    (staging(claim) / "evaluation" / "stray").write_text("x")
    (staging(claim) / "scores" / "scores.json").write_text("of what was trained on other data")
    assert prepare(claim, HELD_OUT * 2).heldout.rows == 2
    assert [path.name for path in (staging(claim) / "evaluation").iterdir()] == ["heldout.jsonl"]
    assert list((staging(claim) / "scores").iterdir()) == []
    assert prepare(claim).heldout is None
    assert list((staging(claim) / "evaluation").iterdir()) == []


@pytest.mark.parametrize(
    "question",
    [
        pytest.param("Vem är du?", id="same"),
        pytest.param("  vem ÄR   du", id="case-spaces-and-mark"),
        pytest.param("Vem a\u0308r du?", id="decomposed"),
        pytest.param("Svara kort!", id="an-input"),
    ],
)
def test_a_question_that_is_trained_is_refused_by_line(claim, question):
    trained = HELD_OUT.replace("Vad heter du?", question)
    message = refusal(claim, HELD_OUT + "\n" + trained + HELD_OUT)
    assert message.startswith("dataset identity_heldout, line 3: its question also stands in the training data")
    assert "remove it from one of the two" in message


def test_all_questions_that_are_trained_are_named(claim):
    (claim / "train.jsonl").write_text(TRAINED + '{"instruction":"Vad heter du?","output":"OneSeek."}\n')
    message = refusal(claim, HELD_OUT + HELD_OUT.replace("Vad heter", "Vem är"))
    assert "line 1: " in message
    assert "(trained too: line 2; 2 in all)" in message


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(HELD_OUT + "{}\n", "dataset identity_heldout, line 2: it has no question", id="bad-line"),
        pytest.param("\n", "dataset identity_heldout holds no rows: give it at least one line of JSON with question", id="empty"),
        pytest.param(HELD_OUT * 1001, "holds 1001 held-out questions; 1000 is the most", id="too-many"),
        pytest.param(TRAINED, "line 1: it has no question; it has input, instruction, output", id="training-data"),
    ],
)  # fmt: skip
def test_a_set_that_cannot_be_used_is_refused(claim, data, sentence):
    assert sentence in refusal(claim, data)


@pytest.mark.parametrize(
    ("heldout", "reason", "code", "sentence"),
    [
        pytest.param(
            source("held", "gone"),
            names.DATASET_NOT_FOUND,
            ExitCode.BAD_INPUT,
            "dataset held: path gone on the claim does not exist",
            id="missing",
        ),
        pytest.param(
            source("held", "train.jsonl", digest=SPEC_DIGEST),
            names.DATASET_DIGEST_DIFFERS,
            ExitCode.DIGEST_DIFFERS,
            "dataset held has the digest",
            id="pinned",
        ),
    ],
)
def test_it_is_fetched_as_any_dataset_is(claim, heldout, reason, code, sentence):
    assert sentence in refusal(claim, reason=reason, code=code, heldout=heldout)


def test_the_shipped_sets_fit_together(claim):
    (claim / "train.jsonl").write_bytes((DATASETS / "oneseek_identity_v1.jsonl").read_bytes())
    report = prepare(claim, (DATASETS / "oneseek_identity_heldout_v1.jsonl").read_bytes())
    assert report.heldout.rows == 24
