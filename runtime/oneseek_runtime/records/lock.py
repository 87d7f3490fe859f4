"""[I/O] One process at a time, and only on a volume where that can be promised.

Two pods of a StatefulSet can overlap for a moment, and two SQLite writers with two chains in memory would fork the
ledger. The lock is taken before the database opens and goes with the process, however it ends.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from oneseek_runtime.log import say
from oneseek_runtime.records.errors import LockedError, UnsuitableVolumeError

__all__ = ["filesystem_magic", "hold_lock", "refuse_network_volume"]

_LOCK_FILE = "records.lock"
_POLL_SECONDS = 0.2
# From linux/magic.h: file systems where another machine's lock may not be seen, or an fsync may not reach a disk.
_REFUSED = {0x6969: "NFS", 0xFF534D42: "CIFS", 0xFE534D42: "SMB", 0x517B: "SMB", 0x5346414F: "AFS", 0x73757245: "Coda"}
_STATFS_BYTES = 512  # more than any Linux's struct statfs


def filesystem_magic(path: Path) -> int:
    """The number by which Linux tells file systems apart; Python's own statvfs does not have it."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.statfs(os.fsencode(path), buffer) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF  # f_type is the struct's first word


def refuse_network_volume(path: Path, magic: Callable[[Path], int] = filesystem_magic) -> None:
    """Let a folder on a disk of this machine through.

    Raises:
        UnsuitableVolumeError: it lies on a network file system; the sentence says what to use instead.
    """
    if kind := _REFUSED.get(magic(path)):
        raise UnsuitableVolumeError(
            f"{path} is on {kind}, where SQLite's locks and fsync cannot be trusted; "
            "use a block volume (ReadWriteOnce), or Firestore"
        )


def hold_lock(folder: Path, *, wait: float) -> int:
    """Lock the folder's records for this process; the result (a descriptor) holds the lock until it is closed.

    Raises:
        LockedError: another process still held it after `wait` seconds; it is named where it left its number.
    """
    handle = os.open(folder / _LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                os.close(handle)
                raise
            owner = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "an unknown process"
            if time.monotonic() >= deadline:
                os.close(handle)
                raise LockedError(f"{folder} is in use by {owner}; two processes may not keep one ledger") from error
            if not told:
                say("waiting", lock=str(folder / _LOCK_FILE), heldBy=owner, seconds=wait)
                told = True
            time.sleep(_POLL_SECONDS)
        else:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
            return handle
