"""The routes of `/api/models/*`."""

from __future__ import annotations

from oneseek_runtime.sidecar.api.models import endpoints
from oneseek_runtime.sidecar.api.models import schemas as shapes
from oneseek_runtime.sidecar.api.operation import Parameter, get, post
from oneseek_runtime.sidecar.api.schemas import Error, Failure

__all__ = ["OPERATIONS"]

OPERATIONS = (
    get(
        "/api/models/certified",
        "Every certified version on the claim, newest first",
        endpoints.certified,
        {200: shapes.CertifiedAnswer, 500: Failure},
    ),
    get(
        "/api/models/current",
        "Where CURRENT points; it may lag behind what serves",
        endpoints.current,
        {200: shapes.CurrentAnswer},
    ),
    post(
        "/api/models/set-current",
        "Promote a certified version, newer or older",
        endpoints.set_current,
        {
            200: shapes.SetCurrentAnswer,
            202: shapes.SetCurrentAnswer,
            400: Error,
            404: shapes.NotFound,
            409: shapes.Failed,
            500: shapes.Failed,
            503: shapes.Failed,
        },
        body=shapes.SetCurrentAsked,
    ),
    post(
        "/api/models/reset",
        "Every certified version goes, the base model answers",
        endpoints.reset,
        {
            200: shapes.ResetAnswer,
            202: shapes.ResetAnswer,
            400: shapes.Failed,
            409: shapes.Failed,
            500: shapes.Failed,
            503: shapes.Failed,
        },
        parameters=(
            Parameter("confirm", 'With `auth.mode: Legacy`: `RESET`, unless the body is `{"confirm":"RESET"}`'),
        ),
    ),
)
