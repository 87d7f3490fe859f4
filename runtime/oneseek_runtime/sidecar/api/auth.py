"""Authorization of routes that change something: a Kubernetes token of audience `oneseek`, and RBAC. Reads are open.

Each action has an RBAC verb of its own on the OneSeekModel, so that `patch` alone allows none of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps

from starlette.requests import Request
from starlette.responses import Response

from oneseek_core import names
from oneseek_core.actors import LEGACY_CLIENT
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.sidecar.cluster.client import Access
from oneseek_runtime.sidecar.cluster.token_review import Caller
from oneseek_runtime.sidecar.deps import deps_of
from oneseek_runtime.sidecar.errors import (
    AccessDeniedError,
    KubeError,
    KubeForbiddenError,
    TooManyReviewsError,
    UnauthenticatedError,
)
from oneseek_runtime.sidecar.http.client_address import client_key
from oneseek_runtime.sidecar.http.origins import foreign_origin
from oneseek_runtime.sidecar.http.responses import json_response

__all__ = ["Caller", "Denied", "admitted", "needs", "right_of", "to_promote", "to_reset", "to_train"]

Right = Callable[[ServingSettings], Access]
Endpoint = Callable[[Request], Awaitable[Response]]
Guarded = Callable[[Request, Caller], Awaitable[Response]]


def to_promote(serving: ServingSettings) -> Access:
    """The permission to promote a version."""
    return Access("promote", "oneseekmodels", serving.model)


def to_reset(serving: ServingSettings) -> Access:
    """The permission to delete every version."""
    return Access("reset", "oneseekmodels", serving.model)


def to_train(serving: ServingSettings) -> Access:
    """The permission to submit training data."""
    return Access(names.TRAIN_VERB, "oneseekmodels", serving.model)


_RIGHTS: dict[Endpoint, Right] = {}


def right_of(endpoint: Endpoint) -> Right | None:
    """The permission that an endpoint requires; None: it is open."""
    return _RIGHTS.get(endpoint)


@dataclass(frozen=True, slots=True)
class Denied:
    """Why a caller is refused, as status, message and headers."""

    status: int
    sentence: str
    headers: Mapping[str, str] = field(default_factory=dict)


async def admitted(request: Request, right: Right) -> Caller | Denied:
    """Returns the caller if the permission is granted, else why not."""
    deps = deps_of(request)
    serving = deps.settings.serving
    if serving.requests == "Refused":
        return Denied(503, _NO_POLICY)
    if (page := foreign_origin(request.scope["headers"], deps.settings.allowed_origins)) is not None:
        return Denied(403, _FOREIGN.format(page=page))
    if _needs_no_preflight(request.headers.get("content-type", "")):
        return Denied(415, _NO_DATA)
    if serving.auth == "Legacy":
        return Caller(LEGACY_CLIENT)
    header = request.headers.get("authorization")
    peer = request.client.host if request.client else ""
    client = client_key(peer, request.scope["headers"], deps.settings.trusted_proxies)
    try:
        return await deps.cluster.reviewer.admit(header, right(serving), namespace=serving.namespace, client=client)
    except UnauthenticatedError as error:
        challenge = 'Bearer realm="oneseek"' + (', error="invalid_token"' if error.token_sent else "")
        return Denied(401, str(error), {"WWW-Authenticate": challenge})
    except AccessDeniedError as error:
        return Denied(403, str(error))
    except TooManyReviewsError as error:
        return Denied(429, str(error), {"Retry-After": str(error.wait)})
    except KubeForbiddenError:
        return Denied(503, _NO_REVIEWS)
    except KubeError as error:
        return Denied(503, f"whose token it is cannot be asked now: {error}", {"Retry-After": "5"})


def needs(right: Right) -> Callable[[Guarded], Endpoint]:
    """Decorates an endpoint that changes something; it is called with the authorized caller."""

    def wrap(endpoint: Guarded) -> Endpoint:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            caller = await admitted(request, right)
            if isinstance(caller, Denied):
                body = {"success": False, "error": caller.sentence}
                return json_response(body, status=caller.status, headers=caller.headers)
            return await endpoint(request, caller)

        _RIGHTS[guarded] = right
        return guarded

    return wrap


_NO_POLICY = (
    "this sidecar may ask the operator for nothing: without the chart's admission policies its account could change the whole"
    " OneSeekModel, so it may not patch it; use kubectl, or install the chart with admissionPolicy: auto"
)


def _needs_no_preflight(content_type: str) -> bool:
    """Whether a page may post this content type across origins without a preflight. The old service parsed forms only."""
    return content_type.partition(";")[0].strip().lower() in ("text/plain", "multipart/form-data")


_FOREIGN = (
    "a page of {page} may not change this model; name its origin in spec.serving.cors.allowedOrigins of the OneSeekModel,"
    " or use kubectl"
)
_NO_DATA = "this route changes the model and takes `Content-Type: application/json`"
_NO_REVIEWS = (
    "this sidecar may not review tokens: the operator is installed without cluster-scoped rights; use kubectl, or set"
    " spec.serving.auth.mode: Legacy on the OneSeekModel"
)
