"""`retry RUN`: let a training run that failed go on; nothing else ever runs a finished run again."""

from __future__ import annotations

from argparse import ArgumentParser

from oneseek_core import names
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.asking import Wish, add_wait, ask

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = "A run that has ended never runs again unless it is told to here. Needs the verbs patch and retry on the TrainingRun."


def add_arguments(parser: ArgumentParser) -> None:
    """What `retry` takes."""
    parser.add_argument("run", metavar="RUN", help="name of a TrainingRun that has failed")
    add_wait(parser)


def run(call: Call) -> Answer:
    """Ask for the retry.

    Raises:
        CannotTellError: the run cannot be read or written.
    """
    found = reading.read_run(call.kubectl, call.arguments.run)
    return ask(call, reading.RUNS, found, Wish(names.RETRY_VERB, "true"))
