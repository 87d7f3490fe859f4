"""The part of CEL that our CustomResourceDefinitions use, so that lint judges by the very rules of the API server. Pure.

A whole CEL is megabytes of library; the rules need a page of it. What is not known here is said, never passed over.
"""

from __future__ import annotations

import re
from typing import Any

from oneseek_runtime.plugin.lint.celparts import (
    CONSTANTS,
    FUNCTIONS,
    MACROS,
    METHODS,
    MissingError,
    Part,
    RuleError,
    Scope,
    UnknownRuleError,
    binary,
    boolean,
    either,
    index,
    known,
    select,
)

__all__ = ["RuleError", "UnknownRuleError", "holds"]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.\d+|\d+)|(?P<text>'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\")"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>&&|\|\||==|!=|<=|>=|[-!<>?:.,()\[\]+]))"
)
_LEVELS = (("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"))


def holds(rule: str, value: Any) -> bool:
    """Whether `value` (as `self`) keeps the rule.

    Raises:
        UnknownRuleError: the rule cannot be judged here.
        RuleError: nor can it there, on this value.
    """
    parser = _Parser(rule)
    part = parser.choice()
    parser.end()
    found = part({"self": value})
    if not isinstance(found, bool):
        raise RuleError(f"it gives {found!r}")
    return found


class _Parser:
    """Recursive descent; each method gives a function from names to a value."""

    def __init__(self, rule: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        rule = rule.strip()
        while position < len(rule):
            found = _TOKEN.match(rule, position)
            if found is None or found.lastgroup is None:
                raise UnknownRuleError(f"{rule[position:]!r} in {rule!r}")
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            position = found.end()
        self._next = 0

    def end(self) -> None:
        """Nothing is left over."""
        if self._next < len(self._tokens):
            raise UnknownRuleError(f"{self._tokens[self._next][1]!r} is too much")

    def _peek(self) -> str:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str | None:
        if self._peek() in wanted and self._tokens[self._next][0] != "text":
            self._next += 1
            return self._tokens[self._next - 1][1]
        return None

    def _need(self, wanted: str) -> None:
        if self._take(wanted) is None:
            raise UnknownRuleError(f"{wanted!r} is missing before {self._peek()!r}")

    def choice(self) -> Part:
        """`a ? b : c`, or less."""
        test = self._or()
        if self._take("?") is None:
            return test
        yes = self.choice()
        self._need(":")
        no = self.choice()
        return lambda scope: yes(scope) if test(scope) else no(scope)

    def _or(self) -> Part:
        part = self._and()
        while self._take("||"):
            part = either(part, self._and(), decides=True)
        return part

    def _and(self) -> Part:
        part = self._level(0)
        while self._take("&&"):
            part = either(part, self._level(0), decides=False)
        return part

    def _level(self, level: int) -> Part:
        if level == len(_LEVELS):
            return self._unary()
        part = self._level(level + 1)
        while sign := self._take(*_LEVELS[level]):
            part = binary(sign, part, self._level(level + 1))
        return part

    def _unary(self) -> Part:
        if self._take("!"):
            part = self._unary()
            return lambda scope: not boolean(part(scope))
        if self._take("-"):
            part = self._unary()
            return lambda scope: -part(scope)
        return self._postfix(self._primary())

    def _postfix(self, part: Part) -> Part:
        while True:
            if self._take("."):
                name = self._name()
                part = self._call(part, name) if self._take("(") else select(part, name)
            elif self._take("["):
                which = self.choice()
                self._need("]")
                part = index(part, which)
            else:
                return part

    def _name(self) -> str:
        if self._next >= len(self._tokens) or self._tokens[self._next][0] != "name":
            raise UnknownRuleError(f"a name is missing before {self._peek()!r}")
        self._next += 1
        return self._tokens[self._next - 1][1]

    def _primary(self) -> Part:
        if self._take("("):
            part = self.choice()
            self._need(")")
            return part
        if self._take("["):
            items = self._arguments("]")
            return lambda scope: [item(scope) for item in items]
        if self._next >= len(self._tokens):
            raise UnknownRuleError("it breaks off")
        kind, text = self._tokens[self._next]
        if kind == "sign":
            raise UnknownRuleError(f"{text!r} is not expected")
        self._next += 1
        if kind == "number":
            value: Any = float(text) if "." in text else int(text)
            return lambda _: value
        if kind == "text":
            literal = re.sub(r"\\(.)", r"\1", text[1:-1])
            return lambda _: literal
        if text in CONSTANTS:
            return lambda _: CONSTANTS[text]
        if self._take("("):
            return self._function(text)
        return lambda scope: known(scope, text)

    def _function(self, name: str) -> Part:
        if name == "has":
            return self._has()
        (argument,) = self._arguments(")")
        if name not in FUNCTIONS:
            raise UnknownRuleError(f"the function {name}")
        return lambda scope: FUNCTIONS[name](argument(scope))

    def _has(self) -> Part:
        start = self._next
        part = self._postfix(self._primary())
        if self._tokens[self._next - 2][1] != "." or self._next - start < 3:
            raise UnknownRuleError("has() of something else than a field")
        self._need(")")

        def found(scope: Scope) -> bool:
            try:
                part(scope)
            except MissingError as error:
                if error.last:
                    return False
                raise
            return True

        return found

    def _arguments(self, closing: str) -> list[Part]:
        found: list[Part] = []
        while not self._take(closing):
            if found:
                self._need(",")
            found.append(self.choice())
        return found

    def _call(self, target: Part, name: str) -> Part:
        if name in MACROS:
            variable = self._name()
            self._need(",")
            body = self.choice()
            self._need(")")
            return lambda scope: MACROS[name](list(target(scope)), lambda item: body({**scope, variable: item}))
        arguments = self._arguments(")")
        if name not in METHODS:
            raise UnknownRuleError(f"the method {name}")
        return lambda scope: METHODS[name](target(scope), *(argument(scope) for argument in arguments))
