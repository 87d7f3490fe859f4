"""[I/O] What open sockets are told once a Micro run has made a version: each question's stages, then the new DNA.

A post is answered before anything is trained, so these events are the only word that comes by itself of what was
learned. They go to who listens for micro-training, and to every socket where nobody does, as the old service sent them.
They are news, not records: who was not connected reads `/api/training/micro/stats`.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from oneseek_runtime.log import say
from oneseek_runtime.sidecar.cluster.informer import Mirror
from oneseek_runtime.sidecar.records.client import RecordsAwayError
from oneseek_runtime.sidecar.records.recorder import RecordsPort
from oneseek_runtime.sidecar.training import accepted as accepting
from oneseek_runtime.sidecar.training.accepted import Accepted
from oneseek_runtime.sidecar.training.examples import Lesson, lesson_of_document
from oneseek_runtime.sidecar.training.runs import Run

__all__ = ["CHANNEL", "Listener", "MicroNews", "events_of"]

CHANNEL = "micro-training"  # the run id under which old pages ask for them
Event = dict[str, Any]

_QUESTION_CHARACTERS = 100
_MOST_WAITING = 10_000  # events for a socket that does not read; of more, the oldest are let go
_LOOK_SECONDS = 3600.0


def events_of(run: Run, window: int, taught: Sequence[tuple[str, Lesson]]) -> list[Event]:
    """What a run that made a version tells of its window's questions, each with its language. Pure."""
    accepted = Accepted("", window, run.name, run)
    every = [(language, lesson, accepting.stages(lesson, accepted, "samples_processed")) for language, lesson in taught]
    about = {"model": run.dna, "run": run.name, "timestamp": run.completed_at}

    def told(kind: str, language: str, lesson: Lesson, **rest: Any) -> Event:
        asked = {"run_id": CHANNEL, "question": lesson.question[:_QUESTION_CHARACTERS], "language": language}
        return {"type": kind, **asked, **about, **rest}

    first = [
        told(
            "stage1_complete",
            language,
            lesson,
            samples=stages["stage1"]["samples_processed"],
            result=stages["stage1"]["result"],
        )
        for language, lesson, stages in every
        if stages["stage1"]["completed"]
    ]
    second = [
        told("stage2_complete", language, lesson, result=stages["stage2"]["result"])
        for language, lesson, stages in every
        if stages["stage2"]["completed"]
    ]
    known = accepting.dna_of(run)
    hashed = {key: known[key] for key in ("dna_hash", "total_samples")} if known else {}
    return [*first, *second, {"type": "dna_updated", "run_id": CHANNEL, **about, "state": run.state, **hashed}]


@dataclass(eq=False, slots=True)
class Listener:
    """One socket's events that were not sent yet."""

    asked: bool
    """Whether it asked for micro-training by name."""
    _waiting: deque[Event] = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))
    _come: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, events: Sequence[Event]) -> None:
        """Never waits."""
        self._waiting.extend(events)
        self._come.set()

    async def next(self) -> Event:
        """The oldest event, once there is one."""
        while not self._waiting:
            self._come.clear()
            await self._come.wait()
        return self._waiting.popleft()


class MicroNews:
    """`run` works until it is cancelled; sockets `listen` meanwhile."""

    def __init__(self, mirror: Mirror, records: RecordsPort) -> None:
        self._mirror = mirror
        self._records = records
        self._listeners: set[Listener] = set()
        self._under_way: set[str] = set()

    @contextmanager
    def listen(self, *, asked: bool) -> Generator[Listener, None, None]:
        """A socket's place among the listeners."""
        listener = Listener(asked)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def run(self) -> None:
        """Tell of every Micro run that is seen to end with a version."""
        while True:
            for run, window in await self._mirror.until(self._ended, seconds=_LOOK_SECONDS) or ():
                if self._listeners:
                    self._tell(events_of(run, window, await self._taught(window)))

    def _tell(self, events: Sequence[Event]) -> None:
        asked = [listener for listener in self._listeners if listener.asked]
        for listener in asked or self._listeners:
            listener.put(events)

    def _ended(self, mirror: Mirror) -> list[tuple[Run, int]] | None:
        """Runs that were under way when last looked at, and have made a version: those of before we came are no news."""
        before, self._under_way, found = self._under_way, set(), []
        for item in mirror.runs:
            window = _window(item)
            if window is None:
                continue
            run = Run.of(item)
            if run.state in ("queued", "running"):
                self._under_way.add(run.name)
            elif run.name in before and run.state in ("certified", "rejected"):
                found.append((run, window))
        return found or None

    async def _taught(self, window: int) -> list[tuple[str, Lesson]]:
        """The window's questions; none where records are away, and then the DNA is all that is told."""
        try:
            lines = await self._records.questions(window)
        except RecordsAwayError as error:
            say("microNewsShort", window=window, error=str(error))
            return []
        documents = [json.loads(line) for line in lines.splitlines() if line.strip()]
        return [(str(document.get("language", "")), lesson_of_document(document)) for document in documents]


def _window(item: Mapping[str, Any]) -> int | None:
    """The window that a Micro run was made for; None of any other run. Reads leniently, as `Run.of`."""
    spec = item.get("spec")
    if not isinstance(spec, Mapping) or spec.get("type") != "Micro":
        return None
    datasets = spec.get("datasets")
    for dataset in datasets if isinstance(datasets, list) else ():
        match dataset:
            case {"source": {"records": {"window": int(number)}}}:
                return number
    return None
