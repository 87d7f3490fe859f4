"""[I/O] Files below a folder, opened so that no link, device or swap can stand in for them.

Every step of a path is opened from the folder above it without following links, and what was opened is asked what it
is: a name that changes its meaning after it was listed is refused, or gives other bytes, which the digest finds.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path, PurePosixPath
from typing import Self

from oneseek_core import names
from oneseek_runtime.verify.refusal import RefusedError

__all__ = ["Folder", "unreadable"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MOST = 10_000  # files and folders
_DEEPEST = 8


class Folder:
    """A folder that is held open; its files by relative POSIX path.

    `hard_links` allows files with more than one name: whoever has the other can change the bytes later.
    """

    def __init__(self, path: Path, *, hard_links: bool = False) -> None:
        self.path = path
        self._hard_links = hard_links
        try:
            self._handle = os.open(path, _FOLDER)
        except FileNotFoundError as error:
            raise RefusedError(names.ARTIFACT_MISSING, f"there is no folder {path}") from error
        except OSError as error:
            link = path.is_symlink()
            reason = names.FILE_NOT_PLAIN if link else names.ARTIFACT_UNREADABLE
            sentence = f"{path} is a link" if link else f"{path} cannot be opened as a folder: {error.strerror}"
            raise RefusedError(reason, sentence) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)

    def entries(self) -> tuple[dict[str, int], set[str]]:
        """Size in bytes of every file by path, and the folders' paths.

        Raises:
            RefusedError: FileNotPlain, FileNameInvalid, ArtifactUnreadable.
        """
        files: dict[str, int] = {}
        folders: set[str] = set()
        try:
            self._list(self._handle, PurePosixPath(), files, folders)
        except OSError as error:
            raise RefusedError(names.ARTIFACT_UNREADABLE, f"{self.path} cannot be read: {error.strerror}") from error
        return files, folders

    def _list(self, handle: int, place: PurePosixPath, files: dict[str, int], folders: set[str]) -> None:
        for name in sorted(os.listdir(handle)):
            path = (place / name).as_posix()
            if not name.isprintable() or "\\" in name or _is_broken(name):
                raise RefusedError(names.FILE_NAME_INVALID, f"the folder holds the name {name!a}")
            if len(files) + len(folders) >= _MOST or len(place.parts) >= _DEEPEST:
                raise RefusedError(names.FILE_UNKNOWN, f"the folder holds more than a model has, such as {path}")
            kind = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if stat.S_ISDIR(kind.st_mode):
                folders.add(path)
                below = os.open(name, _FOLDER, dir_fd=handle)
                try:
                    self._list(below, place / name, files, folders)
                finally:
                    os.close(below)
            else:
                files[path] = self._plain(kind, path)

    def _plain(self, kind: os.stat_result, path: str) -> int:
        if not stat.S_ISREG(kind.st_mode):
            raise RefusedError(names.FILE_NOT_PLAIN, f"{path} is a link, pipe, socket or device, not a plain file")
        if kind.st_nlink != 1 and not self._hard_links:
            raise RefusedError(names.FILE_NOT_PLAIN, f"{path} has {kind.st_nlink} names (hard links)")
        return kind.st_size

    @contextmanager
    def open(self, path: str) -> Iterator[FileIO]:
        """A file, unbuffered.

        Raises:
            RefusedError: FileMissing, FileNotPlain, ArtifactUnreadable.
        """
        held: list[int] = []
        try:
            handle = self._open_below(path, held)
        finally:
            for above in held:
                os.close(above)
        with os.fdopen(handle, "rb", buffering=0) as file:
            self._plain(os.fstat(handle), path)
            yield file

    def _open_below(self, path: str, held: list[int]) -> int:
        """A handle of the file; those of the folders above it go into `held`."""
        *above, name = PurePosixPath(path).parts
        try:
            for step in above:
                held.append(os.open(step, _FOLDER, dir_fd=held[-1] if held else self._handle))
            return os.open(name, _FILE, dir_fd=held[-1] if held else self._handle)
        except FileNotFoundError as error:
            raise RefusedError(names.FILE_MISSING, f"{path} is missing") from error
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):  # it was swapped after it was listed
                raise RefusedError(names.FILE_NOT_PLAIN, f"{path} is a link or special file") from error
            raise unreadable(path, error) from error

    def read_small(self, path: str, largest: int) -> bytes:
        """A file of at most `largest` bytes.

        Raises:
            RefusedError: as `open`, or FileChanged where it is larger.
        """
        parts, left = [], largest + 1
        with self.open(path) as file:
            try:
                while left and (part := file.read(left)):
                    parts.append(part)
                    left -= len(part)
            except OSError as error:
                raise unreadable(path, error) from error
        if not left:
            raise RefusedError(names.FILE_CHANGED, f"{path} is larger than {largest} bytes")
        return b"".join(parts)


def unreadable(path: str, error: OSError) -> RefusedError:
    """The volume gave an error."""
    return RefusedError(names.ARTIFACT_UNREADABLE, f"{path} cannot be read: {error.strerror}")


def _is_broken(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return True
    return False
