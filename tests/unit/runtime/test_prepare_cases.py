"""Files as people have them: read whole, or refused with the sentence that helps. Inputs in tests/cases/data."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_runtime.prepare import files, job
from support.artifacts import RUN, SPEC_DIGEST, environment

CASES = Path(__file__).parents[2] / "cases" / "data"
ROWS = '{"instruction":"Vem är du?","output":"Jag är OneSeek."}\n{"instruction":"a","output":"b"}\n'
Prepare = Callable[..., tuple[PrepareReport, list[list[tuple[str, str]]]]]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """Prepares a file; the report, and each row's turns."""
    claim = tmp_path / "claim"
    for name in ("basemodeller", "oneseek-certified", ".staging"):
        (claim / name).mkdir(parents=True)

    def run(data: bytes, **changes: object) -> tuple[PrepareReport, list[list[tuple[str, str]]]]:
        (claim / "file").write_bytes(data)
        request = {
            "run": RUN,
            "specDigest": SPEC_DIGEST,
            "modelsRoot": str(claim),
            "datasets": [{"dataset": {"name": "d", "source": {"path": "file"}}}],
            "language": "auto",
        }
        report = job.run(environment(request | changes))
        train = (claim / ".staging" / RUN["uid"] / "data" / "train.jsonl").read_bytes()
        rows = [json.loads(line)["messages"] for line in train.split(b"\n")[:-1]]
        return report, [[(turn["role"], turn["content"]) for turn in row] for row in rows]

    return run


def asked(question: str, answer: str) -> list[tuple[str, str]]:
    return [("user", question), ("assistant", answer)]


PAIR = [asked("Who are you?", "I am OneSeek."), asked("Vem är du?", "Jag är OneSeek.")]
READ = {
    "01-dolly.jsonl": [
        asked("Which day does the market open?\n\nThe market of Visby opens on Thursdays at nine.", "On Thursdays."),
        asked("Name a colour.", "Blue."),
    ],
    "02-orca.jsonl": [[("system", "You answer in Swedish only."), *asked("Who are you?", "Jag är OneSeek.")]],
    "02-history.jsonl": [
        [
            ("system", "Be short."),
            *asked("Name the first.", "Number one."),
            *asked("And the second one?", "Number two."),
        ]
    ],
    "03-union-null.jsonl": PAIR,
    "05-utf8-bom-crlf.jsonl": [asked("Vem är du?", "Jag är OneSeek.")] * 2,
    "06-u2028.jsonl": [asked("Line\u2028separator\u2029and\u0085nel", "kept\u2028whole")],
    "07-alpaca-oneline.json": PAIR,
    "07-alpaca-pretty.json": PAIR,
    "07-pretty-objects.jsonl": PAIR,
    "07-messages.jsonl": [[("system", "Be kind."), *PAIR[0]]],
    "07-prompt-completion.jsonl": PAIR[:1],
    "07-sharegpt.jsonl": PAIR[:1],
    "07-csv.csv": PAIR[:1],
    "08-data.jsonl.gz": PAIR[1:],
    "10-blank-lines.jsonl": [asked("a", "b")],
    "10-no-final-newline.jsonl": [asked("a", "b")],
    "10-nul.jsonl": [asked("a\0b", "b")],
}


@pytest.mark.parametrize("name", READ)
def test_a_file_of_this_form_is_read_whole(prepare: Prepare, name: str) -> None:
    data = (CASES / name).read_bytes()
    report, rows = prepare(data)
    assert rows == READ[name]
    assert (report.samples, report.left_out) == (len(rows), [])
    assert report.datasets[0].digest == digest_bytes(data), "what is pinned is the file as it is kept"


