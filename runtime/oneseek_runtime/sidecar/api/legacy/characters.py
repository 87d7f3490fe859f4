"""`/api/chat/characters*`: the characters of the old chat page, from characters.json."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from oneseek_runtime.sidecar.api.legacy import schemas as shapes
from oneseek_runtime.sidecar.api.operation import Parameter, get
from oneseek_runtime.sidecar.api.schemas import Error
from oneseek_runtime.sidecar.http.responses import json_response

__all__ = ["OPERATIONS"]

_FILE = Path(__file__).resolve().parent / "characters.json"
_SHORT = ("id", "name", "description", "personality_type", "icon")


@cache
def _characters() -> tuple[dict[str, Any], ...]:
    return tuple(json.loads(_FILE.read_text(encoding="utf-8")))


async def characters(_request: Request) -> Response:
    """GET /api/chat/characters: all characters, the default first."""
    return json_response({"characters": [{key: item[key] for key in _SHORT} for item in _characters()]})


async def character(request: Request) -> Response:
    """GET /api/chat/characters/{id}: one character with all fields."""
    found = next((item for item in _characters() if item["id"] == request.path_params["id"]), None)
    if found is None:
        return json_response(Error(error="Character not found"), status=404)
    return json_response({"character": found})


OPERATIONS = (
    get("/api/chat/characters", "The characters, the default first", characters, {200: shapes.Characters}),
    get(
        "/api/chat/characters/{id}",
        "One character",
        character,
        {200: shapes.CharacterAnswer, 404: Error},
        parameters=(Parameter("id", "Id of the character", "path", required=True),),
    ),
)
