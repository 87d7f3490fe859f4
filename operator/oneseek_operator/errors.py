"""Errors between the operator and the world, named by what is wrong. No Kopf here."""

from __future__ import annotations

from oneseek_core.errors import OneSeekError

__all__ = [
    "ClusterError",
    "ConflictError",
    "ListTooLargeError",
    "NameTakenError",
    "RecordsError",
    "SidecarError",
    "TransitionRefusedError",
]


class ClusterError(OneSeekError):
    """The API server refused a request, or did not answer."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ConflictError(ClusterError):
    """The object changed since it was read (409): read and decide again."""


class ListTooLargeError(ClusterError):
    """A namespace holds more objects of a kind than are read: somebody has to delete some."""


class NameTakenError(ClusterError):
    """An object under a needed name is not ours, so it was not touched; the message says whose it seems to be.

    `is_being_removed`: it belongs to a deleted owner of the same name, and the garbage collector removes it.
    """

    def __init__(self, message: str, *, is_being_removed: bool = False) -> None:
        super().__init__(message)
        self.is_being_removed = is_being_removed


class RecordsError(OneSeekError):
    """The records service did not answer, or refused."""


class TransitionRefusedError(RecordsError):
    """The ledger refuses an entry; nothing of the request was recorded."""


class SidecarError(OneSeekError):
    """A pod's sidecar did not answer as it must; `status`: its HTTP status, 0 without an answer.

    `refused`: nothing listens there. `alien`: its certificate or token is of another key or authority.
    """

    def __init__(
        self, message: str, *, ip: str = "", status: int = 0, refused: bool = False, alien: bool = False
    ) -> None:
        super().__init__(message)
        self.alien = alien
        self.ip = ip
        self.status = status
        self.refused = refused
