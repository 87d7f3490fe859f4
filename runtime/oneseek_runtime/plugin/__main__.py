"""`kubectl oneseek VERB`: the border between verbs and a person's shell.

Which module a verb needs is a string in a table, imported once it is chosen: verifying brings a cryptography library
along, and `list` ought not to wait for it. A verb returns an answer or raises a sentence; here that becomes text,
JSON or YAML on stdout, notes on stderr, and the exit code: 0 yes, 1 no, 2 cannot tell.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import ModuleType

from oneseek_core.errors import OneSeekError
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.kubectl import Kubectl
from oneseek_runtime.plugin.text import printable
from oneseek_runtime.plugin.yamltext import to_yaml

__all__ = ["main"]

# verb: (module, what it answers)
VERBS = {
    "list": ("oneseek_runtime.plugin.verbs.listing", "every model, what answers, and which runs are under way"),
    "status": ("oneseek_runtime.plugin.verbs.status", "one model: conditions, pods, versions, runs"),
    "verify": ("oneseek_runtime.plugin.verbs.verify", "is it what was certified? exit 0 only if it is"),
    "history": ("oneseek_runtime.plugin.verbs.history", "what happened, and what answered when"),
    "export": (
        "oneseek_runtime.plugin.verbs.export",
        "a certified version as an OCI image layout, for another cluster",
    ),
    "audit": ("oneseek_runtime.plugin.verbs.audit", "was the ledger tampered with? exit 0 only if it was not"),
}
_EPILOG = "Exit codes: 0 shown, verified, clean; 1 not verified, not clean; 2 wrong usage, or something cannot be read."
_FLAGS_WITH_VALUE = ("-n", "--namespace", "--context", "--kubeconfig", "-o", "--output")
DEBUG_ENV = "ONESEEK_DEBUG"  # set: a defect of ours shows its traceback


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Answer one call; the result is the process's exit code."""
    told = list(sys.argv[1:] if arguments is None else arguments)
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
        _complain(f"a part of the plugin is not installed ({error}); pip install 'oneseek[sidecar]'")
    except OneSeekError as error:
        _complain(str(error))
    except Exception as error:  # noqa: BLE001 - the border: a defect of ours must not look like a verdict (1)
        if environment.get(DEBUG_ENV):
            traceback.print_exc()
        _complain(f"a defect of the plugin: {type(error).__name__}: {error} ({DEBUG_ENV}=1 shows where)")
    return Exit.CANNOT_TELL


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    verb = _verb(arguments)
    module = importlib.import_module(VERBS[verb][0]) if verb else None
    parser = _parser(verb, module)
    parsed = parser.parse_args(arguments)
    if module is None:
        parser.error("a VERB is needed")
    answer: Answer = module.run(Call(parsed, Kubectl.of(environment, parsed), datetime.now(UTC)))
    return _show(answer, parsed.output)


def _verb(arguments: Sequence[str]) -> str | None:
    """The first argument that is no flag and no flag's value, if it is a verb."""
    words = iter(arguments)
    for word in words:
        if word in _FLAGS_WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word if word in VERBS else None
    return None


def _parser(verb: str | None, module: ModuleType | None) -> argparse.ArgumentParser:
    """All verbs by name, the chosen one with its arguments; the common flags before or after it."""
    parser = argparse.ArgumentParser(
        prog="kubectl oneseek",
        description="Ask OneSeek what is, what was, and whether it can be proved.",
        epilog=_EPILOG,
    )
    _add_common(parser, first=True)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, (_, summary) in VERBS.items():
        one = verbs.add_parser(name, help=summary, description=summary, epilog=_EPILOG)
        _add_common(one, first=False)
        if name == verb and module is not None:
            module.add_arguments(one)
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


def _show(answer: Answer, form: str) -> int:
    """Print an answer. Who stops reading early (`| head`) still gets its exit code."""
    for note in answer.notes:
        _complain(note)
    if form == "json":
        text = json.dumps(answer.document, indent=2, ensure_ascii=False)
    else:
        text = to_yaml(answer.document) if form == "yaml" else answer.text
    try:
        print(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at the end and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        _complain(f"the answer cannot be written: {error.strerror}")
        return answer.code or Exit.CANNOT_TELL
    return answer.code


def _complain(sentence: str) -> None:
    print(f"kubectl oneseek: {printable(sentence)}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
