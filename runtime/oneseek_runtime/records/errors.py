"""What can go wrong with records. HTTP statuses belong to `app`; each class carries the reason that clients read."""

from __future__ import annotations

from typing import ClassVar

from oneseek_core.errors import OneSeekError

__all__ = [
    "AwayError",
    "BadRequestError",
    "BodyTooLargeError",
    "BusyError",
    "CredentialsError",
    "ForbiddenError",
    "FullError",
    "IdempotencyConflictError",
    "LedgerBrokenError",
    "LockedError",
    "NothingRecordedError",
    "RecordsError",
    "SettingsError",
    "SlowError",
    "StoreFailedError",
    "UnauthorizedError",
    "UnsuitableVolumeError",
    "WindowNotFoundError",
    "WindowOpenError",
]


class RecordsError(OneSeekError):
    """Base: a sentence for people, `reason` for programs."""

    reason: ClassVar[str] = "RecordsError"


class SettingsError(RecordsError):
    """The environment does not describe a records service, or a file that it names cannot be used."""

    reason = "BadSettings"


class UnsuitableVolumeError(RecordsError):
    """The data folder lies where locks and fsync cannot be trusted."""

    reason = "UnsuitableVolume"


class LockedError(RecordsError):
    """Another process keeps these records."""

    reason = "Locked"


class LedgerBrokenError(RecordsError):
    """What lies on the volume is not what the last checkpoint saw; nothing may be appended to it."""

    reason = "LedgerBroken"


class UnauthorizedError(RecordsError):
    """The bearer token is missing or nobody's."""

    reason = "Unauthorized"


class ForbiddenError(RecordsError):
    """The token is of a role that may not do this."""

    reason = "Forbidden"


class BadRequestError(RecordsError):
    """The request cannot be understood; sending it again cannot help."""

    reason = "BadRequest"


class BodyTooLargeError(BadRequestError):
    """The body is over the limit; sending less at once helps."""

    reason = "BodyTooLarge"


class IdempotencyConflictError(RecordsError):
    """The key stands in the ledger already, with another content; nothing of the request was recorded."""

    reason = "IdempotencyConflict"

    @classmethod
    def of(cls, key: str, number: int) -> IdempotencyConflictError:
        """The error for a key that block `number` already has."""
        return cls(f"{key.partition(':')[2]!r} already stands in block {number} with another content")


class NothingRecordedError(RecordsError):
    """There is nothing to train on."""

    reason = "NothingRecorded"


class WindowNotFoundError(RecordsError):
    """No window has that number."""

    reason = "WindowNotFound"


class WindowOpenError(RecordsError):
    """The window still changes."""

    reason = "WindowOpen"


class BusyError(RecordsError):
    """Too many appends wait for the disk; sending it again later helps."""

    reason = "Busy"


class FullError(RecordsError):
    """The volume is full; nothing of the request was recorded. It goes on by itself once there is room."""

    reason = "StorageFull"


class StoreFailedError(RecordsError):
    """The disk failed in a way after which only a restart can tell what is durable; nothing more is appended."""

    reason = "StoreFailed"


class AwayError(RecordsError):
    """The database does not answer, or not usefully. Nothing is lost: it goes on by itself once it is back."""

    reason = "FirestoreAway"


class SlowError(AwayError):
    """The database did not answer in time; whether it took what was sent shows when the same is sent again."""

    reason = "FirestoreSlow"


class CredentialsError(AwayError):
    """The database lets these credentials do nothing, or there are none; it goes on once they are replaced."""

    reason = "CredentialsRefused"
