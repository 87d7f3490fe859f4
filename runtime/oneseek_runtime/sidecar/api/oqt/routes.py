"""The routes of `/api/oqt/*`."""

from __future__ import annotations

from oneseek_runtime.sidecar.api.operation import Parameter, get, post
from oneseek_runtime.sidecar.api.oqt import endpoints, ledger, schemas
from oneseek_runtime.sidecar.api.oqt.metrics import MetricsAnswer
from oneseek_runtime.sidecar.api.schemas import Failure

__all__ = ["QUERY", "REPORTS"]

_LIMIT = Parameter(
    "limit", "How many; 50 if left out, 0 or no number, at most 100", schema={"type": "integer", "minimum": 0}
)

QUERY = (
    post(
        "/api/oqt/query",
        "Ask one question of the model that serves",
        endpoints.query,
        {200: schemas.QueryAnswer, 400: Failure, 500: Failure, 503: Failure},
        body=schemas.QueryAsked,
    ),
)

REPORTS = (
    get(
        "/api/oqt/status",
        "Which model answers, and which versions are certified",
        endpoints.status,
        {200: schemas.StatusAnswer, 500: Failure},
    ),
    get(
        "/api/oqt/metrics",
        "What was measured of the version that answers",
        endpoints.metrics,
        {200: MetricsAnswer, 500: Failure},
    ),
    get(
        "/api/oqt/queries",
        "The newest recorded questions and answers",
        ledger.queries,
        {200: ledger.QueriesAnswer, 400: Failure},
        private=True,
        parameters=(_LIMIT,),
    ),
    get(
        "/api/oqt/ledger/verify",
        "Read the whole ledger and check it again",
        ledger.verify,
        {200: ledger.LedgerVerified},
    ),
    get(
        "/api/oqt/ledger/stats",
        "How many blocks of which type, and the newest",
        ledger.stats,
        {200: ledger.LedgerStats, 500: Failure},
    ),
    get(
        "/api/oqt/ledger/blocks",
        "Blocks of the ledger, the newest first",
        ledger.blocks,
        {200: ledger.LedgerBlocks, 400: Failure, 503: Failure},
        private=True,
        parameters=(
            Parameter("before", "Only blocks with a lower number", schema={"type": "integer", "minimum": 0}),
            _LIMIT,
        ),
    ),
)
