"""How bodies leave and arrive: JSON with the contract's content type, and its reading of what clients post."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from oneseek_runtime.sidecar.errors import BadRequestError, BodyTooLargeError, ClientGoneError

__all__ = ["BODY_LIMIT", "json_response", "parse_object", "read_object"]

BODY_LIMIT = 50 * 1024 * 1024  # bytes


def json_response(body: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer; non-ASCII text travels as it is, and NaN is a defect of ours."""
    # Lone surrogates are legal in JSON's escapes and have no UTF-8 form; "?" is better than a 500.
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")
    return Response(data, status, headers, media_type="application/json; charset=utf-8")


async def read_object(request: Request) -> Mapping[str, Any]:
    """The posted object; an empty body is `{}`, and so is JSON that holds no object (no key is then present).

    Raises:
        BadRequestError: the body is no JSON, or is too large (BodyTooLargeError).
        ClientGoneError: the client left before it had sent all.
    """
    data = bytearray()
    try:
        async for chunk in request.stream():
            data += chunk
            if len(data) > BODY_LIMIT:
                raise BodyTooLargeError(f"the body is larger than {BODY_LIMIT // 1024**2} MB")
    except ClientDisconnect as error:
        raise ClientGoneError("the client left while sending") from error
    return parse_object(bytes(data), request.headers.get("content-type", ""))


def parse_object(data: bytes, content_type: str) -> Mapping[str, Any]:
    """`read_object` for bytes that are all there."""
    if not data.strip():
        return {}
    try:
        if content_type.startswith("application/x-www-form-urlencoded"):
            return dict(parse_qsl(data.decode(), keep_blank_values=True))
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not valid JSON: {error}") from error
    return value if isinstance(value, dict) else {}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
