"""Whose page sends a request: what a site that a colleague opens may neither change nor read. Pure.

Browsers say it themselves, in header fields that no page can write: `Sec-Fetch-Site` (over TLS and to this machine) and
`Origin` (with every post, every socket and every reading across origins). Whoever sends neither is no page.
A page of this machine that asks a port of this machine (`kubectl port-forward`, the old service's page on port 3000) is
its user's own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

__all__ = ["ANYBODY", "foreign", "may_read"]

ANYBODY = "*"
Headers = Iterable[tuple[bytes, bytes]]

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}


def foreign(headers: Headers, named: Collection[str]) -> str | None:
    """The origin of a page that is neither this service's own nor named, as it is to be told; None: no such page.

    That every origin may read (`ANYBODY`) lets none change anything.
    """
    found = {name: value.decode("latin-1") for name, value in headers if name in _READ}
    origin, site = found.get(b"origin"), found.get(b"sec-fetch-site")
    if site in ("same-origin", "none") or (origin is None and site is None):
        return None
    if origin is None:
        return "another site"
    own = (origin in named and origin != ANYBODY) or _is_own(origin, found.get(b"host", ""))
    return None if own else (origin if origin.isprintable() and len(origin) <= _SHOWN else "another site")


def may_read(headers: Headers, named: Collection[str]) -> bool:
    """Whether who sends this may see what other people asked: pages of this service, of origins named, and no pages."""
    return ANYBODY in named or foreign(headers, named) is None


_READ = frozenset({b"origin", b"sec-fetch-site", b"host"})
_SHOWN = 256  # characters of an origin that are shown


def _is_own(origin: str, host: str) -> bool:
    """Whether a page's origin is the address that it asks; whichever scheme, for what ends TLS stands before us."""
    scheme = origin.partition("://")[0]
    page, asked = _place(origin), _place(f"{scheme}://{host}")
    return page is not None and asked is not None and (page == asked or {page[0], asked[0]} <= _LOCAL)


def _place(url: str) -> tuple[str, int] | None:
    """Host and port."""
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port or _PORTS[parts.scheme]) if parts.hostname else None
    except (ValueError, KeyError):  # a port that is none, a bracket that does not end, a scheme that no page has
        return None
