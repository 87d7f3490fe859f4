"""Matches paths as the old Express service did: case-insensitive, with an optional slash at the end.

No redirect, because a POST would lose its body. Parameters (a DNA, a file) keep their case; `/v1` is matched exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["PEER_PREFIX", "KnownPaths", "LenientPaths"]

PEER_PREFIX = "/internal/public"
"""Prefix of forwarded requests on the internal port."""

_EXACT = "v1"  # first segment of case-sensitive paths


@dataclass
class _Node:
    """A node of the tree of path segments."""

    literals: dict[str, tuple[str, _Node]] = field(default_factory=dict)  # lower case -> as in the route
    name: _Node | None = None
    rest: bool = False  # matches the rest of the path
    ends: bool = False


class KnownPaths:
    """Finds the route's path for a path as written by a client."""

    def __init__(self, routes: Iterable[str]) -> None:
        self._root = _Node()
        self._fixed = frozenset(route for route in routes if "{" not in route)
        for route in routes:
            node = self._root
            for segment in route.split("/")[1:]:
                if segment.endswith(":path}"):
                    node.rest = True
                elif segment.startswith("{"):
                    node.name = node = node.name or _Node()
                else:
                    node = node.literals.setdefault(segment.lower(), (segment, _Node()))[1]
            node.ends = True

    def route_path(self, path: str) -> str:
        """Returns the path as a route has it; the path itself if no route matches."""
        if path in self._fixed:
            return path
        if path.startswith(f"{PEER_PREFIX}/"):  # forwarded by a pod with another TLS setting
            path = path.removeprefix(PEER_PREFIX)
        found = self._find(path)
        if found is None and path.endswith("/") and not path.endswith("//"):
            found = self._find(path[:-1])
        return path if found is None else found

    def _find(self, path: str) -> str | None:
        node, parts, segments = self._root, [""], path.split("/")[1:]
        for index, segment in enumerate(segments):
            exact = parts[1:2] == [_EXACT] or (index == 0 and segment.lower() == _EXACT)
            literal = node.literals.get(segment.lower())
            if literal and (not exact or literal[0] == segment):
                parts.append(literal[0])
                node = literal[1]
            elif node.name and segment:
                parts.append(segment)
                node = node.name
            elif node.rest:
                return "/".join([*parts, *segments[index:]])
            else:
                return None
        return "/".join(parts) if node.ends else None


class LenientPaths:
    """ASGI middleware: passes each request on under the path of its route."""

    def __init__(self, app: ASGIApp, routes: Iterable[str]) -> None:
        self._app, self._paths = app, KnownPaths(tuple(routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the path and call the app."""
        if scope["type"] in ("http", "websocket"):
            route_path = self._paths.route_path(scope["path"])
            if route_path != scope["path"]:
                scope = {**scope, "path": route_path}
        await self._app(scope, receive, send)
