"""Authenticates bearer tokens by TokenReview and checks the callers' RBAC permissions.

Results are cached for a minute by the token's digest; tokens are never logged. The reviews that clients can cause are
limited: tokens that are evidently not ours or expired are refused by their claims alone, refused tokens are remembered,
and a client that sends many of them must wait.
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
from oneseek_core.actors import via_sidecar
from oneseek_runtime.sidecar.cluster.client import Access, Kube, User
from oneseek_runtime.sidecar.errors import AccessDeniedError, TooManyReviewsError, UnauthenticatedError

__all__ = ["Caller", "ReviewBudget", "TokenReviewer", "why_invalid"]

_CACHED_SECONDS = 60.0
_REMEMBERED = 1024  # entries of each table; above that the oldest is dropped
_MAKE_ONE = f"make one with `kubectl create token ACCOUNT --audience {names.TOKEN_AUDIENCE}`"


Key = TypeVar("Key")
Value = TypeVar("Value")

_TOKEN_BYTES = 16 * 1024
_SKEW_SECONDS = 60.0  # tolerated clock skew
_REFUSED_SECONDS = 10.0

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
    if isinstance(expires, int | float) and expires + _SKEW_SECONDS < now:
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
            _keep_newest(self._refused, digest, (found, now + _REFUSED_SECONDS))
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
        _keep_newest(self._spent, client, until)

    def _refund(self, client: str) -> None:
        if client in self._spent:
            self._spent[client] -= _RETRY_SECONDS


def _keep_newest(found: dict[Key, Value], key: Key, value: Value) -> None:
    """Insert an entry and drop the oldest above the limit."""
    found.pop(key, None)
    found[key] = value
    while len(found) > _REMEMBERED:
        del found[next(iter(found))]


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller."""

    name: str

    def requested_by(self, model: str) -> str:
        """The value of the requested-by annotation, which also names this sidecar."""
        return via_sidecar(self.name, model)


@dataclass(slots=True)
class TokenReviewer:
    """Authenticates and authorizes callers. `clock` is monotonic, in seconds."""

    kube: Kube
    clock: Callable[[], float]
    _reviews: ReviewBudget = field(init=False)
    _known: dict[tuple[bytes, Access], tuple[Caller, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reviews = ReviewBudget(self.kube, self.clock)

    async def admit(self, authorization: str | None, access: Access, *, namespace: str, client: str = "") -> Caller:
        """Returns the caller if the token is valid and has the permission. `client`: the sender's key.

        Raises TooManyReviewsError, UnauthenticatedError, AccessDeniedError or KubeError.
        """
        token = _bearer(authorization)
        key = (hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest(), access)
        now = self.clock()
        if (known := self._known.get(key)) and known[1] > now:
            return known[0]
        user = await self._reviews.owner(token, client)
        if isinstance(user, str):
            raise UnauthenticatedError(f"the token is refused: {user}; {_MAKE_ONE}", token_sent=True)
        if not await self.kube.allows(user, access):
            raise AccessDeniedError(
                f"{user.name} may not {access} in namespace {namespace}; a Role there with that verb, "
                "bound to the account, gives it"
            )
        caller = Caller(user.name)
        _keep_newest(self._known, key, (caller, now + _CACHED_SECONDS))
        return caller


def _bearer(authorization: str | None) -> str:
    if not authorization:
        raise UnauthenticatedError(
            f"this route changes the model and needs `Authorization: Bearer TOKEN`; {_MAKE_ONE}", token_sent=False
        )
    scheme, _, token = authorization.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or any(character.isspace() for character in token):
        raise UnauthenticatedError(f"the Authorization header holds no bearer token; {_MAKE_ONE}", token_sent=False)
    return token
