"""Token in, caller out: whose token it is, and whether its owner may do what a route does.

Tokens are remembered by their digest only, for a minute, together with what their owner may; they are never logged.
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
_REMEMBERED = 1024  # tokens; beyond it the oldest is asked about again
_MAKE_ONE = f"make one with `kubectl create token ACCOUNT --audience {names.TOKEN_AUDIENCE}`"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks."""

    name: str

    def requested_by(self, model: str) -> str:
        """The annotation's value, which names this sidecar too: it is the one that vouches."""
        return via_sidecar(self.name, model)


@dataclass(slots=True)
class TokenReviewer:
    """Token in, caller out. `clock` gives seconds and never goes back."""

    kube: Kube
    clock: Callable[[], float]
    _reviews: ReviewBudget = field(init=False)
    _known: dict[tuple[bytes, Access], tuple[Caller, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._reviews = ReviewBudget(self.kube, self.clock)

    async def admit(self, authorization: str | None, access: Access, *, namespace: str, client: str = "") -> Caller:
        """The caller, if the header's token is good and its owner has the right. `client`: whose address sends it.

        Raises:
            TooManyReviewsError: too many tokens that the API server does not know came from there.
            UnauthenticatedError: no token, or none that the API server knows for our audience.
            AccessDeniedError: RBAC does not give the right in `namespace`.
            KubeError: the API server cannot be asked.
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
