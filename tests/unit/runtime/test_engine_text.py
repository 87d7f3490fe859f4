"""Stop strings and growing texts: laws over any splitting."""

from hypothesis import given
from hypothesis import strategies as st

from oneseek_runtime.engine.text import StopScanner, TextStream

PIECES = st.lists(st.text(alphabet="ab\n", max_size=3), max_size=8)
STOPS = st.lists(st.text(alphabet="ab\n", min_size=1, max_size=3), max_size=3)


def first_stop(text: str, stops: list[str]) -> int:
    return min((text.find(stop) for stop in stops if stop in text), default=len(text))


@given(PIECES, STOPS)
def test_what_is_shown_ends_where_a_stop_string_is_first_complete(pieces: list[str], stops: list[str]) -> None:
    scanner = StopScanner(stops)
    shown, fed = "", ""
    for piece in pieces:
        fed += piece
        shown += scanner.feed(piece)
        if scanner.stopped:
            break
        assert not any(stop in fed for stop in stops)
    shown += scanner.finish()
    assert shown == fed[: first_stop(fed, stops)]
    assert scanner.stopped == any(stop in fed for stop in stops)


@given(st.text(max_size=20))
def test_pieces_of_bytes_joined_are_the_whole_text(text: str) -> None:
    data = text.encode("utf-8", "ignore")
    stream = TextStream(lambda ids: bytes(ids).decode("utf-8", "replace"))
    pieces = [stream.feed(byte) for byte in data]
    assert "".join(pieces) + stream.finish() == data.decode()


def test_an_incomplete_character_is_held_back_and_shown_at_the_end_at_the_latest() -> None:
    stream = TextStream(lambda ids: bytes(ids).decode("utf-8", "replace"))
    first, second = "ä".encode()
    assert stream.feed(first) == ""
    assert stream.feed(second) == "ä"
    assert stream.feed(first) == ""
    assert stream.finish() == "\ufffd"
