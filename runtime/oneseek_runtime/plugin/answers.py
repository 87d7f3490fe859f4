"""What a verb is asked with and what it answers: a document for machines, a text for people, an exit code for scripts.

The exit code is the answer in one digit, so that no script has to read the text: nothing but "yes" is ever 0.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from oneseek_runtime.plugin.clock import Clock
from oneseek_runtime.plugin.kubectl import Kubectl

__all__ = ["Answer", "Answers", "Call", "Exit"]


class Exit(IntEnum):
    """How the plugin ends."""

    OK = 0  # shown; verified; clean; done
    REFUSED = 1  # looked at, and it is not what it ought to be; asked for, and refused
    CANNOT_TELL = 2  # wrong usage, something could not be read, or no outcome in time


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
