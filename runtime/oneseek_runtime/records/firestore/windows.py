"""[I/O] The windows of what clients sent to learn from, in Firestore. What they are, and when they close: `windows`.

One document (`oneseek_windows/state`) holds the open window and every counter; each change is one commit that is
guarded by it, so two services never give one number twice. A closed window's document is written once.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from google.cloud.firestore_v1.base_query import FieldFilter
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python

from oneseek_runtime.records.errors import (
    AwayError,
    BadRequestError,
    BusyError,
    NothingRecordedError,
    WindowNotFoundError,
    WindowOpenError,
)
from oneseek_runtime.records.firestore import layout
from oneseek_runtime.records.firestore.store import FirestoreStore
from oneseek_runtime.records.windows import (
    HOUR,
    Due,
    Kind,
    Lesson,
    Place,
    Policy,
    closing_moment,
    moment_text,
    now_seconds,
)

__all__ = ["FirestoreWindows"]

Result = TypeVar("Result")

_WINDOWS = "oneseek_windows"
_QUESTIONS = "oneseek_questions"
_STATE = "state"
_LISTED = 100  # windows that are due, in one answer
_LONGEST = 1_000_000  # bytes of one question's document
_STREAM_SECONDS = 60.0  # for all questions of a window


@dataclass(frozen=True, slots=True)
class _Open:
    number: int
    opened: float
    count: int
    newest: float


@dataclass(frozen=True, slots=True)
class _Closed:
    """`last`: the newest question in it, by id."""

    number: int
    kind: Kind
    opened: float
    closed: float
    last: int
    samples: int
    since: float | None = None
    until: float | None = None


@dataclass(frozen=True, slots=True)
class _Stages:
    questions: int = 0
    stage1: int = 0
    stage2: int = 0

    def with_one(self, lesson: Lesson) -> _Stages:
        return _Stages(self.questions + 1, self.stage1 + (lesson.raw > 0), self.stage2 + lesson.analysed)


@dataclass(frozen=True, slots=True)
class _State:
    """All that is known about windows, less the questions. `due`: closed and not taken, oldest first."""

    windows: int = 0
    questions: int = 0
    open: _Open | None = None
    due: tuple[_Closed, ...] = ()
    recent: tuple[float, ...] = ()
    languages: dict[str, _Stages] = field(default_factory=dict)
    last_at: float | None = None
    micro: int = 0
    major: int = 0


_READ = TypeAdapter(_State)


class FirestoreWindows:
    """`WindowsPort` in the database of a store; see the module."""

    def __init__(self, store: FirestoreStore, clock: Callable[[], float] = now_seconds) -> None:
        self._store, self._clock = store, clock

    def close(self) -> None:
        """Nothing: the store has the connection."""

    def _trying(self, attempt: Callable[[], Result]) -> Result:
        """Do it, again while others write in between and time is left."""
        until = time.monotonic() + self._store.deadline
        while True:
            self._store.refuse_unopened()
            try:
                return attempt()
            except Exception as error:
                told = self._store.connection.translated(error)
                if not isinstance(told, BusyError) or time.monotonic() > until:
                    if isinstance(told, AwayError):
                        self._store.note_away(told)
                    raise told from error
            time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - so that two services do not march

    def _document(self, collection: str, name: str) -> Any:
        return self._store.connection.client().collection(collection).document(name)

    def _read(self, *paths: tuple[str, str]) -> tuple[_State, Any, list[dict[str, Any] | None]]:
        """(the state, what proves at a commit that it is still that one, further documents)."""
        wanted = [(_WINDOWS, _STATE), *paths]
        client = self._store.connection.client()
        references = [self._document(*path) for path in wanted]
        found = {
            (one.reference.parent.id, one.id): one
            for one in client.get_all(references, retry=None, timeout=self._store.deadline)
            if one.exists
        }
        state = found.get(wanted[0])
        others = [found[path].to_dict() if path in found else None for path in paths]
        if state is None:
            return _State(), None, others
        return _READ.validate_python(state.to_dict()), state.update_time, others

    def _write(self, state: _State, before: Any, *made: tuple[str, str, dict[str, Any]]) -> None:
        """Put a state in the place of the one that was read, together with new documents."""
        client = self._store.connection.client()
        batch = client.batch()
        for collection, name, fields in made:
            batch.create(self._document(collection, name), fields)
        reference, fields = self._document(_WINDOWS, _STATE), to_jsonable_python(state)
        if before is None:
            batch.create(reference, fields)
        else:
            batch.update(reference, fields, option=client.write_option(last_update_time=before))
        batch.commit(retry=None, timeout=self._store.deadline)

    def add(self, lesson: Lesson, after: int = 0) -> Place:
        """Put a question into the open window; the same one again stands where it stood. A new window's number is above `after`."""
        text = json.dumps(dict(lesson.document), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        if len(text.encode()) > _LONGEST:
            raise BadRequestError(f"{lesson.training} is larger than Firestore takes (1 MiB)")
        return self._trying(lambda: self._add(lesson, text, after))

    def _add(self, lesson: Lesson, text: str, after: int) -> Place:
        path = (_QUESTIONS, layout.key_id(lesson.training))
        state, before, (known,) = self._read(path)
        if known is not None:
            return Place(int(known["window"]), state.questions)
        now = self._clock()
        window = state.open or _Open(max(state.windows, after) + 1, now, 0, now)
        stages = state.languages.get(lesson.language, _Stages()).with_one(lesson)
        new = replace(
            state,
            windows=max(state.windows, window.number),
            questions=state.questions + 1,
            open=replace(window, count=window.count + 1, newest=now),
            languages={**state.languages, lesson.language: stages},
            last_at=max(now, state.last_at or now),
        )
        question = {
            "id": new.questions,
            "training": lesson.training,
            "window": window.number,
            "at": now,
            "language": lesson.language,
            "raw": lesson.raw,
            "analysed": lesson.analysed,
            "document": text,
        }
        self._write(new, before, (*path, question))
        return Place(window.number, new.questions)

    def gather(self, since: float | None, until: float | None, after: int = 0) -> tuple[int, int]:
        """A major window of all that was recorded so far between two moments: (number, questions); numbers as in `add`.

        Raises:
            NothingRecordedError: there is no question in it.
        """
        return self._trying(lambda: self._gather(since, until, after))

    def _gather(self, since: float | None, until: float | None, after: int) -> tuple[int, int]:
        state, before, _ = self._read()
        if since is None and until is None:
            samples = last = state.questions
        else:
            found = [one.get("id") for one in self._between(since, until, ["id"])]
            samples, last = len(found), max(found, default=0)
        if not samples:
            raise NothingRecordedError("no question was recorded in that time, so there is nothing to train on")
        for one in state.due:
            if (one.kind, one.last, one.since, one.until) == ("major", last, since, until):
                return one.number, one.samples
        now = self._clock()
        made = _Closed(max(state.windows, after) + 1, "major", now, now, last, samples, since, until)
        new = replace(state, windows=made.number, due=(*state.due, made), major=state.major + 1)
        self._write(new, before, (_WINDOWS, str(made.number), to_jsonable_python(made)))
        return made.number, samples

    def _between(self, since: float | None, until: float | None, fields: list[str] | None = None) -> list[Any]:
        query = self._store.connection.client().collection(_QUESTIONS)
        if fields:
            query = query.select(fields)
        for operation, moment in ((">=", since), ("<", until)):
            if moment is not None:
                query = query.where(filter=FieldFilter("at", operation, moment))
        return list(query.stream(retry=None, timeout=_STREAM_SECONDS))

    def due(self, policy: Policy | None) -> Due:
        """Close the open window if its time has come (never without a policy), and say what waits for a run."""
        return self._trying(lambda: self._due(policy))

    def _due(self, policy: Policy | None) -> Due:
        state, before, _ = self._read()
        again = None
        if policy is not None and state.open is not None:
            now, opened = self._clock(), state.open
            recent = sorted((one for one in state.recent if one > now - HOUR), reverse=True)
            moment = closing_moment(
                policy,
                opened=opened.opened,
                count=opened.count,
                newest=opened.newest,
                recent=recent[: policy.maximum_per_hour],
            )
            if now < moment:
                again = moment - now
            else:
                made = _Closed(opened.number, "micro", opened.opened, now, state.questions, opened.count)
                due = tuple(sorted((*state.due, made), key=lambda one: one.number))
                state = replace(state, open=None, due=due, recent=(*recent, now), micro=state.micro + 1)
                self._write(state, before, (_WINDOWS, str(made.number), to_jsonable_python(made)))
        found = tuple((one.number, one.kind) for one in state.due[:_LISTED] if policy or one.kind == "major")
        return Due(found, again)

    def take(self, number: int) -> None:
        """The window's run is there; the window is not due any more.

        Raises:
            WindowNotFoundError, WindowOpenError: see there.
        """
        self._trying(lambda: self._take(number))

    def _take(self, number: int) -> None:
        state, before, _ = self._read()
        _refuse(state, number)
        left = tuple(one for one in state.due if one.number != number)
        if len(left) < len(state.due):
            self._write(replace(state, due=left), before)

    def questions(self, number: int) -> bytes:
        """A closed window's documents, one a line, in the order in which they came.

        Raises:
            WindowNotFoundError, WindowOpenError: see there.
        """
        return self._trying(lambda: self._questions(number))

    def _questions(self, number: int) -> bytes:
        state, _, (fields,) = self._read((_WINDOWS, str(number)))
        _refuse(state, number)
        if fields is None:
            raise WindowNotFoundError(f"window {number} is closed, but its document is gone")
        window = TypeAdapter(_Closed).validate_python(fields)
        if window.kind == "micro":
            collection = self._store.connection.client().collection(_QUESTIONS)
            query = collection.where(filter=FieldFilter("window", "==", number))
            found = list(query.stream(retry=None, timeout=_STREAM_SECONDS))
        else:
            found = [one for one in self._between(window.since, window.until) if one.get("id") <= window.last]
        # Sorted here: two fields in one query would need an index that somebody has to make.
        return b"".join(
            one.get("document").encode() + b"\n" for one in sorted(found, key=lambda one: int(one.get("id")))
        )

    def totals(self) -> dict[str, Any]:
        """How much was recorded, by language; and when the newest question came."""
        state, _, _ = self._trying(self._read)
        return {
            "questions": state.questions,
            "languages": to_jsonable_python(state.languages),
            "lastAt": moment_text(state.last_at) if state.last_at is not None else None,
            "windows": {"micro": state.micro, "major": state.major},
        }


def _refuse(state: _State, number: int) -> None:
    if not 0 < number <= state.windows:
        raise WindowNotFoundError(f"there is no window {number}")
    if state.open is not None and state.open.number == number:
        raise WindowOpenError(f"window {number} is not closed yet: more may come into it")
