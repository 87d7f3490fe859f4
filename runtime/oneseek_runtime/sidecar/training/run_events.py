"""[I/O] Events for open sockets when a Micro run has made a version: each question's stages, then the new DNA.

They go to sockets that listen for micro-training, else to every socket, as in the old service. They are not stored:
`/api/training/micro/stats` has the totals.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.cluster.informer import Informer
from oneseek_runtime.sidecar.records.client import RecordsAwayError, RecordsClient
from oneseek_runtime.sidecar.training import accepted as accepting
from oneseek_runtime.sidecar.training.accepted import Accepted
from oneseek_runtime.sidecar.training.examples import TrainingExample, example_of_document
from oneseek_runtime.sidecar.training.runs import Run

__all__ = ["CHANNEL", "Listener", "MicroRunEvents", "events_of"]

CHANNEL = "micro-training"  # the run id under which old pages ask for them
Event = dict[str, Any]

_QUESTION_CHARACTERS = 100
_MOST_WAITING = 10_000  # events for a slow socket; above that the oldest are dropped
_LOOK_SECONDS = 3600.0


def events_of(run: Run, window: int, examples: Sequence[tuple[str, TrainingExample]]) -> list[Event]:
    """The events of a run, for each of its window's questions with their language. Pure."""
    accepted = Accepted("", window, run.name, run)
    every = [
        (language, example, accepting.stages(example, accepted, "samples_processed")) for language, example in examples
    ]
    about = {"model": run.dna, "run": run.name, "timestamp": run.completed_at}

    def event(kind: str, language: str, example: TrainingExample, **rest: Any) -> Event:
        asked = {"run_id": CHANNEL, "question": example.question[:_QUESTION_CHARACTERS], "language": language}
        return {"type": kind, **asked, **about, **rest}

    first = [
        event(
            "stage1_complete",
            language,
            example,
            samples=stages["stage1"]["samples_processed"],
            result=stages["stage1"]["result"],
        )
        for language, example, stages in every
        if stages["stage1"]["completed"]
    ]
    second = [
        event("stage2_complete", language, example, result=stages["stage2"]["result"])
        for language, example, stages in every
        if stages["stage2"]["completed"]
    ]
    known = accepting.dna_of(run)
    hashed = {key: known[key] for key in ("dna_hash", "total_samples")} if known else {}
    return [*first, *second, {"type": "dna_updated", "run_id": CHANNEL, **about, "state": run.state, **hashed}]


@dataclass(eq=False, slots=True)
class Listener:
    """The unsent events of one socket."""

    asked: bool  # whether it listens for micro-training by name
    _waiting: deque[Event] = field(default_factory=lambda: deque(maxlen=_MOST_WAITING))
    _come: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, events: Sequence[Event]) -> None:
        """Add events; never waits."""
        self._waiting.extend(events)
        self._come.set()

    async def next(self) -> Event:
        """Wait for the oldest event."""
        while not self._waiting:
            self._come.clear()
            await self._come.wait()
        return self._waiting.popleft()


class MicroRunEvents:
    """Publishes events to listening sockets while `run` runs."""

    def __init__(self, informer: Informer, records: RecordsClient) -> None:
        self._informer = informer
        self._records = records
        self._listeners: set[Listener] = set()
        self._under_way: set[str] = set()

    @contextmanager
    def listen(self, *, asked: bool) -> Generator[Listener, None, None]:
        """Registers a socket."""
        listener = Listener(asked)
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    async def run(self) -> None:
        """Publish the events of every Micro run that ends with a version."""
        while True:
            for run, window in await self._informer.until(self._ended, seconds=_LOOK_SECONDS) or ():
                if self._listeners:
                    self._publish(events_of(run, window, await self._examples(window)))

    def _publish(self, events: Sequence[Event]) -> None:
        asked = [listener for listener in self._listeners if listener.asked]
        for listener in asked or self._listeners:
            listener.put(events)

    def _ended(self, informer: Informer) -> list[tuple[Run, int]] | None:
        """Runs that were active at the last call and have made a version since."""
        before, self._under_way, found = self._under_way, set(), []
        for item in informer.runs:
            window = _window(item)
            if window is None:
                continue
            run = Run.of(item)
            if run.state in ("queued", "running"):
                self._under_way.add(run.name)
            elif run.name in before and run.state in ("certified", "rejected"):
                found.append((run, window))
        return found or None

    async def _examples(self, window: int) -> list[tuple[str, TrainingExample]]:
        """The window's questions; none if the records service is away: then only the DNA is published."""
        try:
            lines = await self._records.questions(window)
        except RecordsAwayError as error:
            say("microNewsShort", window=window, error=str(error))
            return []
        documents = [json.loads(line) for line in lines.splitlines() if line.strip()]
        return [(str(document.get("language", "")), example_of_document(document)) for document in documents]


def _window(run: TrainingRun) -> int | None:
    """The window of a Micro run; None for other runs."""
    sources = (dataset.source.records for dataset in run.spec.datasets if run.spec.type == "Micro")
    return next((source.window for source in sources if source and source.window), None)
