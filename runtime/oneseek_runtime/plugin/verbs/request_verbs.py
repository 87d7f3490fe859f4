"""The verbs that ask for a change: `promote`, `rollback`, `release`, `reset`, `retry`; `pause` and `resume`. One table.

The first five are requests to the operator (`requests`); the last two write `spec.suspend` as the user (`suspend`).
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from oneseek_core import names
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.requests import Request, add_wait, ask, refusal
from oneseek_runtime.plugin.suspend import suspend
from oneseek_runtime.plugin.versions import DNA_HELP, MODEL_HELP, find, known, mistake

__all__ = ["VERBS"]

Argument = tuple[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RequestVerb:
    """What `__main__` wants of a verb; all take the flags that say how long to wait."""

    ABOUT: str
    run: Callable[[Call], Answer]
    arguments: tuple[Argument, ...]

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What the verb takes."""
        for name, keywords in self.arguments:
            parser.add_argument(name, **keywords)
        add_wait(parser)


def _ask_for_version(call: Call, *, verb: str, words: tuple[str, ...]) -> Answer:
    """Request `verb` with the version that the user named; `words` mean themselves."""
    model, text = reading.read_model(call.kubectl, call.arguments.model), call.arguments.version
    if text not in words:
        found = find(text, known(model))
        if len(found) != 1:
            return refusal(model, Request(verb, text), *mistake(model, text, found, words))
        text = found[0]
    return ask(call, reading.MODELS, model, Request(verb, text))


def _reset(call: Call) -> Answer:
    model, word = reading.read_model(call.kubectl, call.arguments.model), call.arguments.confirm
    request = Request("reset", word)
    if word == names.RESET_WORD:
        return ask(call, reading.MODELS, model, request)
    count, name = len(model.status.versions), model.metadata.name
    sentence = (
        f"it would delete all {count} versions of {name} for ever; say --confirm {names.RESET_WORD} if you mean it"
    )
    return refusal(model, request, names.NOT_CONFIRMED, sentence)


def _retry(call: Call) -> Answer:
    run = reading.read_run(call.kubectl, call.arguments.run)
    return ask(call, reading.RUNS, run, Request(names.RETRY_VERB, "true"))


def _version(metavar: str, more: str, default: str | None = None) -> Argument:
    optional: dict[str, Any] = {"nargs": "?", "default": default} if default else {}
    return "version", {"metavar": metavar, "help": f"{DNA_HELP}; {more}", **optional}


_MODEL: Argument = ("model", {"metavar": "MODEL", "help": MODEL_HELP})
_TARGET: Argument = (
    "target",
    {"metavar": "MODEL|RUN", "help": "a OneSeekModel or a TrainingRun; osm/NAME and trun/NAME where both exist"},
)
_CONFIRM: Argument = (
    "--confirm",
    {
        "metavar": names.RESET_WORD,
        "default": "",
        "help": f"the word {names.RESET_WORD}: runs stop, and every certified version is deleted for ever",
    },
)

VERBS = {
    "promote": RequestVerb(
        "The version must be certified, have passed the gate and not be in quarantine. While Git pins a version "
        "(spec.version) it is refused: change it there. Needs the verbs patch and promote on the OneSeekModel, "
        "nothing else.",
        partial(_ask_for_version, verb="promote", words=(names.CANDIDATE,)),
        (
            _MODEL,
            _version("DNA", "unless named: the candidate, which has passed its probes and waits", names.CANDIDATE),
        ),
    ),
    "rollback": RequestVerb(
        "What is left goes into quarantine and does not come back by itself, whatever Git applies meanwhile; `kubectl "
        "oneseek release` lets it answer again. No request is dropped. Needs the verbs patch and rollback on the "
        "OneSeekModel, nothing else.",
        partial(_ask_for_version, verb="rollback", words=(names.PREVIOUS, names.BASE)),
        (
            _MODEL,
            _version(
                "DNA|base", "base: the base model; unless named: the version that answered before", names.PREVIOUS
            ),
        ),
    ),
    "release": RequestVerb(
        "A version comes into quarantine when somebody went back from it, when it failed, or when its files were "
        "changed. Releasing what a rollback left ends the rollback: then Git, or the newest version, decides again. "
        "Needs the verbs patch and release on the OneSeekModel.",
        partial(_ask_for_version, verb="release", words=(names.ALL,)),
        (_MODEL, _version("DNA|all", "all: everything in quarantine")),
    ),
    "reset": RequestVerb(
        "Training runs stop, the base model answers, and then every certified version is deleted for ever. The base "
        "model, the ledger and the version numbers stay. While Git pins a version it is refused. "
        "Needs the verbs patch and reset on the OneSeekModel.",
        _reset,
        (_MODEL, _CONFIRM),
    ),
    "retry": RequestVerb(
        "A run that has ended never runs again unless it is told to here. Needs the verbs patch and retry on the "
        "TrainingRun.",
        _retry,
        (("run", {"metavar": "RUN", "help": "name of a TrainingRun that has failed"}),),
    ),
    "pause": RequestVerb(
        "A model scales to zero and starts nothing; a run's training stops and later goes on from its checkpoint. "
        "Refused where Flux or Argo CD keeps the field, because they would undo it.",
        partial(suspend, wanted=True),
        (_TARGET,),
    ),
    "resume": RequestVerb(
        "Refused where Flux or Argo CD keeps the field, because they would undo it.",
        partial(suspend, wanted=False),
        (_TARGET,),
    ),
}
