"""Errors of the plugin; the message is printed on stderr. A module of its own: pure modules and I/O modules raise them."""

from __future__ import annotations

from oneseek_core.errors import OneSeekError

__all__ = ["CannotTellError", "ConflictError", "KubectlError", "NotFoundError"]


class CannotTellError(OneSeekError):
    """There is no answer; the message says why and what to do."""


class KubectlError(CannotTellError):
    """kubectl is not installed, or failed."""


class ConflictError(KubectlError):
    """The object was changed between our read and our write."""


class NotFoundError(KubectlError):
    """The API server has no such object."""
