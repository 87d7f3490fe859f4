"""Whose token a request shows, and what that role may ask here. Pure.

Transitions are the operator's alone: nobody else makes a version current in the ledger, or takes its keys. Pods of the
release before had one token for everything; for as long as there are any they may do what a sidecar may.
"""

from __future__ import annotations

from collections.abc import Mapping

from oneseek_core.roles import Role, bearer, role_of
from oneseek_runtime.records.errors import ForbiddenError, UnauthorizedError

__all__ = ["LEDGER", "OPERATOR", "RECORDING", "WINDOWS", "admit"]

OPERATOR = frozenset({Role.OPERATOR})
RECORDING = frozenset({Role.SIDECAR, Role.BEFORE})
WINDOWS = RECORDING | {Role.PREPARE}
LEDGER = RECORDING | OPERATOR | {Role.READER}


def admit(authorization: str, accepted: Mapping[str, str], allowed: frozenset[Role]) -> Role:
    """The role that asks, if it may.

    Raises:
        UnauthorizedError: the header carries no token that is known here.
        ForbiddenError: it is the token of a role that may not.
    """
    role = role_of(bearer(authorization), accepted)
    if role is None:
        raise UnauthorizedError("a bearer token of this model's is needed, and this is none")
    if role not in allowed:
        raise ForbiddenError(f"the token of {role} does not open this; it is for {', '.join(sorted(allowed))}")
    return role
