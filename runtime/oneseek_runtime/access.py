"""[I/O] What a pod was given to talk to the model's others: its role's token, whom it trusts, a certificate of its own.

Files of one folder. Certificates are renewed in place, so contexts that are in use take the new files, and nobody who is
connected notices.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from oneseek_core import names
from oneseek_core.errors import OneSeekError
from oneseek_core.network import failure
from oneseek_core.secret import SecretError, read_word
from oneseek_runtime.log import say

__all__ = ["Access", "AccessError", "NamedConnection", "Way"]

_LOOK_SECONDS = 30.0


class AccessError(OneSeekError):
    """A file of the folder is missing or cannot be used."""


@dataclass(frozen=True, slots=True)
class Way:
    """How another pod of the model is reached: with this token, and (TLS) as whom it must prove itself."""

    token: str = field(default="", repr=False)
    trust: ssl.SSLContext | None = None
    name: str | None = None


@dataclass
class Access:
    """One folder, and the contexts that were made of it."""

    folder: Path
    _kept: list[tuple[tuple[Path, ...], Callable[[], None]]] = field(default_factory=list)
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _client: ssl.SSLContext | None = None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Access | None:
        """The folder that the environment names, if any."""
        folder = environment.get(names.ACCESS_ENV)
        return cls(Path(folder)) if folder else None

    @property
    def token(self) -> str:
        """The token of the pod's role.

        Raises:
            AccessError: there is none.
        """
        try:
            return read_word(self.folder / "token", "the token of this pod's role")
        except SecretError as error:
            raise AccessError(str(error)) from None

    def way(self, name: str | None) -> Way:
        """To pods whose certificate bears that name; None: without TLS."""
        return Way(self.token, self.client() if name else None, name)

    def server(self) -> ssl.SSLContext:
        """For a port of this pod's.

        Raises:
            AccessError: the certificate or its key cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        certificate, key = self.folder / "tls.crt", self.folder / "tls.key"
        self._keep((certificate, key), lambda: context.load_cert_chain(certificate, key))
        return context

    def client(self) -> ssl.SSLContext:
        """For connections to the model's others: it checks names, and trusts nobody but whom the folder names.

        Raises:
            AccessError: those certificates cannot be used.
        """
        if self._client is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_3
            authorities = self.folder / "ca.crt"
            self._keep((authorities,), lambda: context.load_verify_locations(authorities))
            self._client = context
        return self._client

    def refresh(self) -> None:
        """Have contexts take files that changed; what cannot be used yet is tried again at the next look."""
        for files, load in self._kept:
            try:
                now = {file: _stamp(file) for file in files}
                if any(self._seen.get(file) != stamp for file, stamp in now.items()):
                    load()
                    self._seen |= now
                    say("certificates", files=" ".join(file.name for file in files))
            except (OSError, ssl.SSLError) as error:
                say("certificatesUnusable", files=" ".join(file.name for file in files), reason=_why(error))

    async def keep(self) -> None:
        """Look every so often until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.to_thread(self.refresh)

    def _keep(self, files: tuple[Path, ...], load: Callable[[], None]) -> None:
        try:
            self._seen |= {file: _stamp(file) for file in files}
            load()
        except (OSError, ssl.SSLError) as error:
            about = " and ".join(file.name for file in files)
            raise AccessError(f"{about} of this pod's access folder cannot be used: {_why(error)}") from error
        self._kept.append((files, load))


def _stamp(file: Path) -> tuple[int, int]:
    found = file.stat()
    return (found.st_mtime_ns, found.st_ino)


def _why(error: Exception) -> str:
    return "it is no certificate, or no key to it" if isinstance(error, ssl.SSLError) else failure(error)


class NamedConnection(http.client.HTTPSConnection):
    """To an address, where another name than the address must be proved."""

    def __init__(self, host: str, port: int, *, context: ssl.SSLContext, name: str, timeout: float) -> None:
        super().__init__(host, port, context=context, timeout=timeout)
        self._trust, self._name = context, name

    def connect(self) -> None:
        """Connect, and see that it is whom we mean."""
        plain = socket.create_connection((self.host, self.port), self.timeout)
        self.sock = self._trust.wrap_socket(plain, server_hostname=self._name)
