from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.text import Node, bar, printable, table, tree
from oneseek_runtime.plugin.times import age, duration, parse_time, stamp
from oneseek_runtime.plugin.yamltext import to_yaml

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=12
)


@given(DOCUMENTS)
def test_a_yaml_reader_gets_the_document_back(document: object) -> None:
    assert yaml.safe_load(to_yaml(document)) == document


def test_yaml_is_laid_out_as_kubectl_does() -> None:
    document = {"name": "demo", "ready": "True", "pods": [{"name": "a", "ok": True}, {"name": "b"}], "none": []}
    assert to_yaml(document) == 'name: demo\nready: "True"\npods:\n- name: a\n  ok: true\n- name: b\nnone: []'


def test_what_kubectl_would_read_as_something_else_is_quoted() -> None:
    for text in ("0o17", "017", "1e3", "1:30", "yes", "~", "2026-03-01", "1_000", ".5", "=", "<<", "a: b", "- a"):
        assert to_yaml({"a": text}) == f'a: "{text}"'
    assert to_yaml({"a": 1e-05, "b": "v3.0/x"}) == "a: 1.0e-05\nb: v3.0/x"


def test_yaml_shows_letters_and_escapes_what_would_drive_the_terminal() -> None:
    assert to_yaml(["Tåg\n\x1b[2J\u202e\u200b\x9b"]) == '- "Tåg\\n\\e[2J\\u202e\\u200b\\x9B"'


def test_a_table_has_aligned_columns_and_a_dash_for_nothing() -> None:
    assert table(["NAME", "AGE"], [["demo", "3m"], ["", "12d"]]) == "NAME   AGE\ndemo   3m\n-      12d"


def test_a_tree_is_drawn_with_lines() -> None:
    root = Node("root")
    root.add("one").add("below")
    root.add("two")
    assert tree(root) == "root\n├─ one\n│  └─ below\n└─ two"


def test_what_somebody_wrote_into_an_object_cannot_drive_the_terminal() -> None:
    hostile = "fine\x1b[2J\r\nREADY\u202e"
    assert printable(hostile) == "fine\\x1b[2J\\r\\nREADY\\u202e"
    assert "\x1b" not in table(["A"], [[hostile]]) + tree(Node(hostile))


@pytest.mark.parametrize(
    ("percent", "full"), [(0, 0), (4, 0), (50, 10), (99, 19), (100, 20), (140, 20), (-3, 0)], ids=str
)
def test_only_a_hundred_percent_fill_a_bar(percent: int, full: int) -> None:
    assert bar(percent).count("█") == full
    assert bar(percent).count("█") + bar(percent).count("░") == 20


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59, "59s"), (192, "3m12s"), (3600, "1h"), (18120, "5h2m"), (183600, "2d3h"), (-5, "0s")],
)
def test_durations_have_their_two_largest_units(seconds: int, text: str) -> None:
    assert duration(seconds) == text


def test_an_age_counts_to_now_and_is_empty_where_there_is_no_time() -> None:
    assert age("2026-03-10T11:57:00Z", NOW) == "3m"
    assert age("", NOW) == ""


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00.000Z"),
        ("2026-03-01T12:00:00+01:00", "2026-03-01T11:00:00.000Z"),
        ("2026-03-01 12:00", "2026-03-01T12:00:00.000Z"),
        ("2026-03-01", "2026-03-01T00:00:00.000Z"),
        ("90m", "2026-03-10T10:30:00.000Z"),
        ("2d", "2026-03-08T12:00:00.000Z"),
    ],
    ids=str,
)
def test_times_are_read_as_people_write_them(text: str, at: str) -> None:
    assert stamp(parse_time(text, NOW)) == at


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("yesterday", "'yesterday' is no time"), ("2026-03-10T12:00:01Z", "lies ahead"), ("999999d", "too long ago")],
)
def test_a_time_that_is_none_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(CannotTellError, match=sentence):
        parse_time(text, NOW)


def test_a_time_ago_is_no_time_ahead() -> None:
    assert parse_time("0s", NOW) == NOW - timedelta(0)
