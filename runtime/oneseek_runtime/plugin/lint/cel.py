"""The rules of the CustomResourceDefinitions (x-kubernetes-validations), evaluated by a CEL library. Pure.

The library counts the size of a text in bytes, the API server in characters: `size()` is right for lists, maps and ASCII.
"""

from __future__ import annotations

import ipaddress
from functools import cache
from typing import Any

import cel

__all__ = ["RuleError", "UnknownRuleError", "holds"]

_FUNCTIONS = {"size", "contains", "startsWith", "endsWith", "matches", "isCIDR"}


class UnknownRuleError(Exception):
    """The rule is no CEL, or calls a function that the library does not have."""


class RuleError(Exception):
    """The rule cannot be evaluated on this value, which the API server takes for a breach."""


def holds(rule: str, value: Any) -> bool:
    """Whether `value` (as `self`) keeps the rule.

    Raises:
        UnknownRuleError: the rule cannot be evaluated here on any value.
        RuleError: it cannot be evaluated on this value, neither here nor by the API server.
    """
    program = _compiled(rule)
    try:
        found = program.execute(cel.Context({"self": value}, {"isCIDR": _is_cidr}))
    except (RuntimeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise RuleError(str(error)) from error
    if not isinstance(found, bool):
        raise RuleError(f"it gives {found!r}")
    return found


@cache
def _compiled(rule: str) -> cel.Program:
    try:
        program = cel.compile(rule)
    except ValueError as error:
        raise UnknownRuleError(str(error)) from error
    # Operators are functions, too; their names are no identifiers.
    if unknown := {name for name in program.functions() if name.isidentifier()} - _FUNCTIONS:
        raise UnknownRuleError(f"the function {', '.join(sorted(unknown))}")
    return program


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
