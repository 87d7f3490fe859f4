"""What a verb is asked with and what it answers: a document for machines, a text for people, an exit code for scripts.

The exit code is the answer in one digit, so that no script has to read the text: nothing but "yes" is ever 0.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, TypeVar

from oneseek_runtime.plugin.kubectl import Kubectl

__all__ = ["Answer", "Answers", "Call", "Clock", "Exit"]

T = TypeVar("T")
_FIRST, _LONGEST = 0.2, 2.0  # seconds between two looks


class Exit(IntEnum):
    """How the plugin ends."""

    OK = 0  # shown; verified; clean; done
    REFUSED = 1  # looked at, and it is not what it ought to be; asked for, and refused
    CANNOT_TELL = 2  # wrong usage, something could not be read, or no outcome in time


class Clock:
    """[I/O] The machine's clock; tests put another in its place."""

    def now(self) -> datetime:
        """The time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that only rise."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def wait(self, look: Callable[[], T | None], *, seconds: float) -> T | None:
        """Call `look` until it returns something, ever less often; None if it does not within `seconds`."""
        deadline, pause = self.monotonic() + seconds, _FIRST
        while (found := look()) is None:
            left = deadline - self.monotonic()
            if left <= 0:
                return None
            self.sleep(min(pause, left))
            pause = min(pause * 1.3, _LONGEST)
        return found


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a verb: its arguments, the cluster, and the time it is."""

    arguments: Namespace
    kubectl: Kubectl
    now: datetime
    clock: Clock = field(default_factory=Clock)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb found. `notes` go to stderr: they limit the answer, whatever form it is printed in.

    `live`: the newest state of what an earlier answer of the same stream showed; it takes that one's place.
    """

    document: Mapping[str, Any]
    text: str
    code: Exit = Exit.OK
    notes: tuple[str, ...] = ()
    live: bool = False


Answers = Answer | Iterator[Answer]
"""One answer, or a stream of them: what is watched or followed."""
