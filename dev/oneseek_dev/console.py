"""What the launcher says: one line for each long step, with the seconds it took, on stderr.

Stdout stays free for results (a path, a map of images), so that scripts can read it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


def say(text: str) -> None:
    """One line for the person who waits."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(text: str, *, quiet_below: float = 0.0) -> Iterator[None]:
    """Time a step and say so when it is done; steps faster than `quiet_below` seconds are not worth a line."""
    started = time.monotonic()
    if not quiet_below:
        say(f"  … {text}")
    try:
        yield
    except BaseException:
        say(f"  ✗ {text} ({time.monotonic() - started:.1f} s)")
        raise
    elapsed = time.monotonic() - started
    if elapsed >= quiet_below:
        say(f"  ✓ {text} ({elapsed:.1f} s)")
