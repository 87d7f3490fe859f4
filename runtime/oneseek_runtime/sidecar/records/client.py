"""[I/O] The client of the records service."""

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
_LARGEST = 64 * 1024**2  # bytes of an answer, so that it fits the sidecar's memory
_REFUSED = (400, 409, 413)  # permanent refusals


class RecordsAwayError(OneSeekError):
    """The records service is not available at the moment."""


class RecordsGoneError(RecordsAwayError):
    """The service's name does not exist: the model is being deleted, or DNS does not work."""


class EntryRefusedError(OneSeekError):
    """The records service refuses this entry permanently; `reason` is its own."""

    def __init__(self, message: str, *, reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


class RecordsClient:
    """The service at `url`, called through `session`. All calls raise RecordsAwayError.

    The constructor raises AccessError if there is no CA to check the service's certificate with.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, access: Access) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._access = access
        self._trust = access.client() if self._url.startswith("https:") else True
        self.held: Callable[[], str] = lambda: ""
        """Returns why nothing may be recorded at the moment; empty if nothing prevents it."""

    async def post(self, path: str, body: bytes) -> None:
        """Record entries durably. Raises EntryRefusedError."""
        await self._call("POST", path, _POST_SECONDS, body)

    async def add_example(self, example: bytes, *, after: int = 0) -> dict[str, Any]:
        """Add a training example to the open window, durably: the window and the totals.

        A new window gets a number above `after`. Raises EntryRefusedError.
        """
        return await self._call("POST", f"/v1/questions?after={after}", _POST_SECONDS, example)

    async def add_major_window(self, bounds: bytes, *, after: int = 0) -> dict[str, Any]:
        """Make a major window of the recorded examples, numbered above `after`. Raises EntryRefusedError."""
        return await self._call("POST", f"/v1/windows?after={after}", _POST_SECONDS, bounds)

    async def due(self, asked: bytes) -> dict[str, Any]:
        """Returns the windows that wait for a run, and after how many seconds another may be due."""
        return await self._post_json("/v1/windows/due", asked)

    async def mark_taken(self, window: int) -> None:
        """Report that a window's run exists."""
        await self._post_json(f"/v1/windows/{window}/taken", b"{}")

    async def questions(self, window: int) -> bytes:
        """Returns a closed window's examples in order, one JSON object per line."""
        try:
            return await self._read("GET", f"/v1/windows/{window}/questions", _GET_SECONDS)
        except EntryRefusedError as error:
            raise RecordsAwayError(str(error)) from error

    async def totals(self) -> dict[str, Any]:
        """Returns the number of recorded examples."""
        return await self._get("/v1/windows", _GET_SECONDS)

    async def queries(self, limit: int) -> list[Any]:
        """Returns the newest queries, newest first, in the old service's form."""
        return list((await self._get(f"/v1/queries?limit={limit}", _GET_SECONDS))["queries"])

    async def verify(self) -> dict[str, Any]:
        """Verifies the whole ledger."""
        return await self._get("/v1/verify", _VERIFY_SECONDS)

    async def stats(self) -> dict[str, Any]:
        """Returns the number of blocks by type, and the newest block."""
        return await self._get("/v1/stats", _GET_SECONDS)

    async def blocks(self, first: int, limit: int) -> list[Any]:
        """Returns blocks from a number on, oldest first."""
        return list((await self._get(f"/v1/blocks?from={first}&limit={limit}", _GET_SECONDS))["blocks"])

    async def _post_json(self, path: str, body: bytes) -> dict[str, Any]:
        try:
            return await self._call("POST", path, _GET_SECONDS, body)
        except EntryRefusedError as error:  # a defect of this client; treated as unavailable
            raise RecordsAwayError(str(error)) from error

    async def _get(self, path: str, seconds: float) -> dict[str, Any]:
        try:
            return await self._call("GET", path, seconds)
        except EntryRefusedError as error:  # a defect of this client; treated as unavailable
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
    """Parses a body of the records service; other JSON means that something else answered."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise RecordsAwayError("the records service does not answer: its body is no JSON") from error
    if not isinstance(found, dict):
        raise RecordsAwayError("the records service does not answer: its body is no object")
    return found


def _unknown(error: aiohttp.ClientConnectorDNSError) -> bool:
    """Whether DNS answered that the name does not exist."""
    return getattr(error.os_error, "errno", None) in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", None))
