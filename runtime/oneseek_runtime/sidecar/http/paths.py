"""Paths as old clients write them: the old service (Express) minded neither capitals nor a slash at the end.

No redirect: a POST would lose its body. What stands for a name in a route (a DNA, a file) keeps its letters, and `/v1`
is written as OpenAI writes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["PEER_PREFIX", "KnownPaths", "LenientPaths"]

PEER_PREFIX = "/internal/public"
"""Below it, on the internal port, a pod answers what another pod of the model passes on."""

_EXACT = "v1"  # the first segment of paths whose letters count


@dataclass
class _Node:
    """What may follow a part of a path."""

    literals: dict[str, tuple[str, _Node]] = field(default_factory=dict)  # lower case -> as the route writes it
    name: _Node | None = None
    rest: bool = False  # anything may follow, slashes too
    ends: bool = False


class KnownPaths:
    """Finds the path that a route knows for one that a client wrote."""

    def __init__(self, routes: Iterable[str]) -> None:
        self._root = _Node()
        self._plain = frozenset(route for route in routes if "{" not in route)
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

    def known(self, path: str) -> str:
        """The path as a route knows it; the path itself where none does."""
        if path in self._plain:
            return path
        if path.startswith(f"{PEER_PREFIX}/"):  # passed on by a pod that speaks otherwise than this one
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
    """ASGI middleware: hands each request on under the path that a route knows."""

    def __init__(self, app: ASGIApp, routes: Iterable[str]) -> None:
        self._app, self._paths = app, KnownPaths(tuple(routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] in ("http", "websocket"):
            known = self._paths.known(scope["path"])
            if known != scope["path"]:
                scope = {**scope, "path": known}
        await self._app(scope, receive, send)
