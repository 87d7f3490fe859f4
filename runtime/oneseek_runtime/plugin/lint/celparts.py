"""What the parts of a CEL rule do, once it is taken apart. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any

__all__ = [
    "CONSTANTS",
    "FUNCTIONS",
    "MACROS",
    "METHODS",
    "MissingError",
    "Part",
    "RuleError",
    "Scope",
    "UnknownRuleError",
    "binary",
    "boolean",
    "either",
    "index",
    "known",
    "select",
]

Scope = Mapping[str, Any]
Part = Callable[[Scope], Any]


class UnknownRuleError(Exception):
    """The rule uses something that is not known here."""


class RuleError(Exception):
    """The rule cannot be evaluated on this value, which the API server takes for a breach."""


class MissingError(RuleError):
    """A field is not there. `last`: the very field that was asked for, not one on the way to it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no such field: {name}")
        self.last = True


def _is_cidr(text: str) -> bool:
    """Kubernetes' isCIDR: an address and a prefix length; bits beyond the prefix may be set, a zone may not be named."""
    address, _, length = text.partition("/")
    if not length.isascii() or not length.isdigit() or (len(length) > 1 and length[0] == "0") or "%" in address:
        return False
    try:
        ipaddress.ip_interface(text)
    except ValueError:
        return False
    return True


FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {"size": len, "isCIDR": _is_cidr}


def select(part: Part, name: str) -> Part:
    """A field of an object."""

    def selected(scope: Scope) -> Any:
        try:
            found = part(scope)
        except MissingError as error:
            error.last = False
            raise
        if not isinstance(found, Mapping):
            raise RuleError(f"{name} of something that is no object")
        if name not in found:
            raise MissingError(name)
        return found[name]

    return selected


def index(part: Part, which: Part) -> Part:
    """An entry of a list or a map."""

    def indexed(scope: Scope) -> Any:
        try:
            return part(scope)[which(scope)]
        except (KeyError, IndexError, TypeError) as error:
            raise RuleError(f"no such key: {error}") from error

    return indexed


def either(left: Part, right: Part, *, decides: bool) -> Part:
    """`||` and `&&`: one side that decides is enough, even where the other cannot be evaluated."""

    def both(scope: Scope) -> bool:
        trouble: RuleError | None = None
        for side in (left, right):
            try:
                if boolean(side(scope)) is decides:
                    return decides
            except RuleError as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return not decides

    return both


def boolean(value: Any) -> bool:
    """The value, which must be true or false."""
    if not isinstance(value, bool):
        raise RuleError(f"{value!r} is no boolean")
    return value


def binary(sign: str, left: Part, right: Part) -> Part:
    """A comparison or a sum."""

    def result(scope: Scope) -> Any:
        try:
            return _SIGNS[sign](left(scope), right(scope))
        except TypeError as error:
            raise RuleError(str(error)) from error

    return result


def known(scope: Scope, name: str) -> Any:
    """What a name stands for."""
    if name not in scope:
        raise UnknownRuleError(f"the name {name}")
    return scope[name]


CONSTANTS = {"true": True, "false": False, "null": None}
_SIGNS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "in": lambda a, b: a in b,
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
}
MACROS: dict[str, Callable[[list[Any], Callable[[Any], Any]], Any]] = {
    "all": lambda items, body: all(boolean(body(item)) for item in items),
    "exists": lambda items, body: any(boolean(body(item)) for item in items),
    "exists_one": lambda items, body: sum(boolean(body(item)) for item in items) == 1,
    "filter": lambda items, body: [item for item in items if boolean(body(item))],
    "map": lambda items, body: [body(item) for item in items],
}
METHODS: dict[str, Callable[..., Any]] = {
    "size": len,
    "startsWith": lambda text, part: text.startswith(part),
    "endsWith": lambda text, part: text.endswith(part),
    "contains": lambda text, part: part in text,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
}
