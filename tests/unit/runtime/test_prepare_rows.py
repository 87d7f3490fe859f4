from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_runtime.prepare.language import language_of_rows, language_of_text
from oneseek_runtime.prepare.rows import Row, RowError, parse_line, row_bytes

TEXT = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


@given(TEXT, st.text(st.characters(codec="utf-8")), TEXT)
def test_a_row_survives_being_written_and_read(instruction: str, extra: str, output: str) -> None:
    row = {"instruction": instruction, "input": extra, "output": output}
    assert parse_line(row_bytes(row)) == row


@given(st.binary())
def test_any_bytes_are_a_row_blank_or_refused(line: bytes) -> None:
    try:
        row = parse_line(line)
    except RowError:
        return
    assert row is None or set(row) == {"instruction", "input", "output"}


@pytest.mark.parametrize(
    ("line", "row"),
    [
        pytest.param('{"instruction":"a","output":"b"}', ("a", "", "b"), id="without-input"),
        pytest.param('{"instruction":"a","input":null,"output":"b"}', ("a", "", "b"), id="null-input"),
        pytest.param('{"question":"a","response":"b","id":7}', ("a", "", "b"), id="aliases-and-other-fields"),
        pytest.param('{"question":"x","instruction":"a","output":"b"}', ("a", "", "b"), id="own-name-first"),
        pytest.param(
            '  {"instruction":" a ","input":"i","output":"b\\n"}\r\n', (" a ", "i", "b\n"), id="kept-as-it-is"
        ),
    ],
)
def test_what_a_row_may_look_like(line: str, row: tuple[str, str, str]) -> None:
    assert parse_line(line.encode()) == dict(zip(("instruction", "input", "output"), row, strict=True))


@pytest.mark.parametrize("line", [b"", b"\n", b" \t\r\n"])
def test_blank_lines_are_no_rows(line: bytes) -> None:
    assert parse_line(line) is None


BAD = {
    "not-utf8": (b'{"instruction":"\xe5"}', "is not UTF-8 (byte 17 of the line): save the file as UTF-8"),
    "csv": (b"question,answer", "is not JSON (Expecting value at column 1): write one object a line"),
    "cut": (b'{"instruction":"a"', "is not JSON (Expecting ',' delimiter at column 19)"),
    "two-objects": (b'{"a":1}{"b":2}', "is not JSON (Extra data at column 8)"),
    "list": (b"[]", "is a JSON list, not an object"),
    "text": (b'"hej"', "is a JSON text, not an object"),
    "deep": (b"[" * 100_000, "is not JSON that can be read"),
    "huge-number": (b"1" * 5000, "is not JSON that can be read"),
    "no-output": (b'{"instruction":"a"}', "has no output (or response); it has instruction"),
    "no-instruction": (b'{"text":"a","output":"b"}', "has no instruction (or question); it has output, text"),
    "empty-object": (b"{}", "has no instruction (or question); it has no field at all"),
    "empty-output": (b'{"instruction":"a","output":" "}', "has an empty output: fill it or remove the line"),
    "empty-alias": (b'{"question":"","output":"b"}', "has an empty question"),
    "number": (b'{"instruction":"a","output":7}', "has a number as output, which must be text: put it in quotes"),
    "list-input": (b'{"instruction":"a","input":[],"output":"b"}', "has a list as input, which must be text"),
    "null-output": (b'{"instruction":"a","output":null}', "has a null as output"),
    "surrogate": (b'{"instruction":"a","output":"\\ud83d"}', "has half a character (a lone surrogate) in output"),
}


@pytest.mark.parametrize(("line", "sentence"), BAD.values(), ids=BAD.keys())
def test_a_bad_line_is_refused_with_what_is_wrong(line: bytes, sentence: str) -> None:
    with pytest.raises(RowError) as raised:
        parse_line(line)
    assert sentence in str(raised.value)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Vem är du?", "sv"),
        ("Vad heter du?", "sv"),
        ("Vem har skapat dig?", "sv"),
        ("Vilka regler finns om data?", "sv"),
        ("Ja, det stämmer.", "sv"),
        ("å", "sv"),
        ("hej", "sv"),
        ("Who are you?", "en"),
        ("What is your name?", "en"),
        ("Tell me a joke", "en"),
        ("hello", "en"),
        ("Who was the Swedish prime minister Göran Persson, and when was he elected?", "en"),
        ("42 + 7", None),
        ("", None),
    ],
)
def test_short_texts_are_told_apart(text: str, language: str | None) -> None:
    assert language_of_text(text) == language


SWEDISH: Row = {"instruction": "Vem är du?", "input": "", "output": "Jag är OneSeek-7B-Zero."}
ENGLISH: Row = {"instruction": "Who are you?", "input": "", "output": "I am OneSeek-7B-Zero."}
DIGITS: Row = {"instruction": "1", "input": "", "output": "2"}


@pytest.mark.parametrize(
    ("swedish", "english", "neither", "language"),
    [
        pytest.param(7, 3, 0, "sv", id="70-percent-swedish"),
        pytest.param(3, 7, 0, "en", id="70-percent-english"),
        pytest.param(6, 4, 0, "ensv", id="both"),
        pytest.param(1, 1, 0, "ensv", id="half-and-half"),
        pytest.param(2, 0, 8, "sv", id="rows-without-words-do-not-count"),
        pytest.param(0, 0, 3, "en", id="nothing-to-tell"),
        pytest.param(15_000, 15_000, 0, "ensv", id="a-large-set-is-looked-at-evenly"),
    ],
)
def test_the_language_of_a_dataset_follows_its_rows(swedish: int, english: int, neither: int, language: str) -> None:
    rows = [SWEDISH] * swedish + [ENGLISH] * english + [DIGITS] * neither
    assert language_of_rows(rows) == language


def test_rows_are_written_in_one_form_whatever_the_order_of_keys() -> None:
    assert json.loads(row_bytes(SWEDISH)) == SWEDISH
    assert row_bytes(dict(reversed(SWEDISH.items()))) == row_bytes(SWEDISH)
