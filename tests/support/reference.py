"""`make reference`: the pages of docs/reference that are made of code: the fields of both kinds, and the plugin's verbs.

PYTHONPATH=core:runtime:tests python -m support.reference     # writes the pages
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oneseek_core.api.crd import definitions
from oneseek_runtime.plugin.__main__ import VERBS, chosen_verb, parser_of

FOLDER = Path(__file__).resolve().parents[2] / "docs/reference"
_MADE = "<!-- written by `make reference`; do not edit -->"
_HEAD = ("| argument | what it says |", "| --- | --- |")
Schema = dict[str, Any]


@dataclass
class Section:
    """A table of fields, and the sentences with which the API server refuses combinations of them."""

    title: str
    about: str
    rows: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    patterns: dict[str, list[str]] = field(default_factory=dict)

    def add(self, path: str, schema: Schema, *, required: bool = False) -> None:
        """One field: its line, and what is said of it below the table."""
        self.rows.append(row(path, schema, required=required))
        self.refusals += refusals(path, schema)
        for where, pattern in patterns(path, schema):
            self.patterns.setdefault(pattern, []).append(f"`{where}`")

    def lines(self) -> list[str]:
        """As Markdown."""
        told = [f"## {self.title}", ""]
        if self.about:
            told += [self.about, ""]
        if self.rows:
            told += [
                "| field | type | default | bounds | what it is |",
                "| --- | --- | --- | --- | --- |",
                *self.rows,
                "",
            ]
        if self.patterns:
            told += ["Patterns:", ""]
            told += [f"- {', '.join(where)}: `{pattern}`" for pattern, where in self.patterns.items()] + [""]
        if self.refusals:
            told += ["Refused:", "", *self.refusals, ""]
        return told


def kind_of(schema: Schema) -> str:
    """The type of a field, in words."""
    if schema.get("x-kubernetes-int-or-string"):
        return "quantity"
    if schema.get("type") == "array":
        return f"list of {kind_of(schema['items'])}s"
    if "additionalProperties" in schema:
        return f"map of {kind_of(schema['additionalProperties'])}s"
    if schema.get("format") == "date-time":
        return "time"
    return str(schema.get("type", "any value"))


def bounds(schema: Schema, *, required: bool) -> str:
    """What the schema alone refuses, in words."""
    told = ["required"] if required else []
    if "enum" in schema:
        told.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None:
        told.append(f"{'above' if schema.get('exclusiveMinimum') else 'at least'} {low}")
    if high is not None:
        told.append(f"{'below' if schema.get('exclusiveMaximum') else 'at most'} {high}")
    if schema.get("minLength"):
        told.append("not empty" if schema["minLength"] == 1 else f"{schema['minLength']} characters or more")
    for key, words in (
        ("maxLength", "at most {} characters"),
        ("maxItems", "at most {} items"),
        ("maxProperties", "at most {} keys"),
    ):
        if key in schema:
            told.append(words.format(schema[key]))
    if "pattern" in schema:
        told.append("a pattern")
    if "items" in schema and (inner := bounds(schema["items"], required=False)):
        told.append(f"each {inner}")
    return "; ".join(told)


def fields(path: str, schema: Schema) -> Iterator[tuple[str, Schema, bool]]:
    """Every field below an object: its path, its schema, whether it is required. Objects come before their fields."""
    needed = schema.get("required", [])
    for name, inner in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, inner, name in needed
        yield from fields(here, inner)
        item, suffix = inner.get("items", {}), "[]"
        if "additionalProperties" in inner:
            item, suffix = inner["additionalProperties"], ".*"
        if item.get("properties"):
            yield from fields(f"{here}{suffix}", item)


def refusals(path: str, schema: Schema) -> Iterator[str]:
    """The sentences of the CEL rules of one field, of its items too."""
    for rule in schema.get("x-kubernetes-validations", []):
        yield f"- `{path}`: {rule['message']}"
    if "items" in schema:
        yield from refusals(f"{path}[]", schema["items"])


def patterns(path: str, schema: Schema) -> Iterator[tuple[str, str]]:
    """The regular expressions of one field, of its items too. They stand outside the table, for they hold its `|`."""
    if "pattern" in schema:
        yield path, schema["pattern"]
    if "items" in schema:
        yield from patterns(f"{path}[]", schema["items"])


def row(path: str, schema: Schema, *, required: bool) -> str:
    """A line of the table."""
    default = schema.get("default")
    text = json.dumps(default) if isinstance(default, bool) or default == "" else default
    shown = "" if default in (None, {}, []) else f"`{text}`"
    cells = [f"`{path}`", kind_of(schema), shown, bounds(schema, required=required), schema.get("description", "")]
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def section(path: str, schema: Schema) -> Section:
    """One field of the spec or the status, with everything below it."""
    made = Section(path, "")
    made.add(path, schema)
    for here, inner, required in (*fields(path, schema), *fields(f"{path}[]", schema.get("items", {}))):
        made.add(here, inner, required=required)
    return made


def kind_page(definition: Schema) -> str:
    """The page of one kind."""
    names, version = definition["spec"]["names"], definition["spec"]["versions"][0]
    schema = version["schema"]["openAPIV3Schema"]
    lines = [f"# Fields of {names['kind']}", "", _MADE, ""]
    lines += [
        f"`apiVersion: {definition['spec']['group']}/{version['name']}`, `kubectl get {names['shortNames'][0]}`.",
        "",
        "A field that is unset and has no default is absent. *Refused* are the sentences with which the API server refuses",
        "what a bound alone cannot say; `kubectl oneseek lint` says the same without a cluster.",
        "",
    ]
    lines += Section("The whole object", "", refusals=list(refusals("metadata, spec", schema))).lines()
    for part in ("spec", "status"):
        inner = schema["properties"][part]
        whole = Section(part, inner.get("description", ""), refusals=list(refusals(part, inner)))
        deep = {name: one for name, one in inner["properties"].items() if _is_deep(one)}
        for name, one in inner["properties"].items():
            if name not in deep:
                whole.add(f"{part}.{name}", one, required=name in inner.get("required", []))
        lines += whole.lines()
        for name, one in deep.items():
            lines += section(f"{part}.{name}", one).lines()
    return "\n".join(lines).rstrip() + "\n"


def _is_deep(schema: Schema) -> bool:
    return bool(schema.get("properties") or schema.get("items", {}).get("properties"))


def cli_page() -> str:
    """The page of `kubectl oneseek`."""
    lines = ["# kubectl oneseek", "", _MADE, "", "How to install it: [Use `kubectl oneseek`](../how-to/plugin.md).", ""]
    lines += ["| verb | what it answers |", "| --- | --- |"]
    lines += [f"| [`{verb}`](#{verb}) | {summary} |" for verb, (_, summary) in VERBS.items()]
    common = _options(parser_of(None))
    lines += ["", "Before or after every verb:", "", *_HEAD, *common, "", f"{parser_of(None).epilog}", ""]
    for verb in VERBS:
        lines += _verb(verb, common)
    return "\n".join(lines).rstrip() + "\n"


def _verb(verb: str, common: list[str]) -> list[str]:
    parser = verb_parser(verb)
    usage = " ".join(parser.format_usage().removeprefix("usage: ").split())
    own = [line for line in _options(parser) if line not in common]
    about, _, more = str(parser.description).partition("\n")
    lines = [
        f"## {verb}",
        "",
        f"{about[0].upper()}{about[1:]}",
        "",
        "```text",
        usage,
        *more.rstrip().splitlines(),
        "```",
        "",
    ]
    return [*lines, *_HEAD, *own, ""] if own else lines


def verb_parser(verb: str) -> argparse.ArgumentParser:
    """The parser of one verb, with its own arguments."""
    whole = parser_of(verb, chosen_verb(verb))
    verbs = next(action for action in whole._actions if isinstance(action, argparse._SubParsersAction))
    parser = verbs.choices[verb]
    assert isinstance(parser, argparse.ArgumentParser)
    return parser


def _options(parser: argparse.ArgumentParser) -> list[str]:
    """The arguments of a parser as a table."""
    rows = []
    for action in parser._actions:
        if isinstance(action, (argparse._HelpAction, argparse._SubParsersAction)):
            continue
        names = ", ".join(action.option_strings) or str(action.metavar or action.dest)
        takes = action.option_strings and action.nargs != 0 and not action.choices
        value = f" {action.metavar or action.dest.upper()}" if takes else ""
        told = " ".join(str(action.help or "").split()).replace("%%", "%").replace("|", "\\|")
        choices = f": {', '.join(map(str, action.choices))}" if action.choices else ""
        rows.append(f"| `{(names + value).replace('|', ' or ')}` | {told}{choices} |")
    return rows


def pages() -> dict[Path, str]:
    """Every page that is made of code, by its file."""
    made = {
        FOLDER / f"{definition['spec']['names']['singular']}.md": kind_page(definition)
        for definition in definitions().values()
    }
    return {**made, FOLDER / "cli.md": cli_page()}


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
