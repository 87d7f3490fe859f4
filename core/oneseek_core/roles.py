"""Who may ask what of a model's own services: roles, and the tokens by which they are known. Pure.

A token is 64 hex digits, one a role and a model, derived by the operator. Who holds a role has its token; who is asked has
nothing but digests, so that a service which is taken over cannot speak for anybody else.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from enum import StrEnum

__all__ = ["Role", "bearer", "role_of", "token_digest"]

_SCHEME = "bearer "
_TOKEN = re.compile(r"[\x21-\x7e]{1,256}")  # one printable word


class Role(StrEnum):
    """Whose token it is."""

    OPERATOR = "operator"
    SIDECAR = "sidecar"  # a model's serving pods, to its records service and among themselves
    PREPARE = "prepare"  # a prepare Job, which fetches a window
    READER = "reader"  # the records pod itself: `kubectl oneseek audit` and `export` read the ledger there
    BEFORE = "before"  # pods of the release before, which had one token for everything


def token_digest(token: str) -> str:
    """What whoever checks a token is told of it."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer(authorization: str) -> str:
    """The token of an Authorization header; empty where it carries none that could be one."""
    token = authorization[len(_SCHEME) :] if authorization[: len(_SCHEME)].lower() == _SCHEME else ""
    return token if _TOKEN.fullmatch(token) else ""


def role_of(token: str, accepted: Mapping[str, str]) -> Role | None:
    """The role whose token it is, by the digests of those that are accepted; all are compared, in constant time each."""
    digest, found = token_digest(token), None
    for role in Role:
        if hmac.compare_digest(digest, accepted.get(role, "")):
            found = role
    return found if token else None
