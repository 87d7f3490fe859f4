from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneseek_core.ledger import (
    BlockError,
    first_block,
    from_copy,
    next_block,
    parse_block,
    to_copy,
    verify_chain,
)
from oneseek_core.ledger_entries import query_content
from support.ledgers import AT, chain, lines_of, transition

texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.from_regex(r"[A-Za-z]\w{0,5}", fullmatch=True).filter(str.isascii), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
contents = st.dictionaries(st.sampled_from(["queryId", "question", "from", "zzz", "a"]), values, max_size=4)


def old_hash(block: dict[str, Any]) -> str:
    """The hash as the old service's Python side computed it."""
    body = {key: block[key] for key in ("blockNumber", "previousHash", "data", "timestamp", "nonce")}
    return hashlib.sha256(json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def test_the_first_block_is_the_old_services() -> None:
    block = json.loads(first_block("Hej å", AT).line)
    assert list(block) == ["blockNumber", "previousHash", "data", "timestamp", "nonce", "hash"]
    assert (block["blockNumber"], block["previousHash"], block["nonce"]) == (0, "0" * 64, 0)
    assert block["data"] == {"type": "genesis", "message": "Hej å", "timestamp": AT}
    assert block["hash"] == old_hash(block)


def test_a_block_is_byte_for_byte_what_it_ever_was() -> None:
    block = next_block(first_block("golden", AT), kind="query", content=query_content("q", "Vem är du?", None), at=AT)
    assert block.line.decode() == (
        '{"blockNumber":1,"previousHash":"' + first_block("golden", AT).hash + '",'
        '"data":{"type":"query","content":{"queryId":"q","question":"Vem är du?","modelVersion":null},'
        '"timestamp":"2025-11-30T12:00:00.000Z"},"timestamp":"2025-11-30T12:00:00.000Z","nonce":0,'
        '"hash":"' + block.hash + '"}'
    )
    assert first_block("golden", AT).hash == "afeb76663580052ab0c7a79ace00b809a3291caf8c6da95b18a9cda7533444a4"
    assert block.hash == "b87a97b6e2f23f2accede5dc880ff4a9c6e6fab3071867374b941e453a204ac2"


@given(content=contents)
@settings(max_examples=200)
def test_any_content_hashes_as_in_the_old_service_and_reads_back(content: dict[str, Any]) -> None:
    block = next_block(first_block("x", AT), kind="train", content=content, at=AT)
    assert block.hash == old_hash(json.loads(block.line))
    again = parse_block(block.line)
    assert again == block
    assert list(again.data["content"]) == list(content)


@given(lines=st.lists(st.binary(min_size=1).filter(lambda line: b"\n" not in line)))
def test_a_copy_reads_back_as_what_was_written(lines: list[bytes]) -> None:
    assert from_copy(to_copy(lines)) == lines


@pytest.mark.parametrize(
    ("value", "part"),
    [
        pytest.param(0.5, "cannot hold 0.5, a float", id="a float"),
        pytest.param(2**53, "too large for old readers", id="a number that JavaScript rounds"),
        pytest.param("\ud800", "half a character", id="a lone surrogate"),
        pytest.param({"1": 1}, "'1' cannot be a key", id="a key that JavaScript reorders"),
        pytest.param({"a": [{"b c": 1}]}, "'b c' cannot be a key", id="a key with a space"),
        pytest.param(b"x", "cannot hold b'x', a bytes", id="bytes"),
    ],
)
def test_what_old_readers_would_hash_differently_never_becomes_a_block(value: object, part: str) -> None:
    with pytest.raises(BlockError, match=part):
        next_block(first_block("x", AT), kind="train", content={"value": value}, at=AT)


@pytest.mark.parametrize("at", ["2025-11-30T12:00:00Z", "2025-11-30 12:00:00.000Z", "now", ""])
def test_times_have_one_form(at: str) -> None:
    with pytest.raises(BlockError, match="is not a time"):
        first_block("x", at)


def test_a_blocks_time_never_steps_back() -> None:
    later = "2025-11-30T12:00:01.000Z"
    first = first_block("x", later)
    block = next_block(first, kind="train", content={}, at=AT, happened_at=AT)
    assert (block.timestamp, block.data["timestamp"]) == (later, AT)


def with_hash(text: str) -> bytes:
    """The line with a right hash for these very bytes: only strictness can refuse it."""
    body = text.encode()
    return body[:-1] + b',"hash":"' + hashlib.sha256(body).hexdigest().encode() + b'"}'


BODY = (
    '{"blockNumber":0,"previousHash":"' + "0" * 64 + '",'
    '"data":{"type":"genesis","message":"å","timestamp":"t"},"timestamp":"t","nonce":0}'
)


def test_the_body_of_the_strictness_cases_is_good_itself() -> None:
    assert verify_chain([with_hash(BODY)]).ok


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(("{", "{ "), id="a space"),
        pytest.param(("å", "\\u00e5"), id="an escape"),
        pytest.param(('"type":"genesis"', '"type":"query","type":"genesis"'), id="a key twice"),
        pytest.param(('"nonce":0', '"nonce":0,"nonce":0'), id="an outer key twice"),
        pytest.param(('"nonce":0', '"nonce":0,"extra":0'), id="an extra key"),
        pytest.param(('"timestamp":"t"},', '"timestamp":"t","extra":0},'), id="an extra key in data"),
        pytest.param((',"nonce":0', ""), id="a missing key"),
        pytest.param(('"nonce":0', '"nonce":1'), id="another nonce"),
        pytest.param(('"nonce":0', '"nonce":-0'), id="minus nothing"),
        pytest.param(('"nonce":0', '"nonce":0.0'), id="a float"),
        pytest.param(('"nonce":0', '"nonce":false'), id="a boolean"),
        pytest.param(('"blockNumber":0', '"blockNumber":true'), id="no number"),
        pytest.param(('"message":"å"', '"message":NaN'), id="NaN"),
        pytest.param(('"message":"å"', '"message":"\x01"'), id="a control character"),
        pytest.param(('"message":"å"', '"message":' + "[" * 5000 + "]" * 5000), id="very deep"),
        pytest.param(('"timestamp":"t","nonce"', '"timestamp":0,"nonce"'), id="no time"),
        pytest.param(('"data":{"type":"genesis","message":"å","timestamp":"t"}', '"data":[]'), id="no data"),
        pytest.param(("å", "\udce5"), id="no UTF-8"),
    ],
)
def test_other_bytes_for_a_block_are_no_block_even_with_their_right_hash(change: tuple[str, str]) -> None:
    assert change[0] in BODY
    changed = BODY.replace(*change).encode("utf-8", "surrogateescape")
    line = changed[:-1] + b',"hash":"' + hashlib.sha256(changed).hexdigest().encode() + b'"}'
    verdict = verify_chain([line])
    assert [defect.reason for defect in verdict.defects] == ["Not canonical"]