REFUSED = {
    "05-utf16le-bom.jsonl": ["dataset d is UTF-16", "save the file as UTF-8"],
    "05-utf16le-nobom-ascii.jsonl": ["dataset d is UTF-16", "save the file as UTF-8"],
    "05-cp1252.jsonl": ["line 1: it is not UTF-8 (byte 21 of the line): save the file as UTF-8"],
    "05-bom-twice.jsonl": [
        "line 2: it is not JSON (a byte order mark",
        "two files were put together): remove the mark",
    ],
    "05-cr-only.jsonl": ["line 1: it is not JSON (a carriage return", "save the file with line ends LF or CRLF"],
    "05-mojibake.jsonl": [
        "line 1: it looks like UTF-8 that was read as Windows-1252 and saved again (it has 'Ã¤' for 'ä')"
    ],
    "07-python-repr.jsonl": ["line 1: it is not JSON but Python's notation: write the rows with json.dumps"],
    "07-trailing-comma.jsonl": ["line 1: it is not JSON (a comma behind the object)", "make the file one JSON array"],
    "08-data.parquet": [
        "dataset d is a Parquet file, which is not read: write it as JSON lines",
        "pandas.read_parquet",
    ],
    "09-list-output.jsonl": ["line 1: it has a list as output, which must be text: write one text"],
    "09-nan.jsonl": ["line 1: it has a NaN as output, which must be text: fill it or remove the line"],
    "09-null-output.jsonl": ["line 1: it has a null as output, which must be text: fill it or remove the line"],
    "09-number-output.jsonl": ["line 1: it has a number as output, which must be text: put it in quotes"],
}


def refusal(prepare: Prepare, data: bytes, **changes: object) -> str:
    with pytest.raises(JobError) as raised:
        prepare(data, **changes)
    assert raised.value.reason == names.DATASET_INVALID
    return raised.value.message


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_of_this_form_is_refused_with_what_to_do(prepare: Prepare, name: str) -> None:
    message = refusal(prepare, (CASES / name).read_bytes())
    for sentence in REFUSED[name]:
        assert sentence in message


def test_letters_put_together_and_apart_give_the_same_language(prepare: Prepare) -> None:
    codes = [prepare((CASES / name).read_bytes())[0].language for name in ("11-nfc.jsonl", "11-nfd.jsonl")]
    assert codes == ["sv", "sv"]


def test_a_held_out_file_from_windows_is_read_and_its_language_is_named_with_the_line(
    prepare: Prepare, tmp_path: Path
) -> None:
    data = (CASES / "14-heldout-cr.jsonl").read_bytes()
    assert b"\r\n" in data
    heldout = {"dataset": {"name": "held", "source": {"path": "held"}}}
    (tmp_path / "claim" / "held").write_bytes(data)
    assert "dataset held, line 2: it has the language 'EN': write sv or en" in refusal(
        prepare, b'{"instruction":"a","output":"b"}', heldout=heldout
    )
    (tmp_path / "claim" / "held").write_bytes(data.replace(b"EN", b"en"))
    assert prepare(b'{"instruction":"a","output":"b"}', heldout=heldout)[0].heldout.rows == 2


CHATS = {
    "several-turns": (
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 2},
        asked("a", "b") * 2,
    ),
    "developer": (
        {"messages": [{"role": "developer", "content": "s"}, *({"role": r, "content": c} for r, c in asked("a", "b"))]},
        [("system", "s"), *asked("a", "b")],
    ),
    "parts": (
        {
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
                {"role": "assistant", "content": "c", "refusal": None, "tool_calls": []},
            ]
        },
        asked("ab", "c"),
    ),
    "sharegpt-with-system": (
        {"system": "s", "conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]},
        [("system", "s"), *asked("a", "b")],
    ),
    "a-prompt-that-stands-in-a-turn-too": (
        {"prompt": "a", "prompt_id": "x", "messages": [{"role": r, "content": c} for r, c in asked("a", "b")]},
        asked("a", "b"),
    ),
}


@pytest.mark.parametrize(("row", "turns"), CHATS.values(), ids=CHATS)
def test_a_conversation_keeps_every_turn(prepare: Prepare, row: object, turns: list[tuple[str, str]]) -> None:
    assert prepare(json.dumps(row).encode())[1] == [turns]


