"""The OpenAI API as far as the sidecar itself speaks it: which model a request means, and its error object. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.sidecar.errors import BadRequestError, NoSuchModelError
from oneseek_runtime.sidecar.http.bounded_json import decode_json

__all__ = ["DEFAULT", "Names", "find_model", "model_rows", "redirected"]

DEFAULT = "default"
_SHOWN = 253  # characters of a name that are shown: as long as a DNA can be


@dataclass(frozen=True, slots=True)
class Names:
    """What requests may call the model that serves now. `target` is the engine's name for it.

    `beside`: what else of the engine anybody may ask. Whatever else is loaded there is on its way in or out.
    """

    target: str
    aliases: tuple[str, ...]
    beside: frozenset[str] = frozenset()

    def meant(self, asked: object) -> object:
        """The engine's name for what was asked for; what is no alias is a name of the engine's, or none."""
        return self.target if asked is None or asked in self.aliases else asked

    def may_be_asked(self, name: object) -> bool:
        """Whether the engine's `name` answers the public."""
        return name == self.target or name in self.beside


def redirected(data: bytes | bytearray, names: Names) -> tuple[bytes | bytearray, str]:
    """A request's body, naming what the engine serves, and that name; the very same bytes where they name it already.

    Raises:
        BadRequestError: the body is no JSON object.
        NoSuchModelError: it names a model that does not answer the public.
    """
    body = decode_json(data)
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    asked = body.get("model")
    meant = names.meant(asked)
    if not isinstance(meant, str):
        raise BadRequestError("model must be a text")
    if not names.may_be_asked(meant):
        raise NoSuchModelError(f"there is no model {meant[:_SHOWN]!r}; GET /v1/models lists those there are")
    if meant == asked:
        return data, meant
    # ASCII, so that what has no UTF-8 form (half characters in escapes) stays the escape it was.
    return json.dumps(body | {"model": meant}, separators=(",", ":")).encode(), meant


def model_rows(rows: Sequence[Mapping[str, Any]], alias: str, names: Names) -> list[Mapping[str, Any]]:
    """The engine's list as far as the public may ask it, headed by the name that stays; `root` says which version answers."""
    rows = [row for row in rows if names.may_be_asked(row.get("id"))]
    served = next((row for row in rows if row.get("id") == names.target), None)
    if served is None or any(row.get("id") == alias for row in rows):
        return list(rows)
    return [{**served, "id": alias, "root": names.target}, *rows]


def find_model(rows: Sequence[Mapping[str, Any]], asked: str, names: Names) -> Mapping[str, Any] | None:
    """One model by any of its names."""
    for name in (asked, names.meant(asked)):
        for row in rows:
            if row.get("id") == name:
                return row
    return None
