"""[I/O] What clients sent to learn from: questions with answers, collected in windows that close and then never change.

`WindowsPort` is what the app needs, wherever they lie; `Windows` keeps them in SQLite, beside the ledger, in a file of
its own: a question here is data for a training run, and what became of it stands in the
ledger once the run is certified. The service's lock on the folder guards this file too.

A window's number is given when its first question comes, so the run it will be trained by has a name at once. Numbers
only rise, even where this file was lost: whoever asks names the highest that a run bears (`after`). Micro
windows close by themselves (see `Policy`); a major window is all that was recorded up to one moment, closed as it is
made. A closed window is due until somebody says that it is taken.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self

from oneseek_core.files import fsync_dir
from oneseek_runtime.records.database import connect, translated
from oneseek_runtime.records.errors import NothingRecordedError, WindowNotFoundError, WindowOpenError

__all__ = [
    "HOUR",
    "LONGEST_SECONDS",
    "Due",
    "Kind",
    "Lesson",
    "Place",
    "Policy",
    "Windows",
    "WindowsPort",
    "closing_moment",
    "moment_text",
    "now_seconds",
]

LONGEST_SECONDS = 3600.0  # a window closes at that age, however few its questions
_FULL = 1000  # questions; then nobody waits for the debounce
HOUR = 3600.0
_FILE = "windows.sqlite3"

Kind = Literal["micro", "major"]

_SCHEMA = """
BEGIN;
CREATE TABLE windows (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, opened REAL NOT NULL, closed REAL,
    taken INTEGER NOT NULL DEFAULT 0, last INTEGER, since REAL, until REAL, samples INTEGER);
CREATE TABLE questions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, training TEXT NOT NULL UNIQUE, window INTEGER NOT NULL REFERENCES windows,
    at REAL NOT NULL, language TEXT NOT NULL, raw INTEGER NOT NULL, analysed INTEGER NOT NULL, document TEXT NOT NULL);
CREATE INDEX questions_of_window ON questions (window);
CREATE TRIGGER questions_are_never_changed BEFORE UPDATE ON questions BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER closed_windows_take_nothing BEFORE INSERT ON questions
    WHEN (SELECT closed FROM windows WHERE number = NEW.window) IS NOT NULL
    BEGIN SELECT RAISE(ABORT, 'the window is closed'); END;
PRAGMA user_version = 1;
COMMIT;
"""


@dataclass(frozen=True, slots=True)
class Policy:
    """When a micro window closes: with enough questions once no more come for a while, but so many an hour at most."""

    minimum_questions: int
    debounce_seconds: float
    maximum_per_hour: int


@dataclass(frozen=True, slots=True)
class Lesson:
    """A question to learn, as it is kept; `document` is what prepare reads."""

    training: str
    language: str
    raw: int
    analysed: bool
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question durably stands: its window, and how many questions there ever were."""

    window: int
    total: int


@dataclass(frozen=True, slots=True)
class Due:
    """Closed windows without a run, and after how many seconds the open one may close (None: there is none)."""

    windows: tuple[tuple[int, Kind], ...]
    again: float | None


class WindowsPort(Protocol):
    """What the app needs of windows; see `Windows` for what each call does."""

    def add(self, lesson: Lesson, after: int = 0) -> Place:
        """Put a question into the open window; the same one again stands where it stood. A new window's number is above `after`."""

    def gather(self, since: float | None, until: float | None, after: int = 0) -> tuple[int, int]:
        """A major window of all that was recorded so far between two moments: (number, questions); numbers as in `add`."""

    def due(self, policy: Policy | None) -> Due:
        """Close the open window if its time has come, and say what waits for a run."""

    def take(self, number: int) -> None:
        """The window's run is there."""

    def questions(self, number: int) -> bytes:
        """A closed window's documents, one a line."""

    def totals(self) -> dict[str, Any]:
        """How much was recorded."""

    def close(self) -> None:
        """Let go."""


def now_seconds() -> float:
    """The wall clock."""
    return datetime.now(UTC).timestamp()


