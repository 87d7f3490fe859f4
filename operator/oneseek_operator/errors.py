"""What can go wrong between the operator and the world, named by what is wrong. Knows nothing of Kopf."""

from __future__ import annotations

from oneseek_core.errors import OneSeekError

__all__ = ["ClusterError", "ConflictError", "NameTakenError", "RecordsError", "SidecarError", "TransitionRefusedError"]


class ClusterError(OneSeekError):
    """The API server refused or could not be reached."""

    def __init__(self, message: str, *, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class ConflictError(ClusterError):
    """The object changed since it was read (409): read again, decide again."""


class NameTakenError(ClusterError):
    """An object under a name that is needed is not ours, so it was not touched; the sentence says whose it seems to be.

    `is_being_removed`: it is left over from a deleted owner of the same name, and will go.
    """

    def __init__(self, message: str, *, is_being_removed: bool = False) -> None:
        super().__init__(message)
        self.is_being_removed = is_being_removed


class RecordsError(OneSeekError):
    """A model's records service did not do what it was asked."""


class TransitionRefusedError(RecordsError):
    """The ledger will not take an entry as it is; nothing of the request was recorded."""


class SidecarError(OneSeekError):
    """A pod's sidecar did not answer as it must; `status`: what it answered, 0 where it did not answer at all.

    `refused`: nothing listens there. `alien`: it has a certificate, or asks for a token, of another key or authority.
    """

    def __init__(
        self, message: str, *, ip: str = "", status: int = 0, refused: bool = False, alien: bool = False
    ) -> None:
        super().__init__(message)
        self.alien = alien
        self.ip = ip
        self.status = status
        self.refused = refused