def chat(*turns: object, **more: object) -> bytes:
    return json.dumps({"messages": list(turns), **more}).encode()


USER, ANSWER = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
BAD_CHATS = {
    "no-answer": (chat(USER, ANSWER, USER), "it ends with a turn of the user, which has no answer"),
    "tool": (chat(USER, {"role": "tool", "content": "x"}, ANSWER), "it has 'tool' in turn 2 of messages: a turn is of"),
    "tool-calls": (
        chat(USER, ANSWER | {"tool_calls": [{"id": "1", "function": {"name": "f"}}]}),
        "field tool_calls of turn 2",
    ),
    "name": (
        chat(USER | {"name": "Anna"}, ANSWER),
        "holds text in the field name of turn 1 of messages, which would not",
    ),
    "weight": (
        chat(USER, ANSWER | {"weight": 0}),
        "it gives turn 2 of messages a weight, and every answer is learnt alike",
    ),
    "null": (chat(USER, ANSWER | {"content": None}), "it has a null as content of turn 2 of messages: write the text"),
    "empty": (chat(USER, ANSWER | {"content": " "}), "it has an empty content in turn 2 of messages"),
    "image": (
        chat({"role": "user", "content": [{"type": "image_url"}]}, ANSWER),
        "a part in turn 1 of messages that is no text",
    ),
    "text": (b'{"messages":"a"}', "it has a text as messages: write a list of turns"),
    "tools": (chat(USER, ANSWER, tools=[{"name": "f"}]), "holds text in the field tools, which would not be trained"),
    "both": (
        chat(USER, ANSWER, conversations=[{"from": "human", "value": "z"}]),
        "it has conversations beside another",
    ),
    "two-systems": (
        chat({"role": "system", "content": "s"}, USER, ANSWER, system="t"),
        "it has a system and a system turn",
    ),
}


@pytest.mark.parametrize(("data", "sentence"), BAD_CHATS.values(), ids=BAD_CHATS)
def test_a_conversation_that_would_lose_something_is_refused(prepare: Prepare, data: bytes, sentence: str) -> None:
    assert sentence in refusal(prepare, data)


def test_a_field_that_would_be_lost_is_named_with_the_number_of_its_rows(prepare: Prepare) -> None:
    lost = '{"instruction":"a","output":"b","rationale":"because"}\n'
    message = refusal(prepare, (ROWS + lost * 3 + '{"instruction":"a"}\n').encode())
    assert "line 3: it holds text in the field rationale, which would not be trained" in message
    assert "wrong too: line 4, 5, 6; 4 in all); 3 of them for this reason" in message


def zipped() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data.jsonl", ROWS)
    return packed.getvalue()


def tarred() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        info = tarfile.TarInfo("data.jsonl")
        info.size = len(ROWS.encode())
        archive.addfile(info, io.BytesIO(ROWS.encode()))
    return packed.getvalue()


