"""[I/O] The pod's own verifier, which copies versions for the running engine (HotSwap)."""

from __future__ import annotations

import aiohttp
from pydantic import ValidationError

from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.network import failure
from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.sidecar.errors import VerifierError
from oneseek_runtime.sidecar.sessions import OwnsSession

__all__ = ["Verifier"]

_COPY_SECONDS = 1800.0  # every byte of a version is read, perhaps from a slow volume
_NOTE_SECONDS = 10.0
_NOTHING = 404
_ANSWERS = (200, 503)  # 503: a refusal, whose body says why


class Verifier(OwnsSession):
    """The verifier at `url`; an async context manager that owns the connections."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    async def copy(self, wanted: WantedVersion) -> VerifyReport:
        """Have a version proved and copied; a refusal is an answer.

        Raises:
            VerifierError: there is no answer.
        """
        status, data = await self._call("POST", "/copies", wanted, _COPY_SECONDS)
        if status not in _ANSWERS:
            raise VerifierError(f"the verifier answered with status {status}")
        try:
            return VerifyReport.model_validate_json(data)
        except ValidationError as error:
            raise VerifierError("the verifier's answer is no report") from error

    async def use(self, wanted: WantedVersion) -> None:
        """Note what answers; other copies go.

        Raises:
            VerifierError: it is not noted.
        """
        status, _ = await self._call("PUT", "/in-use", wanted, _NOTE_SECONDS)
        if status != 200:
            raise VerifierError(f"the verifier answered with status {status}")

    async def in_use(self) -> WantedVersion | None:
        """What was noted last, by this process or the one before it.

        Raises:
            VerifierError: there is no answer.
        """
        status, data = await self._call("GET", "/in-use", None, _NOTE_SECONDS)
        if status == _NOTHING:
            return None
        try:
            return WantedVersion.model_validate_json(data)
        except ValidationError as error:
            raise VerifierError("the verifier's note cannot be read") from error

    async def _call(self, method: str, path: str, body: WantedVersion | None, seconds: float) -> tuple[int, bytes]:
        if self._session is None:
            raise VerifierError("the connection to the verifier is not open")
        timeout = aiohttp.ClientTimeout(total=seconds)
        data = body.model_dump_json(by_alias=True) if body else None
        try:
            async with self._session.request(method, self._url + path, data=data, timeout=timeout) as response:
                return response.status, await response.read()
        except TimeoutError as error:
            raise VerifierError(f"the verifier did not answer {method} {path} within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise VerifierError(f"the verifier cannot be reached: {failure(error)}") from error
