"""A file's text as the documents that kubectl sees in it, each value with its line. Pure.

PyYAML only takes the text apart; what the parts mean is decided here and in `scalars`, because kubectl's reader differs:
other booleans and numbers, keys made to texts, `---` cut as text, the last of two equal keys kept in silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from oneseek_runtime.plugin.lint.items import Item, Problem, located
from oneseek_runtime.plugin.lint.scalars import Scalar, scalar, surprise

__all__ = ["Document", "documents"]

_PLAIN = "tag:oneseek.io:plain"  # of scalars whose meaning is still open
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "<<"
_CUT = re.compile(r"^---.*$", re.MULTILINE)
_MOST = 100_000  # values; aliases of aliases would grow without end


@dataclass(slots=True)
class Document:
    """One document: what it holds (None: nothing, or nothing that can be read), and what is wrong with its text."""

    number: int
    line: int
    item: Item | None = None
    problems: list[Problem] = field(default_factory=list)


def documents(text: str) -> list[Document]:
    """The documents of a file, those that are empty left out."""
    text = text.removeprefix("\ufeff")
    found = _json(text) if text.lstrip().startswith("{") else [_yaml(part, line) for part, line in _parts(text)]
    kept = [document for document in found if document.item is not None or document.problems]
    for number, document in enumerate(kept, start=1):
        document.number = number
    return kept


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """The text between lines that start with `---`, and each part's first line."""
    begin, line = 0, 1
    for cut in _CUT.finditer(text):
        yield text[begin : cut.start()], line
        line += text.count("\n", begin, cut.end() + 1)
        begin = min(cut.end() + 1, len(text))
    yield text[begin:], line


def _yaml(text: str, line: int) -> Document:
    document = Document(0, line)
    hint = "; a Helm template must be rendered first" if "{{" in text else ""
    try:
        # Directives and the end of a document are for the reader; a second document without `---` is not seen.
        node = next(iter(yaml.compose_all(text, Loader=_Loader)), None)
        if node is not None:
            found = _Reader(document, line).item(node)
            document.item = None if found.value is None else found
    except yaml.MarkedYAMLError as error:
        place = line + error.problem_mark.line if error.problem_mark else line
        document.problems.append(
            Problem(place, "error", "", f"this is no YAML: {error.problem or error.context}{hint}")
        )
    except (yaml.YAMLError, _UnreadableError, RecursionError, ValueError) as error:
        document.problems.append(Problem(line, "error", "", f"this is no YAML: {error}{hint}"))
    return document


def _json(text: str) -> list[Document]:
    """JSON objects, one after the other. As YAML they tell their lines; where YAML reads JSON otherwise, they do not."""
    found: list[Document] = []
    position, decoder = 0, json.JSONDecoder()
    while rest := text[position:].lstrip():
        start = len(text) - len(rest)
        line = text.count("\n", 0, start) + 1
        if rest.startswith("---"):
            position = start + (rest + "\n").index("\n")
            continue
        try:
            value, length = decoder.raw_decode(rest)
        except ValueError as error:
            place = line + getattr(error, "lineno", 1) - 1
            problem = Problem(place, "error", "", f"this is no JSON: {getattr(error, 'msg', error)}")
            return [*found, Document(0, line, problems=[problem])]
        position = start + length
        # Outside of texts a tab is white space to JSON and an error to YAML; within them it has to be escaped.
        document = _yaml(rest[:length].replace("\t", " "), line)
        same = document.item is not None and not document.problems and document.item.plain() == value
        found.append(document if same else Document(0, line, located(value, line), _duplicates(document)))
    return found


def _duplicates(document: Document) -> list[Problem]:
    return [problem for problem in document.problems if problem.message.startswith("the key ")]


class _Loader(yaml.SafeLoader):
    """Takes the text apart and leaves open what plain scalars mean."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _TEXT
        return str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call] # PyYAML has no types


class _UnreadableError(Exception):
    """kubectl cannot read it either."""


class _Reader:
    """From nodes to items, of one document."""

    def __init__(self, document: Document, first: int) -> None:
        self._document = document
        self._first = first
        self._made = 0
        self._above: list[yaml.Node] = []

    def item(self, node: yaml.Node) -> Item:
        """What a node holds. Raises _UnreadableError: it holds itself, or too much."""
        self._made += 1
        if self._made > _MOST:
            raise _UnreadableError(f"it holds more than {_MOST} values; aliases within aliases?")
        if any(node is other for other in self._above):
            raise _UnreadableError(f"line {self._line(node)}: an anchor holds itself")
        self._above.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            if isinstance(node, yaml.SequenceNode):
                return Item(self._line(node), [self.item(child) for child in node.value])
            if not isinstance(node, yaml.ScalarNode):
                raise _UnreadableError(f"line {self._line(node)}: this is no value")
            value = self._scalar(node)
            open_text = node.value if node.tag == _PLAIN and not isinstance(value, str) else None
            return Item(self._line(node), value, open_text)
        finally:
            self._above.pop()

    def _line(self, node: yaml.Node) -> int:
        return self._first + int(node.start_mark.line)

    def _scalar(self, node: yaml.ScalarNode) -> Scalar:
        text: str = node.value
        if node.tag == _PLAIN or node.tag.rpartition(":")[2] in ("bool", "int", "float", "null"):
            value = scalar(text)
            if isinstance(value, float) and value - value != 0:
                raise _UnreadableError(f"line {self._line(node)}: {text} has no form in JSON")
            return value
        return text

    def _mapping(self, node: yaml.MappingNode) -> Item:
        values: dict[str, Item] = {}
        keys: dict[str, int] = {}
        merged: dict[str, Item] = {}
        for key_node, value_node in node.value:
            line = self._line(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                raise _UnreadableError(f"line {line}: a list or an object cannot be a key")
            if key_node.tag == _PLAIN and key_node.value == _MERGE:
                merged = self._merged(value_node) | merged
                continue
            key = self._key(key_node)
            if key in values:
                sentence = f"the key {key} stands here and in line {keys[key]}: kubectl takes the last and says nothing"
                self._document.problems.append(Problem(line, "error", "", sentence))
            values[key], keys[key] = self.item(value_node), line
        for key, item in merged.items():
            if key not in values:
                values[key], keys[key] = item, item.line
        return Item(self._line(node), values, keys=keys)

    def _merged(self, node: yaml.Node) -> dict[str, Item]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Item] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                raise _UnreadableError(f"line {self._line(source)}: << takes an object, or a list of them")
            found = self.item(source).value | found
        return found

    def _key(self, node: yaml.ScalarNode) -> str:
        value = self._scalar(node)
        if isinstance(value, str):
            return value
        if value is None:
            raise _UnreadableError(f"line {self._line(node)}: a key is missing before the colon")
        text = (
            str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
        )
        if why := surprise(node.value, value):
            sentence = f"{why}; so this key is {text!r}"
            self._document.problems.append(Problem(self._line(node), "advice", "", sentence))
        return text
