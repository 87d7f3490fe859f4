"""Why a connection failed, in words for people: no address and nothing of a library stands in them. Pure."""

from __future__ import annotations

import os
import ssl

__all__ = ["failure"]


def failure(error: BaseException) -> str:
    """What the system said, as "connection refused"; where it said nothing, the connection was broken off."""
    found = getattr(error, "os_error", error)  # aiohttp's errors carry the system's own
    if isinstance(found, ssl.SSLError):  # its numbers are not the system's
        return "no TLS could be agreed upon"
    number = getattr(found, "errno", None)
    return os.strerror(number).lower() if isinstance(number, int) and number > 0 else "the connection was broken off"
