"""[I/O] What verbs that ask for a version share: reading the model, and the one version that the words mean."""

from __future__ import annotations

from collections.abc import Sequence

from oneseek_core import names
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.asking import Wish, ask, refusal
from oneseek_runtime.plugin.versions import AMBIGUOUS, find, known
from oneseek_runtime.plugin.views import ModelView

__all__ = ["DNA_HELP", "MODEL_HELP", "choose", "mistake"]

MODEL_HELP = "name of a OneSeekModel"
DNA_HELP = "a version: its DNA, or a part that no other has (v3, v3.0, 88e5477b)"


def choose(call: Call, verb: str, *words: str) -> Answer:
    """Ask the model for `verb` with the version that the user named; `words` mean themselves.

    Raises:
        CannotTellError: the model cannot be read or written.
    """
    model, text = reading.read_model(call.kubectl, call.arguments.model), call.arguments.version
    if text in words:
        return ask(call, reading.MODELS, model, Wish(verb, text))
    found = find(text, known(model))
    if len(found) != 1:
        return refusal(model, Wish(verb, text), *mistake(model, text, found, words))
    return ask(call, reading.MODELS, model, Wish(verb, found[0]))


def mistake(model: ModelView, text: str, found: Sequence[str], words: Sequence[str] = ()) -> tuple[str, str]:
    """Why `text` names no one version: (reason, sentence)."""
    name = model.metadata.name
    if found:
        return AMBIGUOUS, f"{text} may be any of {', '.join(found)}; give more of the DNA"
    choices = [*words, *known(model)]
    there = f"there are {', '.join(choices)}" if choices else "it has none"
    return names.NO_SUCH_VERSION, f"{name} has no version {text}; {there}"
