"""`pause MODEL|RUN`: stop what it does and keep it so (`spec.suspend`, written as the user)."""

from __future__ import annotations

from argparse import ArgumentParser

from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.suspending import add_target, suspend

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = (
    "A model scales to zero and starts nothing; a run's training stops and later goes on from its checkpoint. "
    "Refused where Flux or Argo CD keeps the field, because they would undo it."
)


def add_arguments(parser: ArgumentParser) -> None:
    """What `pause` takes."""
    add_target(parser)


def run(call: Call) -> Answer:
    """Set `spec.suspend`.

    Raises:
        CannotTellError: the object cannot be read or written.
    """
    return suspend(call, wanted=True)
