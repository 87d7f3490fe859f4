"""Which tokens the API server is asked about at all, and how often: anybody may send us one, and each question costs it.

A token of ours says itself that it is none, or none any more: its claims are readable without its key. What the API
server refused is not asked about again for a while, and a client whose tokens it keeps refusing must wait.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from oneseek_core import names
from oneseek_runtime.sidecar.cluster.client import Kube, User
from oneseek_runtime.sidecar.errors import TooManyReviewsError

__all__ = ["Reviews", "unfit"]

Key = TypeVar("Key")
Value = TypeVar("Value")

_TOKEN_BYTES = 16 * 1024
_SKEW_SECONDS = 60.0  # our clock may be ahead of the API server's
_REFUSED_SECONDS = 10.0
_REMEMBERED = 1024  # refused tokens, and clients that sent them
_AT_ONCE = 10  # refused tokens of one client until it must wait
_AGAIN_SECONDS = 6.0  # until one more is asked about


def unfit(token: str, now: float) -> str:
    """Why a token cannot be one of ours, read off the token itself; empty: the API server must be asked."""
    parts = token.split(".")
    claims = _object(parts[1]) if len(token) <= _TOKEN_BYTES and len(parts) == 3 and all(parts) else None
    if claims is None or _object(parts[0]) is None:
        return "it is no JSON Web Token"
    audiences, expires = claims.get("aud"), claims.get("exp")
    if names.TOKEN_AUDIENCE not in (audiences if isinstance(audiences, list) else [audiences]):
        return f"it was not made for the audience {names.TOKEN_AUDIENCE!r}"
    if isinstance(expires, int | float) and expires < now - _SKEW_SECONDS:
        return "it has expired"
    return ""


def _object(part: str) -> dict[str, object] | None:
    try:
        value = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


@dataclass(slots=True)
class Reviews:
    """Token in, owner out. `clock` gives seconds and never goes back; `wall` is the time of day."""

    kube: Kube
    clock: Callable[[], float]
    wall: Callable[[], float] = time.time
    _refused: dict[bytes, tuple[str, float]] = field(default_factory=dict)  # why, and until when
    _spent: dict[str, float] = field(default_factory=dict)  # client -> when its last refused token is made up for

    async def owner(self, token: str, client: str) -> User | str:
        """Whose the token is; else why it is refused.

        Raises:
            TooManyReviewsError: the API server is not asked, because of what the client sent before.
            KubeError: the API server cannot be asked.
        """
        if why := unfit(token, self.wall()):
            return why
        digest, now = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest(), self.clock()
        if (known := self._refused.get(digest)) and known[1] > now:
            return known[0]
        # Paid for before it is known to be good: many may be under way at once.
        self._spend(client, now)
        try:
            found = await self.kube.review(token)
        except BaseException:
            self._give_back(client)
            raise
        if isinstance(found, str):
            _keep(self._refused, digest, (found, now + _REFUSED_SECONDS))
        else:
            self._give_back(client)
        return found

    def _spend(self, client: str, now: float) -> None:
        until = max(self._spent.get(client, now), now) + _AGAIN_SECONDS
        if (ahead := until - now - _AT_ONCE * _AGAIN_SECONDS) > 0:
            raise TooManyReviewsError(
                "too many tokens that the API server does not know came from your address; send a good one in"
                f" {math.ceil(ahead)} s",
                wait=math.ceil(ahead),
            )
        _keep(self._spent, client, until)

    def _give_back(self, client: str) -> None:
        if client in self._spent:
            self._spent[client] -= _AGAIN_SECONDS


def _keep(found: dict[Key, Value], key: Key, value: Value) -> None:
    """The newest entries only."""
    found.pop(key, None)
    found[key] = value
    while len(found) > _REMEMBERED:
        del found[next(iter(found))]
