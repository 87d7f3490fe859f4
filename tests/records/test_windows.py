"""Windows of what clients sent: they close as the policy says, never change then, and survive a restart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from pathlib import Path

import pytest

from oneseek_runtime.records.errors import NothingRecordedError, WindowNotFoundError, WindowOpenError
from oneseek_runtime.records.firestore.store import FirestoreStore
from oneseek_runtime.records.firestore.windows import FirestoreWindows
from oneseek_runtime.records.settings import FirestoreSettings
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.records.windows import LONGEST_SECONDS, Lesson, Policy, Windows, WindowsPort
from support.firestore import Emulator

POLICY = Policy(minimum_questions=3, debounce_seconds=60, maximum_per_hour=2)


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Opened = Callable[[], AbstractContextManager[WindowsPort]]


@pytest.fixture(params=["sqlite", "firestore"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Opened:
    """Opens the same windows, again and again."""
    if request.param == "sqlite":
        return lambda: closing(Windows.open(tmp_path, clock))
    running: Emulator = request.getfixturevalue("firestore")
    settings = FirestoreSettings(project_id=running.project(), emulator_host=running.host)

    @contextmanager
    def in_firestore() -> Iterator[WindowsPort]:
        with closing(FirestoreStore.open(settings, Signer("oneseek.io/team/demo"))) as store:
            yield FirestoreWindows(store, clock)

    return in_firestore


@pytest.fixture
def windows(opened: Opened) -> Iterator[WindowsPort]:
    with opened() as found:
        yield found


def lesson(key: str, language: str = "sv", *, raw: int = 1, analysed: bool = False) -> Lesson:
    return Lesson(key, language, raw, analysed, {"trainingId": key, "question": f"{key}?"})


def teach(windows: WindowsPort, *keys: str) -> list[int]:
    return [windows.add(lesson(key)).window for key in keys]


def held(windows: WindowsPort, number: int) -> list[str]:
    return [json.loads(line)["trainingId"] for line in windows.questions(number).splitlines()]


def test_a_window_closes_when_enough_came_and_no_more_for_a_while(windows: WindowsPort, clock: Clock) -> None:
    assert teach(windows, "a", "b") == [1, 1]
    clock.now += 100
    assert windows.due(POLICY).windows == ()
    teach(windows, "c")
    found = windows.due(POLICY)
    assert (found.windows, found.again) == ((), 60)
    clock.now += 59
    teach(windows, "d")
    assert windows.due(POLICY).again == 60
    clock.now += 60
    assert windows.due(POLICY).windows == ((1, "micro"),)
    assert held(windows, 1) == ["a", "b", "c", "d"]


def test_a_window_with_too_few_questions_closes_after_an_hour(windows: WindowsPort, clock: Clock) -> None:
    teach(windows, "a")
    assert windows.due(POLICY).again == LONGEST_SECONDS
    clock.now += LONGEST_SECONDS
    assert windows.due(POLICY).windows == ((1, "micro"),)


def test_questions_that_never_pause_close_their_window_after_an_hour(windows: WindowsPort, clock: Clock) -> None:
    for number in range(121):
        teach(windows, f"q{number}")
        assert windows.due(POLICY).windows == (((1, "micro"),) if number == 120 else ())
        clock.now += 30


def test_so_many_windows_close_in_an_hour_and_no_more(windows: WindowsPort, clock: Clock) -> None:
    for number in (1, 2):
        assert set(teach(windows, *(f"{number}{letter}" for letter in "abc"))) == {number}
        clock.now += 60
        assert (number, "micro") in windows.due(POLICY).windows
    assert set(teach(windows, "3a", "3b", "3c")) == {3}
    clock.now += 60
    found = windows.due(POLICY)
    assert found.windows == ((1, "micro"), (2, "micro"))
    assert found.again == 3600 - 120
    clock.now += 3600 - 120
    assert (3, "micro") in windows.due(POLICY).windows


def test_a_closed_window_never_changes_and_the_next_question_opens_another(windows: WindowsPort, clock: Clock) -> None:
    teach(windows, "a", "b", "c")
    clock.now += 60
    windows.due(POLICY)
    before = windows.questions(1)
    assert teach(windows, "d") == [2]
    assert teach(windows, "a") == [1], "the same question again stands where it stood"
    assert windows.questions(1) == before


def test_a_window_is_due_until_it_is_taken_and_a_restart_forgets_nothing(opened: Opened, clock: Clock) -> None:
    with opened() as first:
        teach(first, "a", "b", "c")
        clock.now += 60
        assert first.due(POLICY).windows == ((1, "micro"),)
    with opened() as second:
        assert second.due(POLICY).windows == ((1, "micro"),)
        second.take(1)
        second.take(1)
        assert second.due(POLICY).windows == ()
        assert held(second, 1) == ["a", "b", "c"]


def test_a_new_window_is_numbered_above_those_that_runs_bear_already(windows: WindowsPort, clock: Clock) -> None:
    assert windows.add(lesson("a"), 7).window == 8, "the volume is new, the runs are not"
    assert windows.add(lesson("b"), 9).window == 8, "an open window keeps its number"
    clock.now += LONGEST_SECONDS
    assert windows.due(POLICY).windows == ((8, "micro"),)
    assert windows.add(lesson("c"), 8).window == 9
    assert windows.gather(None, None, 20) == (21, 3)
    clock.now += LONGEST_SECONDS
    windows.due(POLICY)
    assert windows.add(lesson("d")).window == 22
    assert held(windows, 8) == ["a", "b"]
    with pytest.raises(WindowNotFoundError):
        windows.questions(7)


def test_questions_from_many_at_once_are_each_kept_once(opened: Opened) -> None:
    with opened() as one, ThreadPoolExecutor(4) as pool:
        with opened() if isinstance(one, FirestoreWindows) else nullcontext(one) as other:
            sent = [(place, f"{writer}-{number}") for number in range(5) for writer, place in enumerate((one, other))]
            told = list(pool.map(lambda item: item[0].add(lesson(item[1])).total, [*sent, *sent]))
        assert max(told) == one.totals()["questions"] == len(sent)
        number, samples = one.gather(None, None)
        assert (samples, sorted(held(one, number))) == (len(sent), sorted(key for _, key in sent))


def test_what_is_open_or_unknown_is_refused(windows: WindowsPort) -> None:
    teach(windows, "a")
    with pytest.raises(WindowOpenError):
        windows.questions(1)
    with pytest.raises(WindowOpenError):
        windows.take(1)
    with pytest.raises(WindowNotFoundError):
        windows.questions(2)


def test_a_major_window_holds_what_was_recorded_up_to_its_making(windows: WindowsPort, clock: Clock) -> None:
    with pytest.raises(NothingRecordedError):
        windows.gather(None, None)
    teach(windows, "a")
    clock.now += 100
    teach(windows, "b")
    number, samples = windows.gather(None, None)
    assert (number, samples) == (2, 2)
    assert windows.gather(None, None) == (2, 2), "asked for twice it is the same window"
    teach(windows, "c")
    assert held(windows, 2) == ["a", "b"]
    assert windows.due(POLICY).windows == ((2, "major"),)
    late, samples = windows.gather(clock.now, None)
    assert (late, samples, held(windows, late)) == (3, 2, ["b", "c"])
    windows.take(2)
    assert windows.gather(None, None) == (4, 3)


def test_without_a_policy_no_micro_window_closes_and_major_ones_are_due(windows: WindowsPort, clock: Clock) -> None:
    teach(windows, "a", "b", "c")
    windows.gather(None, None)
    clock.now += 7200
    assert windows.due(None).windows == ((2, "major"),)


def test_totals_count_stages_by_language(windows: WindowsPort) -> None:
    windows.add(lesson("a", analysed=True))
    windows.add(lesson("b", "en", raw=0))
    found = windows.totals()
    assert found["questions"] == 2
    assert found["languages"]["sv"] == {"questions": 1, "stage1": 1, "stage2": 1}
    assert found["languages"]["en"] == {"questions": 1, "stage1": 0, "stage2": 0}
    assert found["lastAt"] == "1970-01-12T13:46:40.000Z"


def test_the_file_itself_refuses_to_change_what_was_kept(tmp_path: Path, clock: Clock) -> None:
    windows = Windows.open(tmp_path, clock)
    teach(windows, "a", "b", "c")
    clock.now += 60
    windows.due(POLICY)
    connection = sqlite3.connect(tmp_path / "windows.sqlite3")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute("UPDATE questions SET document = 'x'")
    with pytest.raises(sqlite3.IntegrityError, match="closed"):
        connection.execute(
            "INSERT INTO questions (training, window, at, language, raw, analysed, document)"
            " VALUES ('z', 1, 0, 'sv', 1, 0, '{}')"
        )
    connection.close()
    windows.close()
