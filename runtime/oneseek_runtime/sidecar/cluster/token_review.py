"""Authenticates a bearer token and checks the caller's RBAC permission.

Results are cached for a minute by the token's digest; tokens are never logged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from oneseek_core import names
from oneseek_core.actors import via_sidecar
from oneseek_runtime.sidecar.cluster.client import Access, Kube
from oneseek_runtime.sidecar.cluster.review_budget import ReviewBudget
from oneseek_runtime.sidecar.errors import AccessDeniedError, UnauthenticatedError

__all__ = ["Caller", "TokenReviewer"]

_REMEMBERED_SECONDS = 60.0
_REMEMBERED = 1024  # cached results; above that the oldest is dropped
_MAKE_ONE = f"make one with `kubectl create token ACCOUNT --audience {names.TOKEN_AUDIENCE}`"


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
        self._remember(key, caller, now)
        return caller

    def _remember(self, key: tuple[bytes, Access], caller: Caller, now: float) -> None:
        self._known.pop(key, None)
        self._known[key] = (caller, now + _REMEMBERED_SECONDS)
        while len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]


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
