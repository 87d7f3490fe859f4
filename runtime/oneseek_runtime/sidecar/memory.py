"""[I/O] Freed memory goes back to the system.

glibc learns from large blocks: after one was freed, it keeps up to twice as much for the next. One body of 16 MB would so
make a process of 60 MB one of 90 MB for good.
"""

from __future__ import annotations

import ctypes

__all__ = ["give_back_what_is_freed"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's names; setting either ends the learning
_BYTES = 128 * 1024  # glibc's own values at the start


def give_back_what_is_freed() -> None:
    """Fix glibc's thresholds; other allocators are let be."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_TRIM_THRESHOLD, _BYTES)
    mallopt(_MMAP_THRESHOLD, _BYTES)
