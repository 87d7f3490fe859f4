"""Parses JSON that has one meaning only: no duplicate names, no NaN, bounded depth. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from oneseek_core.errors import ArtifactError

__all__ = ["strict_object"]


class _AmbiguousError(ValueError):
    """Parsers may read it differently."""


def strict_object(data: bytes, what: str) -> Mapping[str, Any]:
    """Parses a JSON object; `what` names it in the error. Raises ArtifactError."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _AmbiguousError) else "it cannot be parsed"
        raise ArtifactError(f"{what} is no JSON that can be trusted: {why}") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{what} is no JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _AmbiguousError("a name stands twice in one object")
    return value


def _no_constant(text: str) -> Any:
    raise _AmbiguousError(f"{text} is no JSON")
