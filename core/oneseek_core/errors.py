"""What can be wrong with things the contract describes. Nothing here knows of HTTP, Kopf or exit codes' use.

The runtime's border turns a `JobError` into a termination message and an exit code; the sentence in it is
what a person reads in the condition.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oneseek_core import names
from oneseek_core.names import ExitCode

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = ["ArtifactError", "DnaError", "JobError", "OneSeekError", "places"]

_MOST_PLACES = 3


class OneSeekError(Exception):
    """Base of every error we raise on purpose."""


class DnaError(OneSeekError, ValueError):
    """A text is not a DNA."""


class ArtifactError(OneSeekError):
    """An artifact on disk cannot be used as it is."""


class JobError(OneSeekError):
    """A job ends here: `reason` for machines, the sentence for people, `exit_code` for the Job controller."""

    def __init__(self, reason: str, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.exit_code = exit_code

    @classmethod
    def storage_full(cls, what: str, path: str) -> JobError:
        """The volume has no room left for `what`."""
        sentence = f"no space left on the models volume while writing {what} ({path}); use a larger claim"
        return cls(names.STORAGE_FULL, sentence, ExitCode.STORAGE_FULL)


def places(error: ValidationError) -> str:
    """Where in a document something is wrong, and of which kind it is (`run.uid: missing`); never what stands there.

    What one of our own validators says is said as it is.
    """
    found = [
        f"{'.'.join(map(str, item['loc'])) or 'the whole'}: {item['ctx']['error'] if item['type'] == 'value_error' else item['type']}"
        for item in error.errors()
    ]
    more = f" and {len(found) - _MOST_PLACES} more" if len(found) > _MOST_PLACES else ""
    return ", ".join(found[:_MOST_PLACES]) + more
