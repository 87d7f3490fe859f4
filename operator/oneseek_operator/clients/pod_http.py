"""[I/O] HTTP requests to pods, whose answers are not trusted.

Redirects are not followed, bodies are not decompressed or read beyond a limit, and only a short, printable message of an
answer gets into a sentence of ours.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass, field
from typing import Self

import aiohttp

from oneseek_core.errors import OneSeekError
from oneseek_core.network import failure

__all__ = ["LARGEST", "Answer", "Peer", "PodHttpClient", "PodHttpError"]

LARGEST = 256 * 1024  # bytes of an answer
_MESSAGE_LIMIT = 300  # characters; our own messages end with what to do
_PIECE = 64 * 1024
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "oneseek-operator"}


class PodHttpError(OneSeekError):
    """There was no usable answer. `refused`: nothing listens there. `alien`: its certificate is not the model's."""

    def __init__(self, message: str, *, refused: bool = False, alien: bool = False) -> None:
        super().__init__(message)
        self.refused = refused
        self.alien = alien


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to ask: address, token, and (TLS) the name that its certificate must have."""

    host: str
    port: int
    label: str
    """As a sentence names it, after the path that was asked: "at 10.0.0.7"."""
    token: str = field(default="", repr=False)
    trust: ssl.SSLContext | None = None
    name: str | None = None

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.trust else 'http'}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer."""

    status: int
    data: bytes

    @property
    def message(self) -> str:
        """The message of a JSON body: one line, printable, short; empty if there is none."""
        try:
            found = json.loads(self.data)
        except (ValueError, RecursionError):
            return ""
        text = (found.get("message") or found.get("error")) if isinstance(found, dict) else None
        if not isinstance(text, str):
            return ""
        words = " ".join("".join(one if one.isprintable() else " " for one in text[: 4 * _MESSAGE_LIMIT]).split())
        return words if len(words) <= _MESSAGE_LIMIT else words[: _MESSAGE_LIMIT - 1] + "…"


class PodHttpClient:
    """One connection pool for all pods."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @classmethod
    def connect(cls) -> Self:
        """With a session of its own: these calls must not wait behind those to the API server."""
        return cls(_session(aiohttp.TCPConnector(limit=0)))  # each serving pod has a long poll of its own

    async def close(self) -> None:
        """Release the connections."""
        await self._session.close()

    async def ask(
        self, peer: Peer, method: str, path: str, *, seconds: float, body: object = None, afresh: bool = False
    ) -> Answer:
        """The answer, whatever its status. `afresh`: over a new connection.

        Raises:
            PodHttpError: there is none.
        """
        about, own = f"{path.partition('?')[0]} {peer.label}", None
        if afresh:
            own = _session(aiohttp.TCPConnector(force_close=True))
        try:
            async with (own or self._session).request(
                method,
                peer.url + path,
                json=body,
                headers={"Authorization": f"Bearer {peer.token}"} if peer.token else None,
                timeout=aiohttp.ClientTimeout(total=seconds),
                allow_redirects=False,
                ssl=peer.trust or True,
                server_hostname=peer.name if peer.trust else None,
            ) as response:
                if response.headers.get("Content-Encoding", "identity").lower() != "identity":
                    response.close()
                    raise PodHttpError(f"{about} answered with a packed body, which nobody asked for")
                return Answer(response.status, await _bounded(response, about))
        except TimeoutError as error:
            raise PodHttpError(f"{about} did not answer within {seconds:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            sentence = f"{about}: what listens there has no certificate of this model's"
            raise PodHttpError(sentence, alien=True) from error
        except aiohttp.ClientConnectorError as error:
            refused = isinstance(error.os_error, ConnectionRefusedError)
            raise PodHttpError(f"{about}: {failure(error)}", refused=refused) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise PodHttpError(f"{about}: {failure(error)}") from error
        finally:
            if own is not None:
                await own.close()


def _session(connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=_HEADERS,
        read_bufsize=_PIECE,
    )


async def _bounded(response: aiohttp.ClientResponse, about: str) -> bytes:
    data = bytearray()
    while piece := await response.content.read(_PIECE):
        data += piece
        if len(data) > LARGEST:
            response.close()  # read no more of it
            raise PodHttpError(f"{about} answered with more than {LARGEST // 1024} KiB")
    return bytes(data)
