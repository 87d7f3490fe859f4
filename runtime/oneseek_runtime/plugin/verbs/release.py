"""`release MODEL DNA|all`: take a version, or all of them, out of quarantine."""

from __future__ import annotations

from argparse import ArgumentParser

from oneseek_core import names
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.asking import add_wait
from oneseek_runtime.plugin.choosing import DNA_HELP, MODEL_HELP, choose

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = (
    "A version comes into quarantine when somebody went back from it, when it failed, or when its files were "
    "changed. Releasing what a rollback left ends the rollback: then Git, or the newest version, decides again. "
    "Needs the verbs patch and release on the OneSeekModel."
)


def add_arguments(parser: ArgumentParser) -> None:
    """What `release` takes."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("version", metavar="DNA|all", help=f"{DNA_HELP}; all: everything in quarantine")
    add_wait(parser)


def run(call: Call) -> Answer:
    """Ask for the release.

    Raises:
        CannotTellError: the model cannot be read or written.
    """
    return choose(call, "release", names.ALL)
