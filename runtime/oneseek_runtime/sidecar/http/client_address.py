"""Identifies the client that a request is counted for. Pure.

The key is the address of the connection, or what a trusted proxy reports in X-Forwarded-For. All addresses of an IPv6 /64
network count as one client.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["Networks", "client_key", "parse_networks"]

Networks = tuple[IPv4Network | IPv6Network, ...]

_FORWARDED = b"x-forwarded-for"
_PREFIX = 64


def parse_networks(text: str) -> Networks:
    """Parses networks in CIDR form, separated by commas; a single address is a network of one. Raises ValueError."""
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def client_key(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Networks) -> str:
    """Returns the key that all requests of one client share."""
    if not trusted or not _is_in(peer, trusted):
        return _key(peer)
    hops: list[str] = []
    for name, value in headers:
        if name == _FORWARDED:
            hops += [hop.strip() for hop in value.decode("latin-1").split(",")]
    return _key(_first_untrusted(peer, hops, trusted))


def _first_untrusted(peer: str, hops: Sequence[str], trusted: Networks) -> str:
    """Returns the rightmost hop that is not a trusted proxy: each hop was written by the one after it."""
    client = peer
    for hop in reversed(hops):
        if _address(hop) is None:
            break
        client = hop
        if not _is_in(hop, trusted):
            break
    return client


@lru_cache(maxsize=1024)
def _is_in(text: str, networks: Networks) -> bool:
    address = _address(text)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=1024)
def _key(text: str) -> str:
    address = _address(text)
    if isinstance(address, IPv6Address):
        return str(IPv6Network((int(address) >> _PREFIX << _PREFIX, _PREFIX)))
    return text if address is None else str(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
