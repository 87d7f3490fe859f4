"""Limits how many token reviews clients can cause on the API server.

Tokens that are evidently not ours or expired are refused by their claims alone. A refused token is remembered for a while, and a
client that sends many refused tokens must wait.
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

__all__ = ["ReviewBudget", "why_invalid"]

Key = TypeVar("Key")
Value = TypeVar("Value")

_TOKEN_BYTES = 16 * 1024
_SKEW_SECONDS = 60.0  # tolerated clock skew
_REFUSED_SECONDS = 10.0
_REMEMBERED = 1024  # entries of each table
_AT_ONCE = 10  # refused tokens of one client before it must wait
_RETRY_SECONDS = 6.0  # seconds per further refused token


def why_invalid(token: str, now: float) -> str:
    """Returns why a token cannot be valid, read from its unverified claims; empty if the API server must be asked."""
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
class ReviewBudget:
    """Reviews tokens within the budget. `clock` is monotonic seconds, `wall` the time of day."""

    kube: Kube
    clock: Callable[[], float]
    wall: Callable[[], float] = time.time
    _refused: dict[bytes, tuple[str, float]] = field(default_factory=dict)  # reason and expiry
    _spent: dict[str, float] = field(default_factory=dict)  # client -> when its budget is full again

    async def owner(self, token: str, client: str) -> User | str:
        """Returns the token's user, or why it is refused.

        Raises TooManyReviewsError (the client's budget is spent) or KubeError.
        """
        if why := why_invalid(token, self.wall()):
            return why
        digest, now = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest(), self.clock()
        if (known := self._refused.get(digest)) and known[1] > now:
            return known[0]
        # Charged before the result is known, because many reviews may run at once.
        self._spend(client, now)
        try:
            found = await self.kube.review(token)
        except BaseException:
            self._refund(client)
            raise
        if isinstance(found, str):
            _keep(self._refused, digest, (found, now + _REFUSED_SECONDS))
        else:
            self._refund(client)
        return found

    def _spend(self, client: str, now: float) -> None:
        until = max(self._spent.get(client, now), now) + _RETRY_SECONDS
        if (ahead := until - now - _AT_ONCE * _RETRY_SECONDS) > 0:
            raise TooManyReviewsError(
                "too many tokens that the API server does not know came from your address; send a good one in"
                f" {math.ceil(ahead)} s",
                wait=math.ceil(ahead),
            )
        _keep(self._spent, client, until)

    def _refund(self, client: str) -> None:
        if client in self._spent:
            self._spent[client] -= _RETRY_SECONDS


def _keep(found: dict[Key, Value], key: Key, value: Value) -> None:
    """Insert an entry and drop the oldest above the limit."""
    found.pop(key, None)
    found[key] = value
    while len(found) > _REMEMBERED:
        del found[next(iter(found))]
