"""Documents on their way to Firestore and back; nothing here needs Firestore."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core.ledger import BlockError, first_block, next_block, parse_block
from oneseek_runtime.records.errors import BadRequestError
from oneseek_runtime.records.firestore.layout import block_fields, document_fields, document_id, document_of, line_of
from oneseek_runtime.records.store import Document

AT = "2025-11-30T12:00:00.250Z"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
BLOCK = next_block(
    first_block("begin", AT), kind="query", content={"queryId": "q", "question": "ö?", "modelVersion": None}, at=AT
)


def from_firestore(value: Any) -> Any:
    """As Firestore gives values back: maps have no order of their own."""
    if isinstance(value, dict):
        return {name: from_firestore(value[name]) for name in sorted(value)}
    return [from_firestore(item) for item in value] if isinstance(value, list) else value


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128), st.text(max_size=8))
def test_every_id_becomes_one_of_its_own_that_firestore_takes_and_is_found_again(one: str, other: str) -> None:
    made = document_id(one)
    assert "/" not in made
    assert made not in (".", "..")
    assert not made.startswith("__")
    assert len(made.encode()) <= 1500
    assert document_of("oqt_queries", made, {}).id == one
    assert (document_id(other) == made) == (other == one)


@given(JSON)
def test_a_document_says_what_it_said(value: Any) -> None:
    sent = {"createdAt": AT, "updatedAt": AT, "value": value}
    document = Document("oqt_queries", "q", json.dumps(sent))
    kept = document_fields(document, 3)
    assert kept["createdAt"] == datetime(2025, 11, 30, 12, 0, 0, 250_000, UTC)
    assert json.loads(document_of("oqt_queries", "q", from_firestore(kept)).text) == sent


@pytest.mark.parametrize("name", ["", "__x__", "_oneseek", "x" * 1501])
def test_a_name_that_firestore_does_not_take_is_refused(name: str) -> None:
    document = Document("oqt_queries", "q", json.dumps({"createdAt": AT, "updatedAt": AT, name: 1}))
    with pytest.raises(BadRequestError, match="no name that a field can have"):
        document_fields(document, 0)


def test_a_block_is_its_line_whatever_the_order_of_the_fields() -> None:
    assert line_of(from_firestore(block_fields(BLOCK, "q:q"))) == BLOCK.line


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hash": "0" * 64}, "Hash mismatch"),
        ({"timestamp": datetime(2025, 11, 30, tzinfo=UTC)}, "Hash mismatch"),
        ({"data": {"type": "query", "content": {"queryId": "another"}, "timestamp": AT}}, "Hash mismatch"),
        ({"nonce": None}, "Not canonical"),
        ({"line": "{}"}, "Not canonical"),
        ({"line": "no JSON"}, "Not canonical"),
        ({"line": None}, "Not canonical"),
    ],
)
def test_a_field_that_says_something_else_than_the_line_makes_it_no_block(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BlockError) as error:
        parse_block(line_of(block_fields(BLOCK, "q:q") | changes))
    assert error.value.reason == reason
