"""Why the plugin has no answer; each carries the sentence that the user reads on stderr."""

from __future__ import annotations

from oneseek_core.errors import OneSeekError

__all__ = ["CannotTellError", "ConflictError", "KubectlError", "NotFoundError"]


class CannotTellError(OneSeekError):
    """There is no answer; the sentence says why and what to do."""


class KubectlError(CannotTellError):
    """kubectl is not there, or could not do what it was asked."""


class ConflictError(KubectlError):
    """Somebody else wrote the object between our reading and our writing."""


class NotFoundError(KubectlError):
    """The API server knows no such object."""
