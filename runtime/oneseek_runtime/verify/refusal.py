"""How the verifier says no: a reason for machines, a sentence for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from oneseek_core.errors import ArtifactError, OneSeekError

__all__ = ["RefusedError", "refusing"]


class RefusedError(OneSeekError):
    """What was verified may not be used. `reason` is one of the verifier's constants in `names`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@contextmanager
def refusing(reason: str, what: str = "") -> Iterator[None]:
    """Turn what is wrong with an artifact into a refusal; `what` names the file where the error does not."""
    try:
        yield
    except ArtifactError as error:
        raise RefusedError(reason, f"{what}: {error}" if what else str(error)) from error
