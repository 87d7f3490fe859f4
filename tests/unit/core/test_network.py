"""Failed connections in words."""

import errno
import ssl

import pytest

from oneseek_core.network import failure


class WrappedError(Exception):
    """As aiohttp's errors carry the system's own."""

    def __init__(self, os_error: OSError) -> None:
        super().__init__("Cannot connect to host 10.0.0.1:8002 ssl:default")
        self.os_error = os_error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('10.0.0.1', 80)"), "connection refused"),
        (WrappedError(OSError(errno.EHOSTUNREACH, "x 10.0.0.1")), "no route to host"),
        (WrappedError(ssl.SSLError(1, "[SSL] record layer failure")), "no TLS could be agreed upon"),
        (ConnectionResetError(), "the connection was broken off"),
        (OSError(-2, "Name or service not known"), "the connection was broken off"),
        (ValueError("10.0.0.1"), "the connection was broken off"),
    ],
)
def test_the_system_s_word_is_given_without_address_or_library(error: Exception, words: str) -> None:
    assert failure(error) == words
