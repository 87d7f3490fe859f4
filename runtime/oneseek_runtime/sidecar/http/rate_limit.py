"""The contract's rate limits: a sliding window of 60 s per client and router, before any validation.

In memory and per pod, as in the old service. Refused requests are not counted. Counted answers carry the RateLimit-*
headers of express-rate-limit.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from oneseek_runtime.sidecar.http.client_address import Networks, client_key
from oneseek_runtime.sidecar.http.responses import json_response

__all__ = ["ROUTERS", "Admission", "RateLimits", "Router", "SlidingWindow"]

WINDOW_SECONDS = 60.0
_MAXIMUM_CLIENTS = 10_000  # per router; above that clients with an empty window are dropped


@dataclass(frozen=True, slots=True)
class Router:
    """A group of paths that share one counter, and the body of its 429."""

    name: str
    limit: int
    refusal: Mapping[str, Any]
    prefix: str | None = None
    paths: frozenset[str] = frozenset()
    exempt: frozenset[str] = frozenset()

    def covers(self, path: str) -> bool:
        """Whether a request for `path` is counted here."""
        if path in self.exempt:
            return False
        return path in self.paths or (self.prefix is not None and path.startswith(self.prefix))


ROUTERS = (
    Router(
        name="oqt",
        limit=60,
        refusal={"success": False, "error": "Rate limit exceeded. Please try again later."},
        prefix="/api/oqt/",
        exempt=frozenset({"/api/oqt/micro-train"}),
    ),
    Router(
        name="reset",
        limit=5,
        refusal={"error": "Too many reset requests. Please try again later.", "retryAfter": 60},
        paths=frozenset({"/api/models/reset"}),
    ),
    Router(
        name="current",
        limit=20,
        refusal={"error": "Too many requests. Please try again later.", "retryAfter": 60},
        paths=frozenset({"/api/models/current", "/api/models/set-current"}),
    ),
    Router(
        name="micro",
        limit=30,
        refusal={"success": False, "error": "Rate limit exceeded. Please try again later."},
        paths=frozenset({"/api/training/micro/status", "/api/training/micro/stats"}),
    ),
    Router(
        name="infer",
        limit=1000,
        refusal={"error": "Rate limit exceeded: 1000 per 1 minute"},
        paths=frozenset({"/infer", "/inference/oneseek"}),
    ),
    Router(
        name="inference",
        limit=1000,
        refusal={"error": "Rate limit exceeded", "detail": "1000 per 1 minute", "retry_after": "60"},
        paths=frozenset({"/api/inference/infer"}),
    ),
)


@dataclass(frozen=True, slots=True)
class Admission:
    """Result of a request: `wait` is 0.0 if admitted; `remaining` requests; `reset` in seconds."""

    wait: float
    remaining: int
    reset: float


@dataclass(slots=True)
class SlidingWindow:
    """At most `limit` admissions per key in any `seconds`. `clock` is monotonic, in seconds."""

    limit: int
    clock: Callable[[], float]
    seconds: float = WINDOW_SECONDS
    _seen: dict[str, deque[float]] = field(default_factory=dict)
    _swept: float = 0.0

    def admit(self, key: str) -> Admission:
        """Count or refuse a request. `reset`: seconds until the oldest counted request expires."""
        now = self.clock()
        times = self._seen.setdefault(key, deque())
        while times and times[0] <= now - self.seconds:
            times.popleft()
        if len(times) >= self.limit:
            wait = times[0] + self.seconds - now
            return Admission(wait, 0, wait)
        times.append(now)
        if len(self._seen) > _MAXIMUM_CLIENTS and now - self._swept >= 1:  # sweeping is slow
            self._seen = {k: kept for k, kept in self._seen.items() if kept[-1] > now - self.seconds}
            self._swept = now
        return Admission(0.0, self.limit - len(times), times[0] + self.seconds - now)


class RateLimits:
    """ASGI middleware: answers 429 with the router's body and `Retry-After` above the limit."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float], trusted: Networks = ()) -> None:
        self._app = app
        self._trusted = trusted
        self._windows = [(router, SlidingWindow(router.limit, clock)) for router in ROUTERS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app, or refuse the request."""
        path = scope["path"] if scope["type"] == "http" else ""
        if path.startswith("/v1/"):  # not limited here, and latency matters
            await self._app(scope, receive, send)
            return
        for router, window in self._windows:
            if not router.covers(path):
                continue
            peer = scope["client"][0] if scope.get("client") else ""
            admission = window.admit(client_key(peer, scope["headers"], self._trusted))
            fields = _fields(router, admission)
            if admission.wait:
                fields["Retry-After"] = str(math.ceil(admission.wait))
                await json_response(router.refusal, status=429, headers=fields)(scope, receive, send)
                return
            await self._app(scope, receive, _with(send, fields))
            return
        await self._app(scope, receive, send)


def _fields(router: Router, admission: Admission) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(router.limit),
        "RateLimit-Remaining": str(admission.remaining),
        "RateLimit-Reset": str(math.ceil(admission.reset)),
        "RateLimit-Policy": f"{router.limit};w={WINDOW_SECONDS:.0f}",
    }


def _with(send: Send, fields: Mapping[str, str]) -> Send:
    """Returns `send` with header fields added to the answer."""

    async def send_with(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return send_with