@pytest.mark.parametrize("line", [b"", b"{}", b"null", b"[1]", b"\xff", b'{"blockNumber":0}', b"1" * 5000])
def test_anything_else_is_no_block(line: bytes) -> None:
    assert [defect.reason for defect in verify_chain([line]).defects] == ["Not canonical"]


def test_a_changed_block_is_one_defect_with_both_hashes() -> None:
    lines = lines_of(chain(5))
    lines[2] = lines[2].replace(b"2025", b"2024")
    (defect,) = verify_chain(lines).defects
    assert (defect.reason, defect.first, defect.last, defect.lines) == ("Hash mismatch", 2, 2, (2,))
    assert defect.expected != defect.actual == chain(5)[2].hash


def test_a_changed_hash_field_is_the_fault_of_its_own_block() -> None:
    blocks = chain(5)
    lines = lines_of(blocks)
    lines[2] = lines[2].replace(blocks[2].hash.encode(), b"f" * 64)
    assert [(defect.reason, defect.first) for defect in verify_chain(lines).defects] == [("Hash mismatch", 2)]


def test_a_block_of_another_history_does_not_follow() -> None:
    blocks = chain(5)
    other = chain(5, after=blocks[0], tag="other-")
    verdict = verify_chain(lines_of([*blocks[:3], *other[2:]]))
    assert [(defect.reason, defect.first) for defect in verdict.defects] == [("Previous hash mismatch", 3)]
    assert (verdict.defects[0].expected, verdict.defects[0].actual) == (blocks[2].hash, other[1].hash)


def test_a_transitions_content_always_has_the_same_keys_in_order() -> None:
    content = transition("k", **{"from": None, "digest": "sha256:" + "0" * 64}).content()
    assert list(content) == ["idempotencyKey", "actor", "object", "from", "to", "dna", "digest", "reason"]
    assert list(content["object"]) == ["kind", "namespace", "name", "uid"]
    assert (content["from"], content["dna"]) == (None, None)


@pytest.mark.parametrize(("length", "kept"), [(100, 100), (101, 103)])
def test_a_question_is_cut_after_a_hundred_characters(length: int, kept: int) -> None:
    question = query_content("q", "ö" * length, "v")["question"]
    assert len(question) == kept
    assert question.endswith("...") == (length > 100)
