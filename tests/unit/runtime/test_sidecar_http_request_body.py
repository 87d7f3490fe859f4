"""Bodies are bounded each and together; JSON is bounded in what it may become."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence

import pytest
from starlette.types import Message, Receive

from oneseek_runtime.sidecar.errors import BadRequestError, BodyTooLargeError, ClientGoneError, TooManyBodiesError
from oneseek_runtime.sidecar.http.bounded_json import MAXIMUM_VALUES, decode_json
from oneseek_runtime.sidecar.http.request_body import BodyReader
from oneseek_runtime.sidecar.http.responses import parse_object

MB = 1024 * 1024


def sending(*pieces: bytes, end: bool = True) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.request", "body": b"", "more_body": False} if end else {"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    return receive


def scope(length: int | None = None) -> dict[str, Sequence[tuple[bytes, bytes]]]:
    return {"headers": [] if length is None else [(b"content-length", b"%d" % length)]}


async def test_pieces_become_a_body() -> None:
    bodies = BodyReader()
    assert bytes(await bodies.read(scope(), sending(b"a", b"b"))) == b"ab"
    assert bodies.held == 0  # small ones are not counted


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    async def never() -> Message:
        raise AssertionError

    with pytest.raises(BodyTooLargeError, match="larger than 1 MB"):
        await BodyReader(limit=MB).read(scope(MB + 1), never)


async def test_a_body_that_grows_too_large_is_left() -> None:
    bodies = BodyReader(limit=MB)
    with pytest.raises(BodyTooLargeError):
        await bodies.read(scope(), sending(b"x" * MB, b"x", end=False))
    assert bodies.held == 0


async def test_all_bodies_together_are_bounded_until_they_are_given_back() -> None:
    bodies = BodyReader(limit=MB, together=3 * MB // 2)
    first = await bodies.read(scope(), sending(b"x" * MB))
    with pytest.raises(TooManyBodiesError):
        await bodies.read(scope(), sending(b"x" * (MB - 1), b"x"))
    bodies.release(first)
    assert bodies.held == 0
    bodies.release(await bodies.read(scope(), sending(b"x" * MB)))
    assert bodies.held == 0


async def test_a_client_that_leaves_is_noticed() -> None:
    bodies = BodyReader()
    with pytest.raises(ClientGoneError):
        await bodies.read(scope(), sending(b"x" * MB, end=False))
    assert bodies.held == 0


@pytest.mark.parametrize(
    "data",
    [b"[" + b"[]," * 400_000 + b"0]", b"[" + b"1," * 400_000 + b"1]", b'{"a":"' + b'","b":"' * 400_000 + b'"}'],
    ids=["lists", "numbers", "texts"],
)
def test_a_body_of_very_many_values_is_not_parsed(data: bytes) -> None:
    with pytest.raises(BodyTooLargeError, match=f"{MAXIMUM_VALUES:,} values"):
        decode_json(data)


@pytest.mark.parametrize("tail", [b"", b"\\", b'"', b'"}'], ids=["open", "backslash", "closed", "whole"])
def test_counting_takes_a_moment_whatever_the_text(tail: bytes) -> None:
    data = b'{"q":"' + b'\\"' * 2_000_000 + tail
    started = time.process_time()
    with contextlib.suppress(BadRequestError):
        decode_json(data)
    assert time.process_time() - started < 2


def test_strings_without_commas_end_the_counting_too() -> None:
    with pytest.raises(BodyTooLargeError):
        decode_json(b'""' * 1_000_000)


def test_a_long_text_is_one_value_whatever_stands_in_it() -> None:
    text = 'å, "[{' * 200_000
    assert decode_json(json.dumps({"question": text}).encode()) == {"question": text}


def test_ten_thousand_keys_are_fine_in_json_and_refused_in_a_form() -> None:
    many = {f"k{i}": i for i in range(10_000)}
    assert parse_object(json.dumps(many).encode(), "application/json") == many
    with pytest.raises(BadRequestError, match="the form cannot be read"):
        parse_object(b"&".join(b"k%d=1" % i for i in range(10_000)), "application/x-www-form-urlencoded")


@pytest.mark.parametrize("data", [b"{", b"\xff", b"[" * 100_000, b"NaN", b"1" * 5000, "{}".encode("utf-16")], ids=repr)
def test_what_is_no_json_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(BadRequestError, match="not valid JSON"):
        decode_json(data)


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode_json(b"\xef\xbb\xbf{}") == {}
