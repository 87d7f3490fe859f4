"""[I/O] The dashboard's files, read once and served from memory.

The content security policy allows only the page's own files. Asset names carry a content hash, so they may be cached for ever; the page
is revalidated by ETag.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

__all__ = ["INDEX", "INSTALLED", "MISSING", "Pages", "installed_pages", "missing_page"]

INSTALLED = Path(__file__).resolve().parent / "dist"  # written by `make dashboard` and by the image's build
INDEX = "index.html"
MISSING = (
    "The dashboard's files are not in this installation. In a checkout, `make dashboard` builds them (Node.js 18 or"
    " newer); the slim image has them. Everything else of this service works without them."
)
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"  # no inline code
_GUARDS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
_HASHED = re.compile(r"assets/.+-[A-Za-z0-9_-]{8}\.\w+")


@dataclass(frozen=True, slots=True)
class _File:
    data: bytes
    packed: bytes
    kind: str
    tag: str
    kept: str

    @classmethod
    def of(cls, name: str, data: bytes) -> _File:
        """A file by its name relative to the folder."""
        kept = "public, max-age=31536000, immutable" if _HASHED.fullmatch(name) else "no-cache"
        digest = hashlib.sha256(data).hexdigest()[:32]
        return cls(data, gzip.compress(data, mtime=0), _TYPES[Path(name).suffix], f'"{digest}"', kept)


@dataclass(frozen=True, slots=True)
class Pages:
    """All files of the dashboard; none if it was not built."""

    files: Mapping[str, _File] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> Pages:
        """Reads a folder; other file types are left out."""
        found = sorted(path for path in folder.rglob("*") if path.suffix in _TYPES and path.is_file())
        names = {path.relative_to(folder).as_posix(): path for path in found}
        return cls({name: _File.of(name, path.read_bytes()) for name, path in names.items()})

    def answer(self, request: Request, name: str) -> Response | None:
        """The file, or 304; None if there is no such file.

        Only listed names are compared, so no name becomes a path.
        """
        file = self.files.get(name)
        if file is None:
            return None
        headers = {**_GUARDS, "ETag": file.tag, "Cache-Control": file.kept, "Vary": "Accept-Encoding"}
        if file.tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers |= {"Content-Encoding": "gzip", "Content-Type": file.kind}
            return Response(file.packed, headers=headers)
        return Response(file.data, headers={**headers, "Content-Type": file.kind})


def missing_page() -> Response:
    """The page shown if the dashboard was not built."""
    page = f'<!DOCTYPE html>\n<html lang="en">\n<title>No dashboard</title>\n<p>{MISSING}</p>\n</html>\n'
    return HTMLResponse(page, 404, _GUARDS)


@cache
def installed_pages() -> Pages:
    """The files of this installation."""
    return Pages.read(INSTALLED)