def closing_moment(policy: Policy, *, opened: float, count: int, newest: float, recent: Sequence[float]) -> float:
    """When an open window may close. `recent`: when the last ones of the hour did, newest first, at most the maximum."""
    moment = opened + LONGEST_SECONDS
    if count >= _FULL:
        moment = newest
    elif count >= policy.minimum_questions:
        moment = min(moment, newest + policy.debounce_seconds)
    if len(recent) == policy.maximum_per_hour:
        moment = max(moment, recent[-1] + HOUR)
    return moment


class Windows:
    """All calls are synchronous and may come from any thread; each returns once it is durable."""

    def __init__(self, connection: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self._connection = connection
        self._clock = clock
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: Path, clock: Callable[[], float] = now_seconds) -> Self:
        """Open the file in the records' folder, or make it.

        Raises:
            RecordsError: it is damaged, or the volume is full.
        """
        try:
            connection, version = connect(folder / _FILE)
            if version == 0:
                connection.executescript(_SCHEMA)
            fsync_dir(folder)
        except sqlite3.Error as error:
            raise translated(error) from error
        return cls(connection, clock)

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Any:
        """One transaction; taken back where anything fails."""
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise translated(error) from error

    def add(self, lesson: Lesson, after: int = 0) -> Place:
        """Put a question into the open window; the same one again stands where it stood. A new window's number is above `after`."""
        with self._writing() as connection:
            known = connection.execute("SELECT window FROM questions WHERE training = ?", (lesson.training,)).fetchone()
            if known is None:
                now = self._clock()
                window = _open_window(connection)
                if window is None:
                    window = _next_number(connection, after)
                    statement = "INSERT INTO windows (number, kind, opened) VALUES (?, 'micro', ?)"
                    connection.execute(statement, (window, now))
                text = json.dumps(dict(lesson.document), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
                connection.execute(
                    "INSERT INTO questions (training, window, at, language, raw, analysed, document)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (lesson.training, window, now, lesson.language, lesson.raw, int(lesson.analysed), text),
                )
            else:
                window = int(known[0])
            (total,) = connection.execute("SELECT COUNT(*) FROM questions").fetchone()
        return Place(window, int(total))

    def gather(self, since: float | None, until: float | None, after: int = 0) -> tuple[int, int]:
        """A major window of all that was recorded so far between two moments: (number, questions); numbers as in `add`.

        Asked for again before it is taken, and with nothing new recorded, it is the same window.

        Raises:
            NothingRecordedError: there is no question in it.
        """
        low, high = since if since is not None else float("-inf"), until if until is not None else float("inf")
        with self._writing() as connection:
            row = connection.execute(
                "SELECT COUNT(*), MAX(id) FROM questions WHERE at >= ? AND at < ?", (low, high)
            ).fetchone()
            samples, last = int(row[0]), row[1]
            if not samples:
                raise NothingRecordedError("no question was recorded in that time, so there is nothing to train on")
            same = connection.execute(
                "SELECT number FROM windows WHERE kind = 'major' AND taken = 0 AND last = ? AND since IS ? AND until IS ?",
                (last, since, until),
            ).fetchone()
            if same is not None:
                return int(same[0]), samples
            now = self._clock()
            number = _next_number(connection, after)
            connection.execute(
                "INSERT INTO windows (number, kind, opened, closed, last, since, until, samples)"
                " VALUES (?, 'major', ?, ?, ?, ?, ?, ?)",
                (number, now, now, last, since, until, samples),
            )
            return number, samples

    def due(self, policy: Policy | None) -> Due:
        """Close the open window if its time has come (never without a policy), and say what waits for a run."""
        with self._writing() as connection:
            again = _close(connection, policy, self._clock()) if policy is not None else None
            rows = connection.execute(
                "SELECT number, kind FROM windows WHERE closed IS NOT NULL AND taken = 0 ORDER BY number LIMIT 100"
            ).fetchall()
        return Due(tuple((int(number), kind) for number, kind in rows if policy or kind == "major"), again)

    def take(self, number: int) -> None:
        """The window's run is there; the window is not due any more.

        Raises:
            WindowNotFoundError, WindowOpenError: see there.
        """
        with self._writing() as connection:
            _closed(connection, number)
            connection.execute("UPDATE windows SET taken = 1 WHERE number = ?", (number,))

    def questions(self, number: int) -> bytes:
        """A closed window's documents, one a line, in the order in which they came.

        Raises:
            WindowNotFoundError, WindowOpenError: see there.
        """
        with self._writing() as connection:
            kind, last, since, until = _closed(connection, number)
            if kind == "micro":
                statement = "SELECT document FROM questions WHERE window = ? ORDER BY id"
                values: list[float | None] = [number]
            else:
                statement = "SELECT document FROM questions WHERE id <= ? AND at >= ? AND at < ? ORDER BY id"
                low = float("-inf") if since is None else since
                values = [last, low, float("inf") if until is None else until]
            with closing(connection.execute(statement, values)) as cursor:
                return b"".join(str(text).encode() + b"\n" for (text,) in cursor)

    def totals(self) -> dict[str, Any]:
        """How much was recorded, by language; and when the newest question came."""
        with self._writing() as connection:
            rows = connection.execute(
                "SELECT language, COUNT(*), SUM(raw > 0), SUM(analysed), MAX(at) FROM questions GROUP BY language"
            ).fetchall()
            kinds = dict(
                connection.execute("SELECT kind, COUNT(*) FROM windows WHERE closed IS NOT NULL GROUP BY kind")
            )
        newest = max((float(row[4]) for row in rows), default=None)
        return {
            "questions": sum(int(row[1]) for row in rows),
            "languages": {
                str(row[0]): {"questions": int(row[1]), "stage1": int(row[2]), "stage2": int(row[3])} for row in rows
            },
            "lastAt": moment_text(newest) if newest is not None else None,
            "windows": {"micro": int(kinds.get("micro", 0)), "major": int(kinds.get("major", 0))},
        }


def _open_window(connection: sqlite3.Connection) -> int | None:
    row = connection.execute("SELECT number FROM windows WHERE kind = 'micro' AND closed IS NULL").fetchone()
    return None if row is None else int(row[0])


def _next_number(connection: sqlite3.Connection, after: int) -> int:
    """A number that no window has or had, above `after`."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'windows'").fetchone()
    return max(0 if row is None else int(row[0]), after) + 1


def _closed(connection: sqlite3.Connection, number: int) -> tuple[str, int, float | None, float | None]:
    row = connection.execute(
        "SELECT kind, last, since, until, closed FROM windows WHERE number = ?", (number,)
    ).fetchone()
    if row is None:
        raise WindowNotFoundError(f"there is no window {number}")
    if row[4] is None:
        raise WindowOpenError(f"window {number} is not closed yet: more may come into it")
    return str(row[0]), row[1], row[2], row[3]


def _close(connection: sqlite3.Connection, policy: Policy, now: float) -> float | None:
    """Close the open window, or say after how many seconds it may."""
    row = connection.execute(
        "SELECT number, opened, COUNT(*), MAX(at) FROM windows JOIN questions ON window = number"
        " WHERE kind = 'micro' AND closed IS NULL GROUP BY number"
    ).fetchone()
    if row is None:
        return None
    number, opened, count, newest = int(row[0]), float(row[1]), int(row[2]), float(row[3])
    recent = [
        float(closed)
        for (closed,) in connection.execute(
            "SELECT closed FROM windows WHERE kind = 'micro' AND closed > ? ORDER BY closed DESC LIMIT ?",
            (now - HOUR, policy.maximum_per_hour),
        )
    ]
    moment = closing_moment(policy, opened=opened, count=count, newest=newest, recent=recent)
    if now < moment:
        return moment - now
    connection.execute("UPDATE windows SET closed = ? WHERE number = ?", (now, number))
    return None


def moment_text(moment: float) -> str:
    """A moment as ISO text."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
