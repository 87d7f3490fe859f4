from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_runtime.prepare.language import language_of_rows, language_of_text
from oneseek_runtime.prepare.rows import Row, RowError, parse_line, row_bytes
from oneseek_runtime.prompt import user_message

TEXT = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)


def row(instruction: str, output: str, extra: str = "") -> Row:
    return user_message(instruction, extra), {"role": "assistant", "content": output}


@given(TEXT, st.text(st.characters(codec="utf-8")), TEXT)
def test_a_row_survives_being_written_and_read(instruction: str, extra: str, output: str) -> None:
    fields = {"instruction": instruction, "input": extra, "output": f"{output} ö"}  # a letter alone: no double encoding
    output = fields["output"]
    found = parse_line(json.dumps(fields).encode())
    assert found == row(instruction, output, extra)
    assert parse_line(row_bytes(found)) == found


@given(st.binary())
def test_any_bytes_are_a_row_blank_or_refused(line: bytes) -> None:
    try:
        row = parse_line(line)
    except RowError:
        return
    assert row is None or [turn["role"] for turn in row][-2:] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param('{"instruction":"a","output":"b"}', ("a", "", "b"), id="without-input"),
        pytest.param('{"instruction":"a","input":null,"output":"b"}', ("a", "", "b"), id="null-input"),
        pytest.param('{"question":"a","response":"b","id":7}', ("a", "", "b"), id="aliases-and-other-fields"),
        pytest.param('{"question":"a","instruction":"a","output":"b"}', ("a", "", "b"), id="the-same-twice"),
        pytest.param('{"prompt":"a","completion":"b","score":NaN}', ("a", "", "b"), id="prompt-and-completion"),
        pytest.param('{"question":"a","context":"i","answer":"b"}', ("a", "i", "b"), id="context-is-input"),
        pytest.param('{"instruction":null,"question":"a","output":"","response":"b"}', ("a", "", "b"), id="nulls"),
        pytest.param('{"prompt":"a","response":"b","source":"s","label":3}', ("a", "", "b"), id="about-the-row"),
        pytest.param(
            '  {"instruction":" a ","input":"i","output":"b\\n"}\r\n', (" a ", "i", "b\n"), id="kept-as-it-is"
        ),
    ],
)
def test_what_a_row_may_look_like(line: str, expected: tuple[str, str, str]) -> None:
    instruction, extra, output = expected
    assert parse_line(line.encode()) == row(instruction, output, extra)


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
    "null": (b'{"instruction":null,"output":"b"}', "has a null as instruction, which must be text: fill it or remove"),
    "list-output": (b'{"instruction":"a","output":["b"]}', "which must be text: write one text; a conversation goes"),
    "object-output": (
        b'{"instruction":"a","output":{"t":"b"}}',
        "has a object as output, which must be text: write the",
    ),
    "nan": (b'{"instruction":"a","output":NaN}', "has a NaN as output, which must be text: fill it or remove the line"),
    "true": (b'{"instruction":"a","output":true}', "has a boolean as output, which must be text: put it in quotes"),
    "field": (
        b'{"instruction":"a","output":"b","rationale":"c"}',
        "holds text in the field rationale, which would not",
    ),
    "deep-field": (
        b'{"instruction":"a","output":"b","x":[{"y":"c"}]}',
        "holds text in the field x, which would not be",
    ),
    "both": (b'{"instruction":"a","question":"x","output":"b"}', "has question beside another field of that meaning"),
    "both-inputs": (b'{"instruction":"a","input":"i","context":"c","output":"b"}', "has context beside another field"),
    "chosen": (b'{"prompt":"a","chosen":"b","rejected":"c"}', "has no output (or response); it has chosen, prompt"),
    "twice": (b'{"instruction":"a","output":"b","output":"c"}', "names the field output twice: keep one of the two"),
    "history": (b'{"instruction":"a","output":"b","history":["x"]}', "has a history that is no list of pairs: write"),
    "history-texts": (b'{"instruction":"a","output":"b","history":[["x"]]}', "has a history that is no list of pairs"),
    "mojibake": ('{"instruction":"Vem Ã¤r du?","output":"x"}'.encode(), "read as Windows-1252 and saved again (it has"),
    "cr": (b'{"instruction":"a","output":"b"}\r{"instruction":"a","output":"b"}', "line ends LF or CRLF"),
    "second-mark": (b'\xef\xbb\xbf{"instruction":"a","output":"b"}', "two files were put together): remove the mark"),
    "python": (b"{'instruction': 'a', 'output': 'b'}", "but Python's notation: write the rows with json.dumps"),
    "comma": (b'{"instruction":"a","output":"b"},', "(a comma behind the object): write no commas between the lines"),
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


SWEDISH = row("Vem är du?", "Jag är OneSeek-7B-Zero.")
ENGLISH = row("Who are you?", "I am OneSeek-7B-Zero.")
DIGITS = row("1", "2")


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
    assert json.loads(row_bytes(SWEDISH)) == {"messages": list(SWEDISH)}
    assert row_bytes(tuple(dict(reversed(turn.items())) for turn in SWEDISH)) == row_bytes(SWEDISH)