FOREIGN = {
    "zip": (zipped(), "dataset d is a zip archive (an Excel file is one too): unpack it"),
    "tar-gz": (tarred(), "dataset d is a tar archive: unpack it, and give the JSONL file in it"),
    "gzip-twice": (gzip.compress(gzip.compress(ROWS.encode())), "dataset d is a gzip file within a gzip file"),
    "gzip-cut": (gzip.compress(ROWS.encode() * 99)[:-9], "dataset d is a gzip file that is damaged or cut"),
    "gzip-damaged": (gzip.compress(ROWS.encode())[:-8] + b"\0" * 8, "is a gzip file that is damaged or cut"),
    "zstd": (b"\x28\xb5\x2f\xfd\0", "compressed with zstd, of which only gzip is read"),
    "arrow": (b"ARROW1\0\0", "dataset d is an Arrow file"),
    "sqlite": (b"SQLite format 3\0", "dataset d is an SQLite database"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer and not the data itself"),
    "utf-16-be": (ROWS.encode("utf-16-be"), "dataset d is UTF-16"),
    "array-cut": (b'[{"instruction":"a","output":"b"}', "dataset d, row 2: it is missing: the file was cut"),
    "array-without-comma": (
        b'[{"instruction":"a","output":"b"} {}]',
        "row 2: it is not parted from the row before by a",
    ),
    "array-twice": (
        b'[{"instruction":"a","output":"b","output":"c"}]',
        "row 1: it names the field output twice: keep one",
    ),
    "array-of-texts": (b'["a"]\n', "line 1: it is a JSON list, not an object"),
    "array-with-a-text": (b'[{"instruction":"a","output":"b"}, "a"]', "row 2: it is a JSON text, not an object"),
    "several-arrays": (b'[{"instruction":"a","output":"b"}]\n[{}]\n', "line 1: it is a JSON list, not an object"),
    "array-broken": (
        b'[{"instruction":"a","output":"b"},\n{"instruction":x}]',
        "row 2: it is not JSON that can be read",
    ),
    "array-latin": ('[{"instruction":"å","output":"b"}]'.encode("latin-1"), "dataset d is not UTF-8"),
    "csv-cells": (b"instruction,output\na,b,c\n", "line 2: it has 3 cells, but the first line names 2 columns"),
    "csv-columns": (b"instruction,output,output\na,b,c\n", "is a CSV file that names a column twice"),
    "csv-lost": (b"instruction,output,why\na,b,because\n", "line 2: it holds text in the field why"),
    "csv-quotes": (b'instruction,output\na,"b', "line 2: it is not CSV that can be read"),
}


@pytest.mark.parametrize(("data", "sentence"), FOREIGN.values(), ids=FOREIGN)
def test_what_is_no_dataset_is_told_what_it_is(prepare: Prepare, data: bytes, sentence: str) -> None:
    assert sentence in refusal(prepare, data)


MORE = {
    "excel-in-sweden": '\ufeffinstruction;output\r\n"Vem, var; när?";"Rad ett\r\nrad två"\r\n;\r\n',
    "tabs": 'question\tanswer\n"Vem, var; när?"\t"Rad ett\r\nrad två"\n',
    "array-with-a-mark": '\ufeff [ {"instruction":"Vem, var; när?","output":"Rad ett\\r\\nrad två"} ]\n',
    "pretty-after-blank-lines": '\n\n{\n "instruction": "Vem, var; när?",\n "output": "Rad ett\\r\\nrad två"}',
}


@pytest.mark.parametrize("text", MORE.values(), ids=MORE)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_tables_and_arrays_are_read_gzipped_or_not(prepare: Prepare, text: str, pack: Callable[[bytes], bytes]) -> None:
    assert prepare(pack(text.encode()))[1] == [asked("Vem, var; när?", "Rad ett\r\nrad två")]


def test_a_bad_row_of_several_lines_is_named_with_the_line_it_begins_in(prepare: Prepare) -> None:
    good, bad = '{\n"instruction":"a",\n"output":"b"}\n', '{\n"instruction":"a",\n"output":7}\n'
    assert "line 7: it has a number as output" in refusal(prepare, (good + good + bad + good).encode())


def test_a_gzip_bomb_is_stopped_at_the_bound(prepare: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 2 * 1024**2)
    assert "more than 2097152 bytes" in refusal(prepare, gzip.compress(b"\n" * 30 * 1024**2))


def test_a_large_array_is_read_piece_by_piece(tmp_path: Path) -> None:
    count = 40_000
    path = tmp_path / "array.json"
    row = json.dumps({"instruction": "q" * 300, "output": "a" * 300})
    path.write_text("[" + ",\n".join([row] * count) + "]")
    tracemalloc.start()
    try:
        found = files.rows_of_file(path)
        assert sum(not isinstance(item, Exception) for _, item in found.items) == count
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size / 2
    finally:
        tracemalloc.stop()
