"""`/api/models/*`: the certified versions, and which of them CURRENT names."""

from __future__ import annotations

from oneseek_runtime.sidecar.api.models import endpoints as model_endpoints
from oneseek_runtime.sidecar.api.models import schemas as shapes
from oneseek_runtime.sidecar.api.operation import Operation, Parameter
from oneseek_runtime.sidecar.api.oqt import endpoints
from oneseek_runtime.sidecar.api.schemas import Error, Failure

__all__ = ["OPERATIONS"]

OPERATIONS = (
    Operation(
        method="GET",
        path="/api/models/certified",
        summary="Every certified version on the claim, newest first",
        endpoint=endpoints.certified,
        answers={200: shapes.CertifiedAnswer, 500: Failure},
    ),
    Operation(
        method="GET",
        path="/api/models/current",
        summary="Where CURRENT points; it may lag behind what serves",
        endpoint=endpoints.current,
        answers={200: shapes.CurrentAnswer},
    ),
    Operation(
        method="POST",
        path="/api/models/set-current",
        summary="Promote a certified version, newer or older",
        endpoint=model_endpoints.set_current,
        body=shapes.SetCurrentAsked,
        answers={
            200: shapes.SetCurrentAnswer,
            202: shapes.SetCurrentAnswer,
            400: Error,
            404: shapes.NotFound,
            409: shapes.Failed,
            500: shapes.Failed,
            503: shapes.Failed,
        },
    ),
    Operation(
        method="POST",
        path="/api/models/reset",
        summary="Every certified version goes, the base model answers",
        endpoint=model_endpoints.reset,
        parameters=(
            Parameter("confirm", 'With `auth.mode: Legacy`: `RESET`, unless the body is `{"confirm":"RESET"}`'),
        ),
        answers={
            200: shapes.ResetAnswer,
            202: shapes.ResetAnswer,
            400: shapes.Failed,
            409: shapes.Failed,
            500: shapes.Failed,
            503: shapes.Failed,
        },
    ),
)
