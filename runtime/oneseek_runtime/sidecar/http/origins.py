"""Checks which web page a request comes from (CSRF and cross-origin reads). Pure.

Browsers set `Sec-Fetch-Site` and `Origin` themselves. A request with neither is not sent by a page. A page on this machine
may use a port on this machine (`kubectl port-forward`, the old service's page on port 3000).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

__all__ = ["ANYBODY", "foreign_origin", "may_read"]

ANYBODY = "*"
Headers = Iterable[tuple[bytes, bytes]]

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS = {"http": 80, "https": 443}


def foreign_origin(headers: Headers, named: Collection[str]) -> str | None:
    """Returns the origin of a page that is neither this service's own nor in `named`, for a message; None if there is no such page.

    `ANYBODY` in `named` allows reading only; it is ignored here.
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
    """Whether the sender may read what other clients asked: own pages, pages of `named` origins, and non-browsers."""
    return ANYBODY in named or foreign_origin(headers, named) is None


_READ = frozenset({b"origin", b"sec-fetch-site", b"host"})
_SHOWN = 256  # characters of an origin that are shown


def _is_own(origin: str, host: str) -> bool:
    """Whether a page's origin is the host it requests, under any scheme: TLS may end before this service."""
    scheme = origin.partition("://")[0]
    page, asked = _place(origin), _place(f"{scheme}://{host}")
    return page is not None and asked is not None and (page == asked or {page[0], asked[0]} <= _LOCAL)


def _place(url: str) -> tuple[str, int] | None:
    """Host and port of a URL; None if it is invalid."""
    try:
        parts = urlsplit(url)
        return (parts.hostname, parts.port or _PORTS[parts.scheme]) if parts.hostname else None
    except (ValueError, KeyError):  # invalid port or IPv6 address, or another scheme
        return None
