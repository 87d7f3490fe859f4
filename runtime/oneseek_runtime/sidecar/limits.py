"""The contract's rate limits: a sliding window of 60 s per client address and router, before any validation.

In memory and per pod, as the old service had it. Refused requests are not counted. The address is the connection's:
headers that a client can write itself are not believed, so behind a proxy all its callers share one bucket.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from oneseek_runtime.sidecar.responses import json_response

__all__ = ["ROUTERS", "RateLimits", "Router", "SlidingWindow"]

WINDOW_SECONDS = 60.0
_MAXIMUM_CLIENTS = 10_000  # addresses remembered per router; beyond it those whose window is empty are forgotten


@dataclass(frozen=True, slots=True)
class Router:
    """Paths that share one counter: everything below a prefix, or the paths named."""

    limit: int
    refusal: Mapping[str, Any]
    prefix: str | None = None
    paths: frozenset[str] = frozenset()
    exempt: frozenset[str] = frozenset()

    def covers(self, path: str) -> bool:
        """Whether a request for `path` counts here."""
        if path in self.exempt:
            return False
        return path in self.paths or (self.prefix is not None and path.startswith(self.prefix))


ROUTERS = (
    Router(
        limit=60,
        refusal={"success": False, "error": "Rate limit exceeded. Please try again later."},
        prefix="/api/oqt/",
        exempt=frozenset({"/api/oqt/micro-train"}),
    ),
    Router(
        limit=5,
        refusal={"error": "Too many reset requests. Please try again later.", "retryAfter": 60},
        paths=frozenset({"/api/models/reset"}),
    ),
    Router(
        limit=20,
        refusal={"error": "Too many requests. Please try again later.", "retryAfter": 60},
        paths=frozenset({"/api/models/current", "/api/models/set-current"}),
    ),
)


@dataclass(slots=True)
class SlidingWindow:
    """At most `limit` admissions per key in any `WINDOW_SECONDS`. `clock` gives seconds and never goes back."""

    limit: int
    clock: Callable[[], float]
    _seen: dict[str, deque[float]] = field(default_factory=dict)

    def admit(self, key: str) -> float:
        """0.0 where the request may pass (it is counted then), else the seconds until one would."""
        now = self.clock()
        times = self._seen.setdefault(key, deque())
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        if len(times) >= self.limit:
            return times[0] + WINDOW_SECONDS - now
        times.append(now)
        if len(self._seen) > _MAXIMUM_CLIENTS:
            self._seen = {k: kept for k, kept in self._seen.items() if kept[-1] > now - WINDOW_SECONDS}
        return 0.0


class RateLimits:
    """ASGI middleware: refuse with the router's own 429 body and `Retry-After`."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float]) -> None:
        self._app = app
        self._windows = [(router, SlidingWindow(router.limit, clock)) for router in ROUTERS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "http":
            client = scope["client"][0] if scope.get("client") else ""
            for router, window in self._windows:
                if router.covers(scope["path"]) and (wait := window.admit(client)):
                    headers = {"Retry-After": str(math.ceil(wait))}
                    await json_response(router.refusal, status=429, headers=headers)(scope, receive, send)
                    return
        await self._app(scope, receive, send)
