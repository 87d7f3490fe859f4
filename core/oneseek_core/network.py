"""Why a connection failed, in words for people: no address and nothing of a library stands in them. Pure."""

from __future__ import annotations

import os

__all__ = ["failure"]


def failure(error: BaseException) -> str:
    """What the system said, as "connection refused"; where it said nothing, the connection was broken off."""
    found = getattr(error, "os_error", error)  # aiohttp's errors carry the system's own
    number = getattr(found, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else "the connection was broken off"
