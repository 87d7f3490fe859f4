"""From token ids to text that may be shown: whole characters only, and nothing of a stop string. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["StopScanner", "TextStream"]

_INCOMPLETE = "\ufffd"


class StopScanner:
    """Lets text through up to the first stop string; holds back an end that could be the start of one.

    Law: what was let through, in all, is the text before the first occurrence of any stop string (else all of it).
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.stopped = False

    def feed(self, text: str) -> str:
        """The part of all that is known so far which may be shown now."""
        if self.stopped:
            return ""
        held = self._held + text
        found = [at for at in (held.find(stop) for stop in self._stops) if at >= 0]
        if found:
            self.stopped, self._held = True, ""
            return held[: min(found)]
        keep = max((_overlap(held, stop) for stop in self._stops), default=0)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def finish(self) -> str:
        """What was held back and turned out to be no stop string."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """The length of the longest end of `text` that is a proper beginning of `stop`."""
    return next((n for n in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:n])), 0)


class TextStream:
    """Decodes a growing list of token ids piece by piece; pieces joined equal the whole decoded at once.

    Tokens of byte-level vocabularies may hold a part of a character, and some decoders put a space depending on what
    stands before: so each piece is the difference of two decodings that start at the same, settled place.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._from = 0  # where both decodings start
        self._shown = 0  # tokens whose text was given out

    def feed(self, token: int) -> str:
        """The text that `token` completes; empty while a character is incomplete."""
        self._ids.append(token)
        piece = self._piece()
        if not piece or piece.endswith(_INCOMPLETE):
            return ""
        self._from, self._shown = self._shown, len(self._ids)
        return piece

    def finish(self) -> str:
        """What is left at the end, incomplete characters as U+FFFD."""
        piece = self._piece()
        self._from = self._shown = len(self._ids)
        return piece

    def _piece(self) -> str:
        before = self._decode(self._ids[self._from : self._shown])
        return self._decode(self._ids[self._from :])[len(before) :]
