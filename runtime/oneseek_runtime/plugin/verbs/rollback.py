"""`rollback MODEL [DNA|base]`: back to the version before, to a named one, or to the base model.

What is left goes into quarantine and does not come back until `release`, whatever Git applies meanwhile.
"""

from __future__ import annotations

from argparse import ArgumentParser

from oneseek_core import names
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.asking import add_wait
from oneseek_runtime.plugin.choosing import DNA_HELP, MODEL_HELP, choose

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = (
    "What is left goes into quarantine and does not come back by itself, whatever Git applies meanwhile; `kubectl "
    "oneseek release` lets it answer again. No request is dropped. Needs the verbs patch and rollback on the "
    "OneSeekModel, nothing else."
)


def add_arguments(parser: ArgumentParser) -> None:
    """What `rollback` takes."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "version",
        metavar="DNA|base",
        nargs="?",
        default=names.PREVIOUS,
        help=f"{DNA_HELP}; base: the base model; unless named: the version that answered before",
    )
    add_wait(parser)


def run(call: Call) -> Answer:
    """Ask for the rollback.

    Raises:
        CannotTellError: the model cannot be read or written.
    """
    return choose(call, "rollback", names.PREVIOUS, names.BASE)
