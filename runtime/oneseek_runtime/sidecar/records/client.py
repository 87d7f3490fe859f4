"""[I/O] The records service as a sidecar sees it: hand entries over, read what stands there."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any

import aiohttp

from oneseek_core.errors import OneSeekError
from oneseek_core.network import failure
from oneseek_runtime.access import Access, AccessError

__all__ = ["EntryRefusedError", "RecordsAwayError", "RecordsClient", "RecordsGoneError"]

_POST_SECONDS = 30.0
_GET_SECONDS = 10.0
_VERIFY_SECONDS = 300.0  # a ledger of many millions of entries is read from the volume
_LARGEST = 64 * 1024**2  # bytes of an answer: a sidecar is small
_REFUSED = (400, 409, 413)  # sending the same again cannot help


class RecordsAwayError(OneSeekError):
    """The records service did not do it; later it may."""


class RecordsGoneError(RecordsAwayError):
    """There is no service of that name: the model is being deleted, or the cluster's names do not work."""


class EntryRefusedError(OneSeekError):
    """The records service will never take what was sent; nothing of it was recorded. `reason` is the service's own word."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class RecordsClient:
    """The service at `url`, called through `session`.

    Raises:
        AccessError: its certificate can never be checked, because nobody says by whom.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, access: Access) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._access = access
        self._trust = access.client() if self._url.startswith("https:") else True
        self.held: Callable[[], str] = lambda: ""
        """Why nothing may be entered just now, though the service is there."""

    async def post(self, path: str, body: bytes) -> None:
        """Record; returns once it is durable there.

        Raises:
            EntryRefusedError, RecordsAwayError: see there.
        """
        await self._call("POST", path, _POST_SECONDS, body)

    async def teach(self, lesson: bytes, *, after: int = 0) -> dict[str, Any]:
        """Put something to learn into the open window; returns once it is durable there: its window, and the total.

        A window that is opened for it gets a number above `after`.

        Raises:
            EntryRefusedError, RecordsAwayError: see there.
        """
        return await self._call("POST", f"/v1/questions?after={after}", _POST_SECONDS, lesson)

    async def gather(self, bounds: bytes, *, after: int = 0) -> dict[str, Any]:
        """A major window of what was recorded so far: its number, above `after`, and how many questions are in it.

        Raises:
            EntryRefusedError, RecordsAwayError: see there.
        """
        return await self._call("POST", f"/v1/windows?after={after}", _POST_SECONDS, bounds)

    async def due(self, asked: bytes) -> dict[str, Any]:
        """Windows that wait for their run, and after how many seconds another may.

        Raises:
            RecordsAwayError: see there.
        """
        return await self._asked("/v1/windows/due", asked)

    async def take(self, window: int) -> None:
        """Say that a window's run is there.

        Raises:
            RecordsAwayError: see there.
        """
        await self._asked(f"/v1/windows/{window}/taken", b"{}")

    async def questions(self, window: int) -> bytes:
        """What a closed window holds, one JSON object a line, in the order in which it came.

        Raises:
            RecordsAwayError: see there; also where no window that is closed has that number.
        """
        try:
            return await self._read("GET", f"/v1/windows/{window}/questions", _GET_SECONDS)
        except EntryRefusedError as error:
            raise RecordsAwayError(str(error)) from error

    async def totals(self) -> dict[str, Any]:
        """How much was recorded to learn from.

        Raises:
            RecordsAwayError: see there.
        """
        return await self._get("/v1/windows", _GET_SECONDS)

    async def queries(self, limit: int) -> list[Any]:
        """The newest queries, newest first, as the old service listed them.

        Raises:
            RecordsAwayError: see there.
        """
        return list((await self._get(f"/v1/queries?limit={limit}", _GET_SECONDS))["queries"])

    async def verify(self) -> dict[str, Any]:
        """What reading the whole ledger again found.

        Raises:
            RecordsAwayError: see there.
        """
        return await self._get("/v1/verify", _VERIFY_SECONDS)

    async def stats(self) -> dict[str, Any]:
        """How many blocks of which type there are, and the newest.

        Raises:
            RecordsAwayError: see there.
        """
        return await self._get("/v1/stats", _GET_SECONDS)

    async def blocks(self, first: int, limit: int) -> list[Any]:
        """Blocks from a number on.

        Raises:
            RecordsAwayError: see there.
        """
        return list((await self._get(f"/v1/blocks?from={first}&limit={limit}", _GET_SECONDS))["blocks"])

    async def _asked(self, path: str, body: bytes) -> dict[str, Any]:
        try:
            return await self._call("POST", path, _GET_SECONDS, body)
        except EntryRefusedError as error:  # a defect of ours, but no reason to fail
            raise RecordsAwayError(str(error)) from error

    async def _get(self, path: str, seconds: float) -> dict[str, Any]:
        try:
            return await self._call("GET", path, seconds)
        except EntryRefusedError as error:  # a defect of ours, but no reason to fail
            raise RecordsAwayError(str(error)) from error

    async def _call(self, method: str, path: str, seconds: float, body: bytes | None = None) -> dict[str, Any]:
        return _object(await self._read(method, path, seconds, body))

    async def _read(self, method: str, path: str, seconds: float, body: bytes | None = None) -> bytes:
        if method != "GET" and (why := self.held()):
            raise RecordsAwayError(why)
        try:
            token = await asyncio.to_thread(lambda: self._access.token)
        except AccessError as error:
            raise RecordsAwayError(str(error)) from error
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=seconds)
        about = path.partition("?")[0]
        try:
            async with self._session.request(
                method, self._url + path, data=body, headers=headers, timeout=timeout, ssl=self._trust
            ) as response:
                if (response.content_length or 0) > _LARGEST:
                    sentence = f"the records service's answer to {about} is larger than {_LARGEST // 1024**2} MiB"
                    raise RecordsAwayError(sentence)
                found = await response.read()
                status = response.status
        except aiohttp.ClientConnectorCertificateError as error:
            raise RecordsAwayError("what answers as the records service has no certificate of it") from error
        except aiohttp.ClientConnectorDNSError as error:
            if _unknown(error):
                raise RecordsGoneError("the cluster's name server knows no records service of this model") from error
            raise RecordsAwayError("the cluster's name server was asked for the records service in vain") from error
        except TimeoutError as error:
            raise RecordsAwayError(f"the records service did not answer {about} within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise RecordsAwayError(f"the records service does not answer: {failure(error)}") from error
        if status == 200:
            return found
        said = _object(found)
        sentence = f"the records service answered {status}: {said.get('message', '')}"
        if status in _REFUSED:
            raise EntryRefusedError(sentence, reason=str(said.get("reason", "")))
        raise RecordsAwayError(sentence)


def _object(body: bytes) -> dict[str, Any]:
    """A body of the records service's; anything else is not its."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise RecordsAwayError("the records service does not answer: its body is no JSON") from error
    if not isinstance(found, dict):
        raise RecordsAwayError("the records service does not answer: its body is no object")
    return found


def _unknown(error: aiohttp.ClientConnectorDNSError) -> bool:
    """Whether the cluster's name server answered that there is no such name, rather than not at all."""
    return getattr(error.os_error, "errno", None) in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None))
