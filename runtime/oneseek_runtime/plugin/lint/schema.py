"""Validates a manifest against a CustomResourceDefinition's schema as the API server does: structure, then rules. Pure."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oneseek_runtime.plugin.lint.cel import RuleError, UnknownRuleError, holds
from oneseek_runtime.plugin.lint.items import Item, Problem, entry
from oneseek_runtime.plugin.lint.scalars import surprise

__all__ = ["breaches", "closest", "with_defaults", "wrong"]

Schema = Mapping[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
}
_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}


def wrong(item: Item, schema: Schema, where: str) -> Iterator[Problem]:
    """What of the structure the API server refuses; `where` is the path so far."""
    value = item.value
    if value is None:
        # Where there is a default null means: unset.
        if "default" not in schema:
            yield _error(item, where, "null is no value here; leave the key out, or give it one")
        return
    if schema.get("x-kubernetes-int-or-string"):
        if isinstance(value, bool) or not isinstance(value, int | str):
            yield _error(item, where, f"it must be a text or a whole number, and is {_kind(value)}")
            return
        value = str(value)
    elif not _fits(value, schema.get("type", "")):
        yield _error(item, where, _unfit(item, schema))
        return
    yield from _limits(item, value, schema, where)
    if isinstance(item.value, dict):
        yield from _object(item, schema, where)
    elif isinstance(item.value, list):
        yield from _list(item, schema, where)
    elif item.text is not None and (why := surprise(item.text, item.value)):
        yield Problem(item.line, "advice", where, why)


def _fits(value: Any, kind: str) -> bool:
    if not kind:
        return True
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _unfit(item: Item, schema: Schema) -> str:
    told = _NAMES[_TYPES[schema["type"]][0]]
    told = "a whole number" if schema["type"] == "integer" else told
    if item.text is not None and schema["type"] == "string":
        return f"{item.text} is {_kind(item.value)} to kubectl, and a text is wanted: quote it"
    return f"it must be {told}, and is {_kind(item.value)}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    return f"the number {value}" if isinstance(value, int | float) else _NAMES.get(type(value), "null")


def _limits(item: Item, value: Any, schema: Schema, where: str) -> Iterator[Problem]:
    if "enum" in schema and value not in schema["enum"]:
        choices = ", ".join(map(str, schema["enum"]))
        yield _error(item, where, f"{value!r} is none of {choices}{closest(str(value), schema['enum'])}")
    if isinstance(value, str):
        if (pattern := schema.get("pattern")) and not re.search(_whole(pattern), value):
            yield _error(item, where, f"{_short(value)} does not match {pattern}")
        yield from _length(item, where, len(value), schema, ("minLength", "maxLength", "characters"))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _range(item, value, schema, where)
    elif isinstance(value, list):
        yield from _length(item, where, len(value), schema, ("minItems", "maxItems", "entries"))
    elif isinstance(value, dict):
        yield from _length(item, where, len(value), schema, ("minProperties", "maxProperties", "entries"))


def _whole(pattern: str) -> str:
    """Go's `$` is the very end; Python's also stands before a last line break."""
    return pattern[:-1] + r"\Z" if pattern.endswith("$") and not pattern.endswith(r"\$") else pattern


def _range(item: Item, value: float, schema: Schema, where: str) -> Iterator[Problem]:
    least, most = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if least is not None and (value < least or (value == least and above)):
        yield _error(item, where, f"{value} is too small: {'more than' if above else 'at least'} {least}")
    if most is not None and (value > most or (value == most and below)):
        yield _error(item, where, f"{value} is too large: {'less than' if below else 'at most'} {most}")


def _length(item: Item, where: str, length: int, schema: Schema, keys: tuple[str, str, str]) -> Iterator[Problem]:
    least, most, what = keys
    if length < schema.get(least, 0):
        yield _error(item, where, f"it has {length} {what}, and needs at least {schema[least]}")
    if length > schema.get(most, length):
        yield _error(item, where, f"it has {length} {what}; {schema[most]} are the most")


def _object(item: Item, schema: Schema, where: str) -> Iterator[Problem]:
    properties: Schema = schema.get("properties", {})
    for key in schema.get("required", []):
        if key not in item.value:
            yield _error(item, where, f"{key} is missing")
    others = schema.get("additionalProperties")
    for key, child in item.value.items():
        if key in properties:
            yield from wrong(child, properties[key], _join(where, key))
        elif others is not None:
            yield from wrong(child, others, _join(where, key))
        elif properties:
            line = item.keys.get(key, child.line)
            yield Problem(line, "error", _join(where, key), f"there is no such field{closest(key, properties)}")


def _list(item: Item, schema: Schema, where: str) -> Iterator[Problem]:
    for index, child in enumerate(item.value):
        yield from wrong(child, schema.get("items", {}), f"{where}[{index}]")
    keys = schema.get("x-kubernetes-list-map-keys", [])
    unique = schema.get("x-kubernetes-list-type") == "set"
    seen: dict[str, int] = {}
    for index, child in enumerate(item.value if keys or unique else ()):
        name = repr([_plain(entry(child, key)) for key in keys] if keys else child.plain())
        if name in seen:
            shown = ", ".join(str(_plain(entry(child, key))) for key in keys) if keys else child.plain()
            yield _error(child, f"{where}[{index}]", f"{shown} is in the list twice, also in line {seen[name]}")
        seen.setdefault(name, child.line)


def _plain(item: Item | None) -> Any:
    return None if item is None else item.plain()


def breaches(item: Item, value: Any, schema: Schema, where: str) -> Iterator[Problem]:
    """Which rules are broken; `value` is the item's value with the schema's defaults filled in."""
    for rule in schema.get("x-kubernetes-validations", []):
        if "oldSelf" in rule["rule"]:
            continue  # about changes; there is nothing to compare with
        try:
            if not holds(rule["rule"], value):
                yield _error(item, where, rule["message"])
        except RuleError:
            yield _error(item, where, rule["message"])
        except UnknownRuleError as error:
            yield Problem(
                item.line, "advice", where, f"a rule of the API server is not known here ({error}): {rule['message']}"
            )
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for key, child in value.items():
            below = properties.get(key) or schema.get("additionalProperties")
            if below:
                yield from breaches(entry(item, key) or Item(item.line, None), child, below, _join(where, key))
    elif isinstance(value, list) and "items" in schema:
        items = item.value if isinstance(item.value, list) else []
        for index, child in enumerate(value):
            part = items[index] if index < len(items) else item
            yield from breaches(part, child, schema["items"], f"{where}[{index}]")


def with_defaults(value: Any, schema: Schema) -> Any:
    """The value as the API server stores it: what is unset, or null, gets its default."""
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        filled = {}
        for key, part in value.items():
            below = properties.get(key) or schema.get("additionalProperties") or {}
            if part is not None or "default" not in below:
                filled[key] = with_defaults(part, below)
        for key, below in properties.items():
            if key not in filled and "default" in below:
                filled[key] = with_defaults(copy.deepcopy(below["default"]), below)
        return filled
    return [with_defaults(part, schema.get("items", {})) for part in value] if isinstance(value, list) else value


def closest(word: str, choices: Iterable[Any]) -> str:
    """`; did you mean ...?`, if one of them is near."""
    named = {str(choice).lower(): str(choice) for choice in choices}
    near = difflib.get_close_matches(word.lower(), named, n=1, cutoff=0.6)
    return f"; did you mean {named[near[0]]}?" if near else ""


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _short(value: str) -> str:
    return repr(value if len(value) <= 60 else f"{value[:57]}...")


def _error(item: Item, where: str, message: str) -> Problem:
    return Problem(item.line, "error", where, message)
