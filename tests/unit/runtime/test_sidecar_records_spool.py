"""The spool: what is written stands there until it is acknowledged, whatever ends the process or damages the file."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_runtime.sidecar.records import spool as module
from oneseek_runtime.sidecar.records.lines import STATE_BYTES, entry_line, parse_entry, parse_state, state_line
from oneseek_runtime.sidecar.records.spool import Spool

LIMIT = 1_000_000
SMALL = 120  # bytes of a segment: some four entries


def opened(folder: Path, *, limit: int = LIMIT, segment_bytes: int = SMALL) -> Spool:
    return Spool.open(folder, limit=limit, segment_bytes=segment_bytes)


def body(number: int) -> bytes:
    return b'{"queryId":"%d"}' % number


def waiting(spool: Spool) -> list[bytes]:
    """Everything that waits, in order; the spool is empty afterwards."""
    found: list[bytes] = []
    while batch := spool.batch():
        assert batch == spool.batch(), "the same until it is acknowledged"
        found += batch.bodies
        spool.acknowledge(batch)
    assert spool.spooled == 0
    return found


@given(st.text("abc", min_size=1), st.binary().filter(lambda data: b"\n" not in data))
def test_an_entry_is_read_back_as_it_was_written(kind: str, data: bytes) -> None:
    line = entry_line(kind, data)
    assert line.endswith(b"\n")
    assert parse_entry(line[:-1]) == (kind, data)


@given(st.integers(0, 200), st.integers(0, 7))
def test_a_flipped_bit_is_seen(place: int, bit: int) -> None:
    line = bytearray(entry_line("queries", body(7))[:-1])
    line[place % len(line)] ^= 1 << bit
    assert parse_entry(bytes(line)) is None


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_the_state_has_one_length_and_a_damaged_one_is_none(acknowledged: int, lost: int) -> None:
    line = state_line(acknowledged, lost)
    assert len(line) == STATE_BYTES
    assert parse_state(line) == (acknowledged, lost)
    assert parse_state(line[:-1]) is None
    assert parse_state(line[:20] + b"x" + line[21:]) is None
    assert parse_state(b"") is None


def test_entries_come_out_in_order_and_survive_the_process(tmp_path: Path) -> None:
    spool = opened(tmp_path / "spool")
    for number in range(25):
        assert spool.append("queries", body(number))
    first = spool.batch()
    assert first
    spool.acknowledge(first)
    after = first.entries
    # No close: a killed process does not close either.
    again = opened(tmp_path / "spool")
    assert (again.spooled, again.lost) == (25 - after, 0)
    assert again.append("queries", body(25))
    assert waiting(again) == [body(number) for number in range(after, 26)]
    assert opened(tmp_path / "spool").spooled == 0


def test_segments_go_when_all_in_them_is_acknowledged(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for number in range(100):
        spool.append("queries", body(number))
    assert len(list(tmp_path.glob("*.spool"))) > 10
    waiting(spool)
    assert len(list(tmp_path.glob("*.spool"))) <= 1
    for number in range(1000):
        spool.append("queries", body(number))
        waiting(spool)
    assert len(list(tmp_path.glob("*.spool"))) <= 1
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 * SMALL


def test_a_batch_is_of_one_kind(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=10_000)
    for number, kind in enumerate(("queries", "queries", "entries", "queries")):
        spool.append(kind, body(number))
    found = []
    while batch := spool.batch():
        found.append((batch.kind, len(batch.bodies)))
        spool.acknowledge(batch)
    assert found == [("queries", 2), ("entries", 1), ("queries", 1)]


def test_an_entry_larger_than_a_batch_comes_alone(tmp_path: Path) -> None:
    spool = opened(tmp_path, limit=10_000_000)
    large = b'"' + b"x" * 3_000_000 + b'"'
    spool.append("queries", body(1))
    spool.append("queries", large)
    spool.append("queries", body(2))
    assert waiting(spool) == [body(1), large, body(2)]


def test_a_full_spool_counts_what_it_does_not_take_and_takes_more_when_there_is_room(tmp_path: Path) -> None:
    spool = opened(tmp_path, limit=500)
    kept = [number for number in range(50) if spool.append("queries", body(number))]
    assert kept == list(range(len(kept))), "the oldest are kept"
    assert 10 < len(kept) < 50
    assert (spool.spooled, spool.lost) == (len(kept), 50 - len(kept))
    again = opened(tmp_path, limit=500)
    assert again.lost == 50 - len(kept), "the count survives the process"
    assert waiting(again) == [body(number) for number in kept]
    assert again.append("queries", body(99))
    assert waiting(again) == [body(99)]


def test_refused_and_damaged_entries_are_counted_as_lost_once(tmp_path: Path) -> None:
    spool = opened(tmp_path, segment_bytes=10_000)
    for number in range(5):
        spool.append("queries", body(number))
    (segment,) = tmp_path.glob("*.spool")
    data = bytearray(segment.read_bytes())
    data[data.index(b'"2"') + 1] ^= 1
    segment.write_bytes(data)
    again = opened(tmp_path, segment_bytes=10_000)
    batch = again.batch()
    assert batch
    assert batch.bodies == (body(0), body(1), body(3), body(4))
    again.acknowledge(batch, refused=1)
    assert (again.spooled, again.lost) == (0, 2)
    assert opened(tmp_path).lost == 2


@pytest.mark.parametrize("cut", range(1, 30, 4))
def test_half_a_line_at_the_end_is_cut_off_and_counted(tmp_path: Path, cut: int) -> None:
    spool = opened(tmp_path, segment_bytes=10_000)
    for number in range(3):
        spool.append("queries", body(number))
    (segment,) = tmp_path.glob("*.spool")
    os.truncate(segment, segment.stat().st_size - min(cut, len(entry_line("queries", body(2))) - 1))
    again = opened(tmp_path, segment_bytes=10_000)
    assert again.lost == 1
    again.append("queries", body(3))
    assert waiting(again) == [body(0), body(1), body(3)]


@pytest.mark.parametrize("state", [b"", b"0" * STATE_BYTES, state_line(10**9, 3)], ids=["none", "damaged", "ahead"])
def test_a_state_that_does_not_fit_never_loses_an_entry_that_is_written_later(tmp_path: Path, state: bytes) -> None:
    spool = opened(tmp_path)
    for number in range(10):
        spool.append("queries", body(number))
    (tmp_path / "state").write_bytes(state)
    again = opened(tmp_path)
    expected = [] if parse_state(state) else [body(number) for number in range(10)]
    again.append("queries", body(10))
    assert waiting(opened(tmp_path)) == [*expected, body(10)]


class Killed(BaseException):
    """The process ends at this call."""


def kill_at(monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool) -> Callable[[], int]:
    """Make the `at`-th change of the file system the last thing that happens; the result counts the changes."""
    seen = 0

    def guarded(function: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            nonlocal seen
            seen += 1
            if seen == at and not after:
                raise Killed
            result = function(*arguments, **options)
            if seen == at:
                raise Killed
            return result

        return call

    for name in ("write", "pwrite", "ftruncate", "truncate", "open"):
        monkeypatch.setattr(module.os, name, guarded(getattr(os, name)))
    monkeypatch.setattr(Path, "unlink", guarded(Path.unlink))
    return lambda: seen


def story(spool: Spool, sent: list[bytes], answered: list[int]) -> None:
    """Append, send and acknowledge over several segments; what `answered` holds was answered to a client."""
    for number in range(24):
        if spool.append("queries", body(number)):
            answered.append(number)
        if number % 7 == 6 and (batch := spool.batch()):
            sent += batch.bodies
            spool.acknowledge(batch)


@pytest.mark.parametrize("after", [False, True], ids=["before-the-effect", "after-the-effect"])
def test_a_kill_at_any_change_of_the_files_loses_no_answered_entry(tmp_path: Path, *, after: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        count = kill_at(patch, -1, after=after)
        story(opened(tmp_path / "whole"), [], [])
        total = count()
    assert total > 30
    for at in range(1, total + 1):
        folder = tmp_path / str(at)
        sent: list[bytes] = []
        answered: list[int] = []
        spool = opened(folder)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(patch, at, after=after)
            with pytest.raises(Killed):
                story(spool, sent, answered)
        spool.close()
        again = opened(folder)
        assert again.lost == 0
        rest = waiting(again)
        assert set(sent) | set(rest) >= {body(number) for number in answered}, f"killed at change {at}"
        assert rest == sorted(set(rest), key=rest.index), "nothing stands twice"
        shutil.rmtree(folder)


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        opened(tmp_path / "file" / "spool")


def test_a_volume_that_takes_no_more_costs_entries_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = opened(tmp_path)
    spool.append("queries", body(0))
    real = os.write

    def half(handle: int, data: bytes) -> int:
        return real(handle, data[: len(data) // 2])

    def full(handle: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    for broken in (half, full):
        monkeypatch.setattr(module.os, "write", broken)
        assert spool.append("queries", body(1)) is False
        monkeypatch.setattr(module.os, "write", half)
        with monkeypatch.context() as patch:
            patch.setattr(module.os, "ftruncate", lambda *_: full(0, b""))
            assert spool.append("queries", body(2)) is False
    monkeypatch.setattr(module.os, "write", real)
    assert spool.append("queries", body(3)) is True
    assert spool.lost == 4
    spool.sync()
    assert waiting(opened(tmp_path)) == [body(0), body(3)]


def test_what_is_synced_is_every_file_that_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = opened(tmp_path)
    for number in range(20):
        spool.append("queries", body(number))
    synced: set[int] = set()
    real = os.fsync
    monkeypatch.setattr(module.os, "fsync", lambda handle: (synced.add(os.fstat(handle).st_ino), real(handle)))
    spool.sync()
    assert synced >= {path.stat().st_ino for path in tmp_path.glob("*.spool")} | {tmp_path.stat().st_ino}
    waiting(spool)
    spool.close()
