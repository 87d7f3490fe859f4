"""Whose request it is: the connection's address, or what a trusted proxy saw."""

from __future__ import annotations

import pytest

from oneseek_runtime.sidecar.http.client_address import client_key, parse_networks

PROXIES = parse_networks("10.0.0.0/8, fd00::/8, 192.0.2.7")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        pytest.param("203.0.113.9", ["198.51.100.1"], "203.0.113.9", id="a-stranger-may-write-what-it-likes"),
        pytest.param("10.1.2.3", ["198.51.100.1"], "198.51.100.1", id="a-proxy-is-believed"),
        pytest.param("192.0.2.7", ["198.51.100.1"], "198.51.100.1", id="a-single-address"),
        pytest.param("10.1.2.3", ["1.1.1.1, 198.51.100.1"], "198.51.100.1", id="what-the-client-wrote-is-not"),
        pytest.param("10.1.2.3", ["198.51.100.1, 10.9.9.9"], "198.51.100.1", id="two-proxies"),
        pytest.param("10.1.2.3", ["198.51.100.1", "10.9.9.9"], "198.51.100.1", id="two-header-lines"),
        pytest.param("10.1.2.3", ["10.8.8.8"], "10.8.8.8", id="a-client-inside"),
        pytest.param("10.1.2.3", [], "10.1.2.3", id="no-header"),
        pytest.param("10.1.2.3", ["198.51.100.1, rubbish"], "10.1.2.3", id="rubbish-ends-it"),
        pytest.param("::ffff:10.1.2.3", ["198.51.100.1"], "198.51.100.1", id="ipv4-in-ipv6"),
        pytest.param("fd00::1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64", id="an-ipv6-network-is-one-client"),
        pytest.param("2001:db8:1:2::5", [], "2001:db8:1:2::/64", id="ipv6-peer"),
        pytest.param("", ["198.51.100.1"], "", id="no-peer"),
    ],
)
def test_the_client_is_the_last_one_that_somebody_trusted_saw(peer: str, forwarded: list[str], client: str) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    assert client_key(peer, headers, PROXIES) == client


def test_without_proxies_the_header_is_nothing() -> None:
    assert client_key("10.1.2.3", [(b"x-forwarded-for", b"1.1.1.1")], ()) == "10.1.2.3"


@pytest.mark.parametrize("text", ["10.0.0.0/99", "proxy", "10.0.0"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=text.split("/", maxsplit=1)[0]):
        parse_networks(text)
