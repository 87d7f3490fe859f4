"""The OpenAI API as far as the sidecar itself speaks it: which model a request means, and its error object. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_runtime.sidecar.errors import BadRequestError
from oneseek_runtime.sidecar.jsontext import decode_json

__all__ = ["DEFAULT", "Names", "error_object", "find_model", "model_rows", "redirected"]

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Names:
    """What requests may call the model that serves now. `target` is the engine's name for it."""

    target: str
    aliases: tuple[str, ...]

    def meant(self, asked: object) -> object:
        """The engine's name for what was asked for; what is no alias goes to the engine as it is."""
        return self.target if asked is None or asked in self.aliases else asked


def redirected(data: bytes | bytearray, names: Names) -> tuple[bytes | bytearray, str]:
    """A request's body, naming what the engine serves, and that name; the very same bytes where they name it already.

    Raises:
        BadRequestError: the body is no JSON object.
    """
    body = decode_json(data)
    if not isinstance(body, dict):
        raise BadRequestError("the body must be a JSON object")
    asked = body.get("model")
    meant = names.meant(asked)
    if meant == asked or not isinstance(meant, str):
        return data, meant if isinstance(meant, str) else ""
    # ASCII, so that what has no UTF-8 form (half characters in escapes) stays the escape it was.
    return json.dumps(body | {"model": meant}, separators=(",", ":")).encode(), meant


def model_rows(rows: Sequence[Mapping[str, Any]], alias: str, names: Names) -> list[Mapping[str, Any]]:
    """The engine's list, headed by the name that stays the same whatever version answers; `root` says which does."""
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


def error_object(message: str, *, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """The error body that OpenAI's clients read."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
