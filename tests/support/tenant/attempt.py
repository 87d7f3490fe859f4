"""What an attempt is: who tries what, and which words of whom refuse it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from support.tenant.place import Place

__all__ = ["Attempt", "Call", "Refusal", "Seen", "Who"]

NO_CONNECTION = "no connection"


class Who(Enum):
    """Who tries; the value is what docs/reference/attempts.md calls them."""

    EDIT = "`edit` without Secrets, in the model's namespace"
    AUTHOR = "`oneseek-edit`, and nothing else"
    NEIGHBOUR = "`oneseek-edit` in another namespace"
    PROMOTER = "`oneseek-promoter`"
    VIEWER = "`oneseek-view`"
    SIDECAR = "a sidecar taken over"
    TRAINER = "a train pod's code"
    WRITER = "a pod with the claim"
    NOBODY = "a pod without rights, another namespace"
    HERE = "a pod without rights, same namespace"
    LOOKALIKE = "a pod with the labels of a serving one"
    ENGINE = "an engine taken over"
    CLIENT = "a client of the public API"


@dataclass(frozen=True, slots=True)
class Seen:
    """What came of an attempt: the status where an HTTP server answered, and what was said, or the error's name."""

    said: str
    status: int = 0


Call = Callable[["Place", Who], Seen]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Who refuses, with which status where it is an HTTP server, and in which words."""

    by: str
    says: str
    status: int = 0

    def __str__(self) -> str:
        """As the table has it."""
        return f"{self.status} {self.says}" if self.status else self.says

    def differs(self, seen: Seen) -> str:
        """Why what came of it is not this refusal; empty where it is."""
        if self.status and seen.status != self.status:
            return f"status {seen.status} instead of {self.status}: {seen.said[:600]}"
        if self.says not in seen.said:
            return f"{self.says!r} is not what was said: {seen.status or ''} {seen.said[:600]}"
        return ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try.

    `finding` names the audit's finding it is from; empty: it is none of the audit's. `may_change`: what may
    change without having succeeded, beginnings of names in `standing`: a version that was tampered with is quarantined.
    """

    what: str
    who: Who
    call: Call
    refusal: Refusal
    finding: str = ""
    may_change: tuple[str, ...] = ()


def rbac(says: str) -> Refusal:
    """The API server: no role gives the right."""
    return Refusal("RBAC", says, 403)


def policy(says: str, status: int = 403) -> Refusal:
    """The chart's admission policies."""
    return Refusal("admission policy", says, status)


def schema(says: str) -> Refusal:
    """The custom resources' own definitions."""
    return Refusal("schema", says, 422)


def network() -> Refusal:
    """NetworkPolicies: no connection comes about."""
    return Refusal("NetworkPolicy", NO_CONNECTION)


def kernel(says: str) -> Refusal:
    """Mounts, capabilities, users: the error's name."""
    return Refusal("the pod's mounts and security context", says)


def answer(by: str, status: int, says: str) -> Refusal:
    """A server of ours."""
    return Refusal(by, says, status)


def operator(says: str) -> Refusal:
    """The operator: a reason in a condition or a request's outcome."""
    return Refusal("operator", says)
