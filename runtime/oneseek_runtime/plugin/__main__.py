"""`kubectl oneseek VERB`: the border between verbs and a person's shell.

Which module a verb needs is a string in a table, imported once it is chosen: verifying brings a cryptography library
along, and `list` ought not to wait for it. A verb returns an answer or raises a sentence; here that becomes text,
JSON or YAML on stdout (`printing`), notes on stderr, and the exit code: 0 yes, 1 no, 2 cannot tell.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from oneseek_core.errors import OneSeekError
from oneseek_runtime.plugin.answers import Answers, Call, Exit
from oneseek_runtime.plugin.kubectl import Kubectl
from oneseek_runtime.plugin.printing import complain, show

__all__ = ["VERBS", "chosen_verb", "main", "parser_of"]

# verb: (module, what it answers)
_VERBS = "oneseek_runtime.plugin.verbs"
VERBS = {
    "list": (f"{_VERBS}.listing", "every model, what answers, and which runs are under way"),
    "status": (f"{_VERBS}.status", "one model as a tree: what answers, pods, versions, runs; -w watches"),
    "ask": (f"{_VERBS}.ask", "put a question to a model, or to one of its versions"),
    "diff": (f"{_VERBS}.diff", "two versions side by side: scores, data, parameters, parents"),
    "logs": (f"{_VERBS}.logs", "what a training run's pods print"),
    "plot": (f"{_VERBS}.plot", "a training run's loss curve, in the terminal"),
    "promote": (f"{_VERBS}.request_verbs", "let a version take over"),
    "rollback": (f"{_VERBS}.request_verbs", "go back to the version before, to a named one, or to the base model"),
    "release": (f"{_VERBS}.request_verbs", "take versions out of quarantine"),
    "reset": (f"{_VERBS}.request_verbs", "delete every version; the base model answers"),
    "retry": (f"{_VERBS}.request_verbs", "let a training run that failed go on"),
    "pause": (f"{_VERBS}.request_verbs", "suspend a model or a training run"),
    "resume": (f"{_VERBS}.request_verbs", "let a suspended model or training run go on"),
    "lint": (f"{_VERBS}.lint", "would the API server take these manifests, and would they do what is meant?"),
    "verify": (f"{_VERBS}.verify", "is it what was certified? exit 0 only if it is"),
    "history": (f"{_VERBS}.history", "what happened, and what answered when"),
    "export": (f"{_VERBS}.export", "a certified version as an OCI image layout, for another cluster"),
    "audit": (f"{_VERBS}.audit", "was the ledger tampered with? exit 0 only if it was not"),
}
_EPILOG = (
    "Exit codes: 0 shown, verified, clean, done; 1 not verified, not clean, refused; 2 wrong usage, or something cannot"
    " be read, or there was no outcome in time. Names without -n are in the namespace of your kubectl context, whose"
    " rights are all that is used."
)
_FLAGS_WITH_VALUE = ("-n", "--namespace", "--context", "--kubeconfig", "-o", "--output")
DEBUG_ENV = "ONESEEK_DEBUG"  # set: a defect of ours shows its traceback


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Answer one call; the result is the process's exit code."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    # A flag that may have a value, but never the next word: argparse has no such thing.
    told = ["--wait=" if word == "--wait" else word for word in told]
    environment = os.environ if environment is None else environment
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 gets the answer, too
    try:
        return _run(told, environment)
    except SystemExit as end:  # argparse: 0 after --help, 2 after a usage error
        return end.code if isinstance(end.code, int) else Exit.CANNOT_TELL
    except KeyboardInterrupt:
        return 130
    except ImportError as error:
        complain(f"a part of the plugin is not installed ({error}); pip install 'oneseek[plugin]'")
    except OneSeekError as error:
        complain(str(error))
    except Exception as error:  # noqa: BLE001 - the border: a defect of ours must not look like a verdict (1)
        if environment.get(DEBUG_ENV):
            traceback.print_exc()
        complain(f"a defect of the plugin: {type(error).__name__}: {error} ({DEBUG_ENV}=1 shows where)")
    return Exit.CANNOT_TELL


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    verb = _verb(arguments)
    chosen = chosen_verb(verb) if verb else None
    parser = parser_of(verb, chosen)
    parsed = parser.parse_args(arguments)
    if chosen is None:
        parser.error("a VERB is needed")
    answers: Answers = chosen.run(Call(parsed, Kubectl.of(environment, parsed), datetime.now(UTC)))
    return show(answers, parsed.output)


def chosen_verb(verb: str) -> Any:
    """What has `add_arguments`, `run` and perhaps ABOUT: the verb's module, or its row in a module's table."""
    module = importlib.import_module(VERBS[verb][0])
    return getattr(module, "VERBS", {}).get(verb, module)


def _verb(arguments: Sequence[str]) -> str | None:
    """The first argument that is no flag and no flag's value, if it is a verb."""
    words = iter(arguments)
    for word in words:
        if word in _FLAGS_WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word if word in VERBS else None
    return None


def parser_of(verb: str | None, chosen: Any = None) -> argparse.ArgumentParser:
    """All verbs by name, the chosen one with its arguments; the common flags before or after it."""
    parser = argparse.ArgumentParser(
        prog="kubectl oneseek",
        description="Language models on Kubernetes: what is, what was, whether it can be proved, and what shall be.",
        epilog=_EPILOG,
    )
    _add_common(parser, first=True)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (_, summary) in VERBS.items():
        more = getattr(chosen, "ABOUT", "") if name == verb else ""
        about = f"{summary}. {more}" if more else summary
        one = verbs.add_parser(name, help=summary, description=about, epilog=_EPILOG)
        _add_common(one, first=False)
        if name == verb:
            chosen.add_arguments(one)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, first: bool) -> None:
    """The second time without defaults: they would overwrite what stands before the verb."""
    unset = None if first else argparse.SUPPRESS
    parser.add_argument("-n", "--namespace", default=unset, help="the namespace; else the context's")
    parser.add_argument("--context", default=unset, help="the kubeconfig's context")
    parser.add_argument("--kubeconfig", default=unset, metavar="FILE", help="the kubeconfig")
    parser.add_argument(
        "-o", "--output", choices=("table", "json", "yaml"), default="table" if first else unset, help="how to print it"
    )


if __name__ == "__main__":
    sys.exit(main())
