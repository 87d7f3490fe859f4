"""[I/O] Answers on a terminal, in a file or through a pipe: one of them, or a stream as it comes."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from typing import Literal

from oneseek_runtime.plugin.answers import Answer, Answers, Exit
from oneseek_runtime.plugin.text import cropped, printable
from oneseek_runtime.plugin.yamltext import to_yaml

__all__ = ["complain", "show"]


def show(answers: Answers, form: str) -> int:
    """Print what a verb answers; the result is the exit code. Who stops reading early (`| head`) still gets it."""
    return _show_one(answers, form) if isinstance(answers, Answer) else _show_all(answers, form)


def _show_one(answer: Answer, form: str) -> int:
    for note in answer.notes:
        complain(note)
    failed = _write(_formed(answer, form) + "\n") == "failed"
    return answer.code or (Exit.CANNOT_TELL if failed else Exit.OK)


def _show_all(answers: Iterator[Answer], form: str) -> int:
    """A stream: line by line; what is live is redrawn in place on a terminal, elsewhere appended when it has changed."""
    screen = _Screen() if form == "table" and sys.stdout.isatty() else None
    code, last = Exit.OK, None
    for answer in answers:
        code = answer.code
        if answer.live and screen:
            screen.draw(answer)
            continue
        if answer.live and answer.document == last:
            continue
        last = answer.document
        for note in answer.notes:
            complain(note)
        if form == "json":
            text = json.dumps(answer.document, ensure_ascii=False)  # a line each: streams are read by lines
        else:
            text = f"---\n{to_yaml(answer.document)}" if form == "yaml" else answer.text
        written = _write(f"{text}\n{chr(10) if answer.live and form == 'table' else ''}")
        if written != "whole":
            return code or (Exit.CANNOT_TELL if written == "failed" else Exit.OK)
    return code


def _formed(answer: Answer, form: str) -> str:
    if form == "json":
        return json.dumps(answer.document, indent=2, ensure_ascii=False)
    return to_yaml(answer.document) if form == "yaml" else answer.text


def _write(text: str) -> Literal["whole", "left", "failed"]:
    """Whether it was written; a reader who left is no failure, but ends a stream."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes once more at the end and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return "left"
    except OSError as error:
        complain(f"the answer cannot be written: {error.strerror}")
        return "failed"
    return "whole"


class _Screen:
    """Draws over what it drew before; no line may wrap, or it would lose count."""

    def __init__(self) -> None:
        self._drawn = 0

    def draw(self, answer: Answer) -> None:
        """The answer in place of the one before; its notes below it."""
        size = shutil.get_terminal_size()
        notes = "".join(f"\n({printable(note)})" for note in answer.notes)
        lines = cropped(f"{answer.text}{notes}", columns=size.columns, rows=size.lines - 1)
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        _write(up + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J")
        self._drawn = len(lines)


def complain(sentence: str) -> None:
    """A line on stderr."""
    print(f"kubectl oneseek: {printable(sentence)}", file=sys.stderr)  # noqa: T201 - talking to a person is its work
