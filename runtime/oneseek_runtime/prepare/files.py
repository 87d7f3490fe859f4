"""[I/O] A dataset's file to rows: JSON lines, a JSON array, objects over several lines or CSV, gzipped or not.

What is none of these is refused with a sentence that says what it is and what to do.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from oneseek_core.errors import OneSeekError
from oneseek_runtime.prepare.rows import DECODER, EXAMPLE, Row, RowError, is_field, kind_of, parse_line, row_of

__all__ = ["LARGEST", "LONGEST", "FileError", "Found", "lines_of", "plain_file", "refuse_foreign", "rows_of_file"]

LARGEST = 1024**3  # bytes of one dataset's file, unpacked too
LONGEST = 16 * 1024**2  # bytes; no row of text is as long, a file without line ends is
_HEAD = 64 * 1024  # bytes that tell what a file is
_CHUNK = 1024**2

Parsed = TypeVar("Parsed")
Unit = Literal["line", "row"]


class FileError(OneSeekError):
    """A file that is no dataset; the sentence says what it is and what to do."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a file holds, one by one: the number of its line (in a JSON array: of its element), and the row."""

    unit: Unit
    items: Iterator[tuple[int, Row | RowError | None]]


_TO_JSONL = "write it as JSON lines, in Python: pandas.{read}(FILE).to_json('data.jsonl', orient='records', lines=True)"
_UNPACK = "unpack it, and give the JSONL file in it"
_FOREIGN: tuple[tuple[int, bytes, str], ...] = (
    (0, b"PAR1", "a Parquet file, which is not read: " + _TO_JSONL.format(read="read_parquet")),
    (0, b"ARROW1", "an Arrow file, which is not read: " + _TO_JSONL.format(read="read_feather")),
    (0, b"Obj\x01", "an Avro file, which is not read: write it as JSON lines"),
    (0, b"PK\x03\x04", f"a zip archive (an Excel file is one too): {_UNPACK}, or save the sheet as CSV"),
    (0, b"\xd0\xcf\x11\xe0", "an old Excel or Word file: save it as CSV"),
    (0, b"BZh", "compressed with bzip2, of which only gzip is read: unpack it first"),
    (0, b"\xfd7zXZ\x00", "compressed with xz, of which only gzip is read: unpack it first"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd, of which only gzip is read: unpack it first"),
    (0, b"\x1f\x8b", "a gzip file within a gzip file: unpack it once"),
    (257, b"ustar", f"a tar archive: {_UNPACK}"),
    (0, b"SQLite format 3\x00", "an SQLite database: write its table as JSON lines"),
    (0, b"version https://git-lfs", "a Git LFS pointer and not the data itself: run git lfs pull"),
    (0, b"\xff\xfe", "UTF-16 (as Windows' shell and Notepad write it): save the file as UTF-8"),
    (0, b"\xfe\xff", "UTF-16: save the file as UTF-8"),
    *((0, start, "UTF-16 without its mark: save the file as UTF-8") for start in (b"{\0", b"\0{", b"[\0", b"\0[")),
    *(
        (0, b"\x80" + bytes([version]), "a Python pickle, which is never opened: write JSON lines")
        for version in (2, 3, 4, 5)
    ),
)


def plain_file(path: Path, scratch: Path) -> Path:
    """The file itself, or what a gzip file holds, written to `scratch`.

    Raises:
        FileError: it is damaged, or would become too large.
    """
    with path.open("rb") as handle:
        if handle.read(2) != b"\x1f\x8b":
            return path
    size = 0
    try:
        with gzip.open(path) as packed, scratch.open("xb") as target:
            while chunk := packed.read(_CHUNK):
                size += len(chunk)
                if size > LARGEST:
                    raise FileError(f"is a gzip file of more than {LARGEST} bytes (1 GiB) unpacked: split it")
                target.write(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileError("is a gzip file that is damaged or cut: pack it anew") from error
    return scratch


def refuse_foreign(path: Path) -> None:
    """Make sure that the file is text.

    Raises:
        FileError: its beginning is that of another format.
    """
    with path.open("rb") as handle:
        head = handle.read(512)
    for offset, magic, what in _FOREIGN:
        if head.startswith(magic, offset):
            raise FileError(f"is {what}")


def rows_of_file(path: Path) -> Found:
    """Every row of a plain file.

    Raises:
        FileError: it is in no form that is read.
    """
    refuse_foreign(path)
    with path.open("rb") as handle:
        head = handle.read(_HEAD).removeprefix(b"\xef\xbb\xbf").lstrip()
    first, ended, rest = head.partition(b"\n")
    if re.match(rb"\[\s*\{", head) and not (_is_list(first) and rest.strip()):
        return Found("row", _array(path))
    if head.startswith(b"{") and ended and _is_cut(first) and _begins_with_object(path):
        return Found("line", _objects(path))
    if delimiter := _delimiter(first):
        return Found("line", _csv(path, delimiter))
    return Found("line", lines_of(path, lambda _number, line: parse_line(line)))


def lines_of(
    path: Path, parse: Callable[[int, bytes], Parsed | None]
) -> Iterator[tuple[int, Parsed | RowError | None]]:
    """Numbered lines from 1, parsed, up to one that is longer than any row. A byte order mark at the start is no text."""
    with path.open("rb") as handle:
        number = 0
        while line := handle.readline(LONGEST + 1):
            number += 1
            if len(line) > LONGEST:
                what = f"is longer than {LONGEST // 1024**2} MiB: write one object a line, with a line end after each"
                yield number, RowError(what)
                return
            try:
                yield number, parse(number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)
            except RowError as error:
                yield number, error


def _is_list(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), list)
    except (ValueError, RecursionError):
        return False


def _is_cut(line: bytes) -> bool:
    """Whether the line is the beginning of an object and no more."""
    try:
        text = line.decode().strip()
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.pos >= len(text)
    except (ValueError, RecursionError):
        return False
    return False


def _begins_with_object(path: Path) -> bool:
    with _open_text(path) as handle:
        return isinstance(_Values(handle).next(), dict)


def _open_text(path: Path) -> io.TextIOWrapper:
    return io.TextIOWrapper(path.open("rb"), encoding="utf-8-sig", newline="")


class _Values:
    """JSON values of a text, one after the other, of which never more than a few are held."""

    def __init__(self, handle: io.TextIOWrapper) -> None:
        self._handle = handle
        self._text, self._at, self._before = "", 0, 0
        self.broken = False

    @property
    def line(self) -> int:
        """The line of the next character, from 1."""
        return 1 + self._before + self._text.count("\n", 0, self._at)

    def _more(self) -> bool:
        self._before += self._text.count("\n", 0, self._at)
        chunk = self._handle.read(max(_CHUNK, len(self._text) - self._at))
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)

    def mark(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            while self._at < len(self._text) and self._text[self._at] in " \t\r\n":
                self._at += 1
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def skip(self) -> None:
        """Move past one character."""
        self._at += 1

    def next(self) -> object:
        """The next value, or what is wrong with it; once it is `broken` nothing can be read after it."""
        self.mark()
        while True:
            try:
                value, self._at = DECODER.raw_decode(self._text, self._at)
            except RowError as error:
                self.broken = True
                return error
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at < LONGEST and self._more():
                    continue
                self.broken = True
                where = error.pos if isinstance(error, json.JSONDecodeError) else self._at
                line = 1 + self._before + self._text.count("\n", 0, where)
                what = error.msg if isinstance(error, json.JSONDecodeError) else error
                return RowError(f"is not JSON that can be read ({what} in line {line})")
            return value


def _array(path: Path) -> Iterator[tuple[int, Row | RowError | None]]:
    with _open_text(path) as handle, _as_utf8():
        values = _Values(handle)
        values.mark()
        values.skip()
        if values.mark() == "]":
            return
        row = 0
        while not values.broken:
            row += 1
            yield row, _row(values.next())
            end = "" if values.broken else values.mark()
            if end == "]" or values.broken:
                return
            if end != ",":
                what = "is not parted from the row before by a comma" if end else "is missing: the file was cut"
                yield row + 1, RowError(what)
                return
            values.skip()


def _objects(path: Path) -> Iterator[tuple[int, Row | RowError | None]]:
    with _open_text(path) as handle, _as_utf8():
        values = _Values(handle)
        while values.mark() and not values.broken:
            line = values.line
            yield line, _row(values.next())


def _row(value: object) -> Row | RowError:
    if isinstance(value, RowError):
        return value
    if not isinstance(value, dict):
        return RowError(f"is a JSON {kind_of(value)}, not an object: write {EXAMPLE}")
    try:
        return row_of(value)
    except RowError as error:
        return error


@contextmanager
def _as_utf8() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise FileError("is not UTF-8: save the file as UTF-8") from error


def _delimiter(header: bytes) -> str | None:
    """What parts the columns of a CSV file's header; None where the line is no header."""
    try:
        text = header.decode().strip()
    except UnicodeDecodeError:
        return None
    if not text or text[0] in "{[":
        return None
    return next((mark for mark in ",;\t|" if any(is_field(name) for name in _columns(text, mark)[:64])), None)


def _columns(header: str, delimiter: str) -> list[str]:
    try:
        return [name.strip() for name in next(csv.reader([header], delimiter=delimiter, strict=True))]
    except csv.Error:
        return []


def _csv(path: Path, delimiter: str) -> Iterator[tuple[int, Row | RowError | None]]:
    """Rows of a table whose first line names the columns; an empty cell is no value."""
    csv.field_size_limit(LONGEST)
    with _open_text(path) as handle, _as_utf8():
        table = csv.reader(handle, delimiter=delimiter, strict=True)
        header = [name.strip() for name in next(table)]
        if len(set(header)) < len(header):
            raise FileError("is a CSV file that names a column twice: name each column once")
        while True:
            line = table.line_num + 1
            try:
                cells = next(table, None)
            except csv.Error as error:
                yield (
                    line,
                    RowError(
                        f"is not CSV that can be read ({error}): put texts with commas, quotes or lines in quotes"
                    ),
                )
                return
            if cells is None:
                return
            if not any(cells):
                continue
            if len(cells) != len(header):
                what = f"has {len(cells)} cells, but the first line names {len(header)} columns"
                yield line, RowError(f"{what}: put texts with commas in quotes")
                continue
            yield line, _row({name: cell for name, cell in zip(header, cells, strict=True) if cell})
