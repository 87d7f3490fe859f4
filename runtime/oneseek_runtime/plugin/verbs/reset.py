"""`reset MODEL --confirm RESET`: delete every certified version; the base model answers. Ledger and base model stay."""

from __future__ import annotations

from argparse import ArgumentParser

from oneseek_core import names
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.asking import Wish, add_wait, ask, refusal
from oneseek_runtime.plugin.choosing import MODEL_HELP

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = (
    "Training runs stop, the base model answers, and then every certified version is deleted for ever. The base "
    "model, the ledger and the version numbers stay. While Git pins a version it is refused. "
    "Needs the verbs patch and reset on the OneSeekModel."
)

_VERB = "reset"


def add_arguments(parser: ArgumentParser) -> None:
    """What `reset` takes."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument(
        "--confirm",
        metavar=names.RESET_WORD,
        default="",
        help=f"the word {names.RESET_WORD}: runs stop, and every certified version is deleted for ever",
    )
    add_wait(parser)


def run(call: Call) -> Answer:
    """Ask for the reset, if it is confirmed.

    Raises:
        CannotTellError: the model cannot be read or written.
    """
    model, word = reading.read_model(call.kubectl, call.arguments.model), call.arguments.confirm
    if word != names.RESET_WORD:
        count, name = len(model.status.versions), model.metadata.name
        sentence = (
            f"it would delete all {count} versions of {name} for ever; say --confirm {names.RESET_WORD} if you mean it"
        )
        return refusal(model, Wish(_VERB, word), names.NOT_CONFIRMED, sentence)
    return ask(call, reading.MODELS, model, Wish(_VERB, word))
