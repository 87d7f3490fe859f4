"""Builds JSON answers in the contract's form and parses posted JSON objects."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from oneseek_runtime.sidecar.errors import (
    BadRequestError,
    BodyTooLargeError,
    EngineBusyError,
    TooManyBodiesError,
    UpstreamError,
)
from oneseek_runtime.sidecar.http.bounded_json import decode_json
from oneseek_runtime.sidecar.http.request_body import Body, BodyReader

__all__ = [
    "DNA_HEADER",
    "body_refused",
    "engine_failure",
    "error_object",
    "failure",
    "json_response",
    "no_such_page",
    "parse_object",
    "read_object",
    "timestamp",
]

DNA_HEADER = "X-OneSeek-DNA"
_FORM = "application/x-www-form-urlencoded"
_FIELDS = 1000  # the limit of the old service's parser


def json_response(
    body: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    dna: str | None = None,
) -> Response:
    """A JSON answer in UTF-8, with the DNA of the version that answered; a NaN is a defect and raises ValueError."""
    if dna:
        headers = {DNA_HEADER: dna, **(headers or {})}
    # Lone surrogates are legal in JSON's escapes and have no UTF-8 form; "?" is better than a 500.
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
    return Response(data, status, headers, media_type="application/json; charset=utf-8")


def failure(error: str, message: str | None = None, *, status: int, retry: int | None = None) -> Response:
    """The old service's error body; `retry`: seconds for Retry-After."""
    body: dict[str, Any] = {"success": False, "error": error}
    if message is not None:
        body["message"] = message
    return json_response(body, status=status, headers={"Retry-After": str(retry)} if retry else None)


def engine_failure(error: str, why: UpstreamError) -> Response:
    """The old service's answer if no model answered: 503 for a busy engine, else 500."""
    busy = isinstance(why, EngineBusyError)
    return failure(error, str(why), status=503 if busy else 500, retry=1 if busy else None)


def body_refused(error: Exception) -> Response:
    """The answer to a body that cannot be used: 400, 413 or 503."""
    status, sentence = 400, "Malformed request body"
    if isinstance(error, BodyTooLargeError):
        status, sentence = 413, "Request body too large"
    elif isinstance(error, TooManyBodiesError):
        status, sentence = 503, "Too many large bodies"
    # The rest of a refused body stays unread, so the connection cannot carry another request.
    headers = {} if status == 400 else {"Connection": "close"}
    if status == 503:
        headers["Retry-After"] = "1"
    return json_response({"error": sentence, "message": str(error)}, status=status, headers=headers)


def no_such_page(request: Request, *, status: int = 404, headers: Mapping[str, str] | None = None) -> Response:
    """The old service's HTML page for unknown paths."""
    what = html.escape(f"Cannot {request.method} {request.url.path}")
    return HTMLResponse(f"<!DOCTYPE html>\n<title>Error</title>\n<pre>{what}</pre>\n", status, headers)


async def read_object(request: Request, bodies: BodyReader, *, only_objects: bool = False) -> Mapping[str, Any]:
    """Returns the posted JSON object; `{}` for an empty body or another JSON value.

    With `only_objects` another JSON value is refused. Raises BadRequestError (or a subclass) or ClientGoneError.
    """
    data = await bodies.read(request.scope, request.receive)
    try:
        return parse_object(data, request.headers.get("content-type", ""), only_objects=only_objects)
    finally:
        bodies.release(data)


def parse_object(data: Body, content_type: str, *, only_objects: bool = False) -> Mapping[str, Any]:
    """`read_object` for a body that is already read."""
    if not data or data.isspace():
        return {}
    if content_type.startswith(_FORM):
        try:
            return dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=_FIELDS))
        except ValueError as error:
            raise BadRequestError(f"the form cannot be read: {error}") from error
    value = decode_json(data)
    if only_objects and not isinstance(value, dict):
        raise BadRequestError("the body must be a JSON object, or empty")
    return value if isinstance(value, dict) else {}


def timestamp(when: datetime) -> str:
    """Formats a time as the contract does: ISO 8601, UTC, milliseconds, `Z`."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def error_object(message: str, *, kind: str = "invalid_request_error", code: str | None = None) -> dict[str, Any]:
    """The error body of the OpenAI API."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
