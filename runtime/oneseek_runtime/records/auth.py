"""[I/O] The bearer token: compared in constant time, read again when its file changes (a Secret may be renewed)."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

from oneseek_core.secret import SecretError, read_word
from oneseek_runtime.records.errors import SettingsError, UnauthorizedError

__all__ = ["TokenFile"]

_SCHEME = "bearer "


class TokenFile:
    """The one token that opens the service."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._digest = b""
        self._refresh()

    def check(self, authorization: str) -> None:
        """Let the token through.

        Raises:
            UnauthorizedError: the header does not carry it.
        """
        self._refresh()
        token = authorization[len(_SCHEME) :] if authorization[: len(_SCHEME)].lower() == _SCHEME else ""
        # Digests have one length, so that not even the token's length shows in the time.
        if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), self._digest):
            raise UnauthorizedError("a bearer token is needed, and this is not it")

    def _refresh(self) -> None:
        try:
            found = self._path.stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen == self._seen:
                return
            token = read_word(self._path, "the records service's token")
        except (OSError, SecretError) as error:
            if self._seen is not None:  # the volume is just being renewed: the known token goes on
                return
            why = str(error) if isinstance(error, SecretError) else f"its token cannot be read ({error.strerror})"
            raise SettingsError(f"{why}: {self._path}") from error
        self._seen, self._digest = seen, hashlib.sha256(token.encode()).digest()
