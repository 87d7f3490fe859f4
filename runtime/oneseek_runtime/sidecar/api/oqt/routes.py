"""`/api/oqt/*`: asking, and what the service says of itself."""

from __future__ import annotations

from oneseek_runtime.sidecar.api.dashboard.schemas import LedgerBlocks
from oneseek_runtime.sidecar.api.multi import schemas as multi_shapes
from oneseek_runtime.sidecar.api.multi.endpoints import multi_model_query
from oneseek_runtime.sidecar.api.operation import WAIT, Operation, Parameter
from oneseek_runtime.sidecar.api.oqt import endpoints, ledger
from oneseek_runtime.sidecar.api.oqt import schemas as shapes
from oneseek_runtime.sidecar.api.schemas import Failure
from oneseek_runtime.sidecar.api.training import endpoints as training_endpoints
from oneseek_runtime.sidecar.api.training import schemas

__all__ = ["OPERATIONS"]

OPERATIONS = (
    Operation(
        method="POST",
        path="/api/oqt/query",
        summary="Ask one question of the model that serves",
        endpoint=endpoints.query,
        body=shapes.QueryAsked,
        answers={200: shapes.QueryAnswer, 400: Failure, 500: Failure, 503: Failure},
    ),
    Operation(
        method="POST",
        path="/api/oqt/multi-model-query",
        summary="Ask one question of every loaded model, and compare the answers",
        endpoint=multi_model_query,
        body=multi_shapes.MultiAsked,
        answers={200: multi_shapes.MultiAnswer, 400: Failure, 500: Failure, 503: Failure},
    ),
    Operation(
        method="POST",
        path="/api/oqt/micro-train",
        summary="Give a question with answers to learn; answered once it is recorded, before it is trained",
        endpoint=training_endpoints.micro_train,
        body=schemas.LessonAsked,
        parameters=(WAIT,),
        answers={200: schemas.MicroAnswer, 400: Failure, 409: Failure, 503: Failure},
    ),
    Operation(
        method="POST",
        path="/api/oqt/train",
        summary="Train a major version on what was given to learn so far",
        endpoint=training_endpoints.train,
        body=schemas.BatchAsked,
        parameters=(WAIT,),
        answers={200: schemas.BatchAnswer, 400: Failure, 409: Failure, 503: Failure},
    ),
    Operation(
        method="GET",
        path="/api/oqt/status",
        summary="Which model answers, and which versions are certified",
        endpoint=endpoints.status,
        answers={200: shapes.StatusAnswer, 500: Failure},
    ),
    Operation(
        method="GET",
        path="/api/oqt/metrics",
        summary="What was measured of the version that answers",
        endpoint=endpoints.metrics,
        answers={200: shapes.MetricsAnswer, 500: Failure},
    ),
    Operation(
        method="GET",
        path="/api/oqt/queries",
        private=True,
        summary="The newest recorded questions and answers",
        endpoint=ledger.queries,
        parameters=(
            Parameter(
                "limit",
                "How many; 50 if left out, 0 or no number, at most 100",
                schema={"type": "integer", "minimum": 0},
            ),
        ),
        answers={200: shapes.QueriesAnswer, 400: Failure},
    ),
    Operation(
        method="GET",
        path="/api/oqt/ledger/verify",
        summary="Read the whole ledger and check it again",
        endpoint=ledger.verify,
        answers={200: shapes.LedgerVerified},
    ),
    Operation(
        method="GET",
        path="/api/oqt/ledger/stats",
        summary="How many blocks of which type, and the newest",
        endpoint=ledger.stats,
        answers={200: shapes.LedgerStats, 500: Failure},
    ),
    Operation(
        method="GET",
        path="/api/oqt/ledger/blocks",
        private=True,
        summary="Blocks of the ledger, the newest first",
        endpoint=ledger.blocks,
        parameters=(
            Parameter("before", "Only blocks with a lower number", schema={"type": "integer", "minimum": 0}),
            Parameter(
                "limit",
                "How many; 50 if left out, 0 or no number, at most 100",
                schema={"type": "integer", "minimum": 0},
            ),
        ),
        answers={200: LedgerBlocks, 400: Failure, 503: Failure},
    ),
)
