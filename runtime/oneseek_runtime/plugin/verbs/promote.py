"""`promote MODEL [DNA]`: let the version that waits, or a named one, take over."""

from __future__ import annotations

from argparse import ArgumentParser

from oneseek_core import names
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.asking import add_wait
from oneseek_runtime.plugin.choosing import DNA_HELP, MODEL_HELP, choose

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = (
    "The version must be certified, have passed the gate and not be in quarantine. While Git pins a version "
    "(spec.version) it is refused: change it there. Needs the verbs patch and promote on the OneSeekModel, nothing else."
)


def add_arguments(parser: ArgumentParser) -> None:
    """What `promote` takes."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "version",
        metavar="DNA",
        nargs="?",
        default=names.CANDIDATE,
        help=f"{DNA_HELP}; unless named: the candidate, which has passed its probes and waits",
    )
    add_wait(parser)


def run(call: Call) -> Answer:
    """Ask for the promotion.

    Raises:
        CannotTellError: the model cannot be read or written.
    """
    return choose(call, "promote", names.CANDIDATE)
