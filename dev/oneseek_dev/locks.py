"""One at a time: a lock on a file, which the kernel frees when its holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oneseek_dev.console import say


@contextmanager
def locked(path: Path, *, saying: str, shared: bool = False) -> Iterator[None]:
    """Hold the lock; if somebody else holds it, say for what we wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"  … waiting for {saying} (lock: {path})")
            fcntl.flock(handle, how)
        yield
