"""`pause MODEL|RUN`: stop what it does and keep it so (`spec.suspend`, written as the user)."""

from __future__ import annotations

from argparse import ArgumentParser

from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.suspending import add_target, suspend

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """What `pause` takes."""
    add_target(parser)


def run(call: Call) -> Answer:
    """Set `spec.suspend`.

    Raises:
        CannotTellError: the object cannot be read or written.
    """
    return suspend(call, wanted=True)
