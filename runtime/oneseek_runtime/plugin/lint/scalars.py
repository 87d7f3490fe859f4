"""What a YAML scalar is to kubectl: sigs.k8s.io/yaml reads YAML 1.1 as Go's yaml.v2 does, and that is not PyYAML's. Pure.

Tests compare each form with the real kubectl.
"""

from __future__ import annotations

import math
import re

__all__ = ["Scalar", "scalar", "surprise"]

Scalar = str | int | float | bool | None

_TRUE = {form for word in ("y", "yes", "true", "on") for form in (word, word.capitalize(), word.upper())}
_FALSE = {form for word in ("n", "no", "false", "off") for form in (word, word.capitalize(), word.upper())}
_NULL = {"", "~", "null", "Null", "NULL"}
_INFINITE = {f"{sign}.{word}": sign for sign in ("", "+", "-") for word in ("inf", "Inf", "INF")}
_NAN = {".nan", ".NaN", ".NAN"}
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INT = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|(0|[1-9][0-9]*))")
_LARGEST, _SMALLEST = 2**64 - 1, -(2**63)


def scalar(text: str) -> Scalar:
    """The value of a plain (unquoted) scalar without a tag."""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if text in _NULL:
        return None
    if text in _INFINITE:
        return -math.inf if _INFINITE[text] == "-" else math.inf
    if text in _NAN:
        return math.nan
    if not text[0].isascii() or text[0] not in "0123456789+-.":
        return text
    plain = text.replace("_", "") if text[0] != "." else text
    if text[0] != "." and (found := _INT.fullmatch(plain)):
        value = _integer(found)
        if _SMALLEST <= value <= _LARGEST:
            return value
    if _FLOAT.fullmatch(plain) and math.isfinite(number := float(plain)):
        return number
    return text


def _integer(found: re.Match[str]) -> int:
    sign, sixteen, eight, two, ten = found.groups()
    for digits, base in ((sixteen, 16), (eight, 8), (two, 2), (ten, 10)):
        if digits is not None:
            return int(digits, base) * (-1 if sign == "-" else 1)
    raise AssertionError("one of them matched")


def surprise(text: str, value: Scalar) -> str | None:
    """Why a person, or a tool that reads YAML 1.2, may take a plain scalar for something else."""
    if isinstance(value, bool) and text.lower() not in ("true", "false"):
        return f"{text} is the boolean {str(value).lower()} to kubectl: write {str(value).lower()}, or quote a text"
    if isinstance(value, int) and not isinstance(value, bool) and re.fullmatch(r"[-+]?0[0-7_]+", text):
        return f"{text} is the octal number {value} to kubectl: write {value}, or quote a text"
    return None
