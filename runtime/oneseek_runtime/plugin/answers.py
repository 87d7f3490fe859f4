"""What a verb is asked with and what it answers: a document for machines, a text for people, an exit code for scripts.

The exit code is the answer in one digit, so that no script has to read the text: nothing but "yes" is ever 0.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any

from oneseek_runtime.plugin.kubectl import Kubectl

__all__ = ["Answer", "Call", "Exit"]


class Exit(IntEnum):
    """How the plugin ends."""

    OK = 0  # shown; verified; clean
    REFUSED = 1  # looked at, and it is not what it ought to be
    CANNOT_TELL = 2  # wrong usage, or something could not be read


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a verb: its arguments, the cluster, and the time it is."""

    arguments: Namespace
    kubectl: Kubectl
    now: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb found. `notes` go to stderr: they limit the answer, whatever form it is printed in."""

    document: Mapping[str, Any]
    text: str
    code: Exit = Exit.OK
    notes: tuple[str, ...] = ()
