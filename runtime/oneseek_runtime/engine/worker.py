"""One thread that generates, and a bounded queue in front of it: first come, first served.

The event loop hands a job over and reads its events; neither side waits for the other. A job whose client went away is
skipped, or ends before its next token.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from oneseek_runtime.engine.errors import QueueFullError
from oneseek_runtime.engine.model import Adapter, LoadedModel
from oneseek_runtime.engine.text import StopScanner, TextStream
from oneseek_runtime.engine.wire import Sampling, Token

__all__ = ["Job", "Piece", "Worker"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What became new: text that may be shown, the tokens generated; `reason` on the last piece only."""

    text: str
    tokens: tuple[Token, ...] = ()
    reason: str | None = None


@dataclass(slots=True)
class Job:
    """One generation. `adapter` is what the tokens must come from, whatever is loaded or removed meanwhile."""

    prompt: Sequence[int]
    sampling: Sampling
    adapter: Adapter
    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Piece | Exception] = field(default_factory=asyncio.Queue)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def emit(self, event: Piece | Exception) -> None:
        """Called in the worker's thread; a loop that is closed has nobody left who listens."""
        try:
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)
        except RuntimeError:
            self.cancelled.set()

    async def pieces(self) -> AsyncIterator[Piece]:
        """The events, up to and including the last. Leaving the iteration early cancels the job."""
        try:
            while True:
                event = await self.events.get()
                if isinstance(event, Exception):
                    raise event
                yield event
                if event.reason is not None:
                    return
        finally:
            self.cancelled.set()


class Worker:
    """The thread around a model. Start it once; it dies with the process."""

    def __init__(self, model: LoadedModel, *, limit: int) -> None:
        self._model = model
        self._queue: queue.Queue[Job] = queue.Queue(maxsize=limit)
        self._thread = threading.Thread(target=self._run, name="generation", daemon=True)

    def start(self) -> None:
        """Begin to take jobs."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Put a job at the end of the queue.

        Raises:
            QueueFullError: so many wait already that the client is better told to come again.
        """
        try:
            self._queue.put_nowait(job)
        except queue.Full as error:
            raise QueueFullError(f"{self._queue.maxsize} requests are waiting; try again later") from error

    def _run(self) -> None:
        while True:
            job = self._queue.get()
            if job.cancelled.is_set():
                continue
            try:
                self._generate(job)
            except Exception as error:  # noqa: BLE001 - a failed request must not end the thread that serves all others
                job.emit(error)

    def _generate(self, job: Job) -> None:
        stream, scanner = TextStream(self._model.decode), StopScanner(job.sampling.stop)
        reason, offset = "length", 0
        for made in self._model.generate(job.prompt, job.sampling, job.adapter, job.cancelled.is_set):
            top = tuple((self._model.token_text(other), logprob) for other, logprob in made.likeliest)
            token = Token(self._model.token_text(made.token), made.logprob, top, offset)
            offset += len(token.text)
            text = "" if made.end else scanner.feed(stream.feed(made.token))
            job.emit(Piece(text, (token,)))
            if made.end or scanner.stopped:
                reason = "stop"
                break
        rest = scanner.feed(stream.finish())
        job.emit(Piece(rest + scanner.finish(), reason="stop" if scanner.stopped else reason))
