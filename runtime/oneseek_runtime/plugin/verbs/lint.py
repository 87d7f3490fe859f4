"""`lint FILE...`: would the API server take these manifests, and would they do what is meant? No cluster is asked.

What kubectl would apply is judged: `oneseek.io` objects in YAML and JSON, whole folders, Lists, stdin. Other objects are
passed over, and counted.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.lint.items import Problem
from oneseek_runtime.plugin.lint.judge import judge, objects
from oneseek_runtime.plugin.lint.yamlread import Document, documents
from oneseek_runtime.plugin.text import printable

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = (
    "Reads YAML and JSON as kubectl does (booleans and numbers of YAML 1.1, documents, Lists, folders), judges "
    "oneseek.io objects by the schema and rules that the API server has, and adds advice. No cluster is asked. "
    "For an overlay: kubectl kustomize DIR | kubectl oneseek lint -"
)

_ENDINGS = (".json", ".yaml", ".yml")  # what kubectl takes from a folder
_STDIN = "-"


def add_arguments(parser: ArgumentParser) -> None:
    """What `lint` takes."""
    parser.add_argument("files", metavar="FILE|DIR", nargs="*", help="manifests, or folders of them; - is stdin")
    parser.add_argument(
        "-f", "--filename", action="append", default=[], metavar="FILE|DIR", help="the same, as kubectl apply has it"
    )
    parser.add_argument("-R", "--recursive", action="store_true", help="folders within folders, too")
    parser.add_argument("--strict", action="store_true", help="advice counts as an error")


@dataclass(frozen=True, slots=True)
class _Finding:
    """A problem, and in which object of which file it is."""

    file: str
    document: int
    about: str
    problem: Problem

    def text(self) -> str:
        """As compilers say it, so that editors find the place."""
        problem = self.problem
        parts = [part for part in (f"document {self.document}" if self.document > 1 else "", self.about) if part]
        where = f"{problem.where}: " if problem.where else ""
        about = f"{', '.join(parts)}: " if parts else ""
        return printable(f"{self.file}:{problem.line}: {problem.level}: {about}{where}{problem.message}")

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        problem = self.problem
        return {
            "file": self.file,
            "document": self.document,
            "line": problem.line,
            "level": problem.level,
            "object": self.about,
            "field": problem.where,
            "message": problem.message,
        }


def run(call: Call) -> Answer:
    """Read the files and judge what is in them. Raises CannotTellError: a file cannot be read, or none was named."""
    named = [*call.arguments.files, *call.arguments.filename]
    if not named:
        raise CannotTellError("name a FILE, a folder, or - for stdin")
    findings: list[_Finding] = []
    judged = others = 0
    for path in _files(named, recursive=call.arguments.recursive):
        for document in documents(_text(path)):
            found = list(_judge(path, document))
            findings += [finding for _, finding in found if finding]
            judged += sum(ours for ours, finding in found if finding is None)
            others += sum(not ours for ours, finding in found if finding is None)
    errors = sum(finding.problem.level == "error" for finding in findings)
    advice = len(findings) - errors
    bad = errors + (advice if call.arguments.strict else 0)
    document_ = {
        "good": not bad,
        "errors": errors,
        "advice": advice,
        "objects": judged,
        "passedOver": others,
        "findings": [finding.as_json() for finding in findings],
    }
    summary = f"{_count(judged, 'object')} judged, {_count(errors, 'error')}, {advice} advice"
    if others:
        summary += f"; {_count(others, 'object')} of other kinds passed over"
    lines = [*(finding.text() for finding in findings), f"{'NOT GOOD' if bad else 'good'}   {summary}"]
    notes = ("there is no OneSeek object in it",) if not judged and not findings else ()
    return Answer(document_, "\n".join(lines), Exit.REFUSED if bad else Exit.OK, notes)


def _judge(path: str, document: Document) -> Iterator[tuple[bool, _Finding | None]]:
    """Per object: whether it is ours; and each finding."""
    for problem in sorted(document.problems):
        yield True, _Finding(path, document.number, "", problem)
    if document.item is None:
        return
    for where, item in objects(document.item):
        kind, name, problems = judge(item)
        about = f"{where}{kind}/{name}" if kind else ""
        yield bool(kind), None
        for problem in problems:
            yield True, _Finding(path, document.number, about, problem)


def _files(named: Sequence[str], *, recursive: bool) -> Iterator[str]:
    for name in named:
        path = Path(name)
        if name == _STDIN or not path.is_dir():
            yield name
            continue
        inside = sorted(path.rglob("*") if recursive else path.iterdir())
        found = [str(one) for one in inside if one.suffix in _ENDINGS and one.is_file()]
        if not found:
            raise CannotTellError(f"{name} holds no file that ends with {', '.join(_ENDINGS)}")
        yield from found


def _text(path: str) -> str:
    try:
        data = sys.stdin.buffer.read() if path == _STDIN else Path(path).read_bytes()
        return data.decode("utf-8")
    except OSError as error:
        raise CannotTellError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CannotTellError(f"{path} is no text in UTF-8: {error.reason} at byte {error.start}") from error


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
