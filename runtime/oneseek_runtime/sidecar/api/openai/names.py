"""Model names in OpenAI requests, and the list of models. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.sidecar.errors import BadRequestError, NoSuchModelError
from oneseek_runtime.sidecar.http.bounded_json import decode_json

__all__ = ["DEFAULT", "ModelNames", "find_model", "model_rows", "rewrite_model"]

DEFAULT = "default"
_SHOWN = 253  # characters of a name in a message: the maximum length of a DNA


@dataclass(frozen=True, slots=True)
class ModelNames:
    """The names of the served model. `target` is the engine's name for it.

    `beside`: other models of the engine that are public. Anything else it has loaded is being loaded or unloaded.
    """

    target: str
    aliases: tuple[str, ...]
    beside: frozenset[str] = frozenset()

    def resolve(self, asked: object) -> object:
        """Returns the engine's name for a requested name; other names are returned unchanged."""
        return self.target if asked is None or asked in self.aliases else asked

    def is_public(self, name: object) -> bool:
        """Whether clients may use the engine's model `name`."""
        return name == self.target or name in self.beside


def rewrite_model(data: bytes | bytearray, names: ModelNames) -> tuple[bytes | bytearray, str]:
    """Returns the body with the engine's model name, and that name; the same bytes if it has it already.

    Raises BadRequestError (no JSON object) or NoSuchModelError.
    """
    body = decode_json(data)
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    asked = body.get("model")
    resolve = names.resolve(asked)
    if not isinstance(resolve, str):
        raise BadRequestError("model must be a text")
    if not names.is_public(resolve):
        raise NoSuchModelError(f"there is no model {resolve[:_SHOWN]!r}; GET /v1/models lists those there are")
    if resolve == asked:
        return data, resolve
    # ASCII, so that lone surrogates stay escapes.
    return json.dumps(body | {"model": resolve}, separators=(",", ":")).encode(), resolve


def model_rows(rows: Sequence[Mapping[str, Any]], alias: str, names: ModelNames) -> list[Mapping[str, Any]]:
    """The engine's public models, preceded by the alias; its `root` is the served version."""
    rows = [row for row in rows if names.is_public(row.get("id"))]
    served = next((row for row in rows if row.get("id") == names.target), None)
    if served is None or any(row.get("id") == alias for row in rows):
        return list(rows)
    return [{**served, "id": alias, "root": names.target}, *rows]


def find_model(rows: Sequence[Mapping[str, Any]], asked: str, names: ModelNames) -> Mapping[str, Any] | None:
    """Finds a model by any of its names."""
    for name in (asked, names.resolve(asked)):
        for row in rows:
            if row.get("id") == name:
                return row
    return None
