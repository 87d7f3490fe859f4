"""The OpenAPI 3.1 document, made from the route table and the shapes. Pure and deterministic.

python -m oneseek_runtime.sidecar.api.openapi > docs/openapi.json     # `make openapi`
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from oneseek_core import names
from oneseek_runtime.sidecar.api.auth import right_of
from oneseek_runtime.sidecar.api.operation import Media, Operation, Shape
from oneseek_runtime.sidecar.api.schemas import Refusal, Unauthorized
from oneseek_runtime.sidecar.api.table import GROUPS
from oneseek_runtime.sidecar.http.rate_limit import ROUTERS
from oneseek_runtime.sidecar.http.responses import DNA_HEADER

__all__ = ["document", "main"]

_JSON = "application/json"
_WORDS = {
    200: "Done",
    202: "Accepted; it is under way",
    400: "The request cannot be used",
    401: "No usable token",
    403: "The token's owner may not do this",
    404: "There is no such thing",
    408: "The request did not arrive in time",
    409: "Refused: the reason says why",
    410: "Gone",
    413: "The body is too large",
    415: "The body is of another kind",
    422: "A field is not as it must be",
    429: "Too many requests",
    500: "It failed",
    501: "Not offered",
    503: "Not possible at the moment",
}


@cache
def document() -> dict[str, Any]:
    """The whole document."""
    schemas, definitions = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for group, rows in GROUPS.items():
        for row in rows:
            path = re.sub(r"\{(\w+):path\}", r"{\1}", row.path)
            paths.setdefault(path, {})[row.method.lower()] = _operation(group, row, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "OneSeek",
            "version": names.VERSION,
            "description": "Questions, versions, training and the ledger of one OneSeekModel.",
        },
        "tags": [{"name": group} for group in GROUPS],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": f"A Kubernetes token of audience `{names.TOKEN_AUDIENCE}`; see docs/reference/auth.md.",
                }
            },
        },
    }


def _schemas() -> tuple[dict[type[Any], dict[str, Any]], dict[str, Any]]:
    """A reference for each shape, and all definitions."""
    shapes: set[type[Any]] = {Refusal, Unauthorized}
    for rows in GROUPS.values():
        for row in rows:
            shapes |= {shape for shape in (row.body, *row.answers.values()) if isinstance(shape, type)}
    ordered = sorted(shapes, key=lambda shape: (shape.__module__, shape.__name__))
    found, top = TypeAdapter.json_schemas(
        [(index, "validation", TypeAdapter(shape)) for index, shape in enumerate(ordered)],
        ref_template="#/components/schemas/{model}",
    )
    return {shape: found[(index, "validation")] for index, shape in enumerate(ordered)}, top.get("$defs", {})


def _operation(group: str, row: Operation, schemas: Mapping[type[Any], dict[str, Any]]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "tags": [group],
        "summary": row.summary,
        "operationId": _operation_id(row),
        "responses": _responses(row, schemas),
    }
    if row.parameters:
        made["parameters"] = [
            {
                "name": item.name,
                "in": item.place,
                "description": item.description,
                "required": item.required,
                "schema": dict(item.schema),
            }
            for item in row.parameters
        ]
    if isinstance(row.body, type):
        schema = schemas[row.body]
        needed = any(item.is_required() for item in row.body.model_fields.values())
        made["requestBody"] = {"required": needed, "content": {_JSON: {"schema": schema}}}
    if row.endpoint is not None and right_of(row.endpoint):
        made["security"] = [{"token": []}]
    return made


def _operation_id(row: Operation) -> str:
    words = re.findall(r"[A-Za-z0-9]+", row.path)
    return row.method.lower() + "".join(word[:1].upper() + word[1:] for word in words)


def _responses(row: Operation, schemas: Mapping[type[Any], dict[str, Any]]) -> dict[str, Any]:
    answers: dict[int, list[Shape]] = {status: [shape] for status, shape in row.answers.items()}

    def also(status: int, shape: Shape) -> None:
        if shape not in answers.setdefault(status, []):
            answers[status].append(shape)

    if row.body is not None and row.direct is None:
        for status in (400, 413, 503):
            also(status, Refusal)
    if row.endpoint is not None and right_of(row.endpoint):
        for status in (401, 403, 415, 429, 503):
            also(status, Unauthorized)
    limited = next((router for router in ROUTERS if router.covers(row.path)), None)
    made = {str(status): _response(row, status, shapes, schemas) for status, shapes in sorted(answers.items())}
    if limited is not None:
        limit: dict[str, Any] = {"const": dict(limited.refusal)}
        others = [schemas[shape] for shape in answers.get(429, []) if isinstance(shape, type)]
        made["429"] = {
            "description": f"More than {limited.limit} requests a minute"
            + (", or too many bad tokens" if others else ""),
            "content": {_JSON: {"schema": {"anyOf": [limit, *others]} if others else limit}},
        }
    if "429" in made:
        made["429"]["headers"] = {"Retry-After": _header("Seconds to wait", "integer")}
    return made


def _response(
    row: Operation, status: int, shapes: list[Shape], schemas: Mapping[type[Any], dict[str, Any]]
) -> dict[str, Any]:
    content: dict[str, Any] = {}
    found = [schemas[shape] for shape in shapes if isinstance(shape, type)]
    if found:
        content[_JSON] = {"schema": found[0] if len(found) == 1 else {"anyOf": found}}
    for media in (*shapes, row.streams if status == 200 else None):
        if isinstance(media, Media):
            content[media.type] = {"schema": {"type": "string"} if media.type != _JSON else {}}
    made: dict[str, Any] = {"description": _WORDS[status], "content": content}
    if status == 200:
        made["headers"] = {DNA_HEADER: _header("The version that answered; absent for the base model", "string")}
    return made


def _header(description: str, kind: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


def main() -> None:
    """Print the document."""
    sys.stdout.write(json.dumps(document(), indent=1, ensure_ascii=False, sort_keys=False) + "\n")


if __name__ == "__main__":
    main()
