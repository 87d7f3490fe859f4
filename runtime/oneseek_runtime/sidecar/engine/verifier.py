"""[I/O] The pod's verifier container: verdicts on the served version, and verified copies for HotSwap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
from pydantic import ValidationError

from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.network import failure
from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.sidecar.errors import VerifierError

__all__ = ["VerdictPoller", "Verifier"]

_COPY_SECONDS = 1800.0  # every byte of a version is read, perhaps from a slow volume
_NOTE_SECONDS = 10.0
_NOTHING = 404
_VERDICT_SECONDS = 2.0
_LOOK_SECONDS = 1.0
_STALE_LOOKS = 10
_ANSWERS = (200, 503)  # 503: a refusal with its reason


class Verifier:
    """The verifier at `url`, called through `session`."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def copy(self, wanted: WantedVersion) -> VerifyReport:
        """Verify and copy a version; a refusal is a result. Raises VerifierError."""
        return await self._report("POST", "/copies", wanted, _COPY_SECONDS)

    async def verdict(self) -> VerifyReport:
        """The result of the last verification of the served version. Raises VerifierError."""
        return await self._report("GET", "/verdict", None, _VERDICT_SECONDS)

    async def _report(self, method: str, path: str, body: WantedVersion | None, seconds: float) -> VerifyReport:
        status, data = await self._call(method, path, body, seconds)
        if status not in _ANSWERS:
            raise VerifierError(f"the verifier answered with status {status}")
        try:
            return VerifyReport.from_wire(data)
        except ValidationError as error:
            raise VerifierError("the verifier's answer is no report") from error

    async def use(self, wanted: WantedVersion) -> None:
        """Note the version in use; other copies are removed. Raises VerifierError."""
        status, _ = await self._call("PUT", "/in-use", wanted, _NOTE_SECONDS)
        if status != 200:
            raise VerifierError(f"the verifier answered with status {status}")

    async def in_use(self) -> WantedVersion | None:
        """The version noted last, also by an earlier process. Raises VerifierError."""
        status, data = await self._call("GET", "/in-use", None, _NOTE_SECONDS)
        if status == _NOTHING:
            return None
        try:
            return WantedVersion.from_wire(data)
        except ValidationError as error:
            raise VerifierError("the verifier's note cannot be read") from error

    async def _call(self, method: str, path: str, body: WantedVersion | None, seconds: float) -> tuple[int, bytes]:
        timeout = aiohttp.ClientTimeout(total=seconds)
        data = body.model_dump_json(by_alias=True) if body else None
        try:
            async with self._session.request(method, self._url + path, data=data, timeout=timeout) as response:
                return response.status, await response.read()
        except TimeoutError as error:
            raise VerifierError(f"the verifier did not answer {method} {path} within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise VerifierError(f"the verifier cannot be reached: {failure(error)}") from error


class VerdictPoller:
    """The verifier's last verdict, read once a second."""

    def __init__(self, verifier: Verifier, changed: Callable[[], None]) -> None:
        self._verifier = verifier
        self._changed = changed
        self.last: VerifyReport | None = None

    async def run(self) -> None:
        """Poll until cancelled. While the verifier is briefly away its last verdict stays."""
        away = 0
        while True:
            before = self.last
            try:
                report = await self._verifier.verdict()
            except VerifierError:
                away += 1
                self.last = self.last if away < _STALE_LOOKS else None
            else:
                away = 0
                self.last = report if report.checked_at else None  # empty until its first round has ended
            if _summary(self.last) != _summary(before):
                self._changed()
            await asyncio.sleep(_LOOK_SECONDS)


def _summary(report: VerifyReport | None) -> tuple[bool, str, str | None] | None:
    return (report.ok, report.reason, report.dna) if report else None
