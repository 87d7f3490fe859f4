"""[I/O] The watching verifier: a native sidecar that proves again and again what lies on the claim and what is loaded.

`GET /verdict` on its port gives the last round's answer (200, or 503 where it is a refusal or none was given yet);
`GET /healthz` says that the process lives. It ends nothing: what follows from a refusal is the operator's to decide.

With HotSwap it also makes the copies that the running engine loads (`copies`): `POST /copies` proves and copies a
version, `PUT /in-use` says which one answers from now on, `GET /in-use` gives it back. It listens on the pod's loopback.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.jobs.messages import parse_request
from oneseek_core.jobs.verify import VerifyReport, VerifyRequest
from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.http_server import Server
from oneseek_runtime.log import say
from oneseek_runtime.verify.copies import Copies
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.folder import verdict, verify_base, verify_copy, verify_folder
from oneseek_runtime.verify.refusal import RefusedError
from oneseek_runtime.verify.trust import trusted_keys

__all__ = ["Watcher", "create_app", "run"]

_LOOPBACK = "127.0.0.1"  # the pod's own sidecar asks, and tells the operator


class Watcher:
    """The rounds, and what the last one found."""

    def __init__(self, request: VerifyRequest) -> None:
        self._request = request
        self.last: VerifyReport | None = None
        self.copies: Copies | None = None
        self.changed = asyncio.Event()  # another version is in use: look now
        if request.certified_path is not None and request.verified_path is not None:
            self.copies = Copies(request, Path(request.certified_path), Path(request.verified_path))

    def round(self) -> VerifyReport:
        """Check the claim's folder, the loaded copy and the base model; the first refusal is the answer."""
        report = self._of_copies(self.copies) if self.copies else verdict(self._check)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.last = report.model_copy(update={"checked_at": now})
        return self.last

    def _of_copies(self, copies: Copies) -> VerifyReport:
        """The round about the version in use; anew where it is let go meanwhile, for then its copy goes too."""
        while True:
            used = copies.in_use()
            report = verdict(lambda used=used: self._check(used))  # type: ignore[misc]
            now = copies.in_use()
            if (now and now.dna) == (used and used.dna):
                return report.model_copy(update={"dna": used.dna if used else None})

    def _check(self, used: WantedVersion | None = None) -> VerifyReport:
        request = self._request
        report = VerifyReport(ok=True, reason=names.ARTIFACT_VERIFIED, message="nothing is served that was certified")
        try:
            if self.copies is not None and used is not None and used.dna is not None:
                report = self.copies.check(used)
            if request.adapter_path is not None:
                # Keys are read in each round: they are rotated under us.
                expected = Expected.of(request, trusted_keys(request.trusted_keys))
                report = verify_folder(Path(request.adapter_path), expected)
            if request.target_path is not None and report.digest is not None:
                verify_copy(Path(request.target_path), report.digest)
            if request.base_path is not None and request.base_digest is not None:
                base = verify_base(Path(request.base_path), request.base_digest)
                report = report.model_copy(update={"base_digest": base.base_digest})
        except OSError as error:
            raise RefusedError(names.ARTIFACT_UNREADABLE, f"the volume gives errors: {error.strerror}") from error
        return report

    async def watch(self, stop: asyncio.Event) -> None:
        """A round now and every interval, until told to stop. Says when the answer changes."""
        before: str | None = None
        while not stop.is_set():
            report = await asyncio.to_thread(self.round)
            if report.reason != before:
                say("verdict", ok=report.ok, reason=report.reason, message=report.message, dna=report.dna)
                before = report.reason
            waiting = [asyncio.create_task(event.wait()) for event in (stop, self.changed)]
            await asyncio.wait(waiting, timeout=self._request.interval_seconds, return_when=asyncio.FIRST_COMPLETED)
            self.changed.clear()
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


def create_app(watcher: Watcher) -> Starlette:
    """The two routes."""

    async def answer(_request: Request) -> JSONResponse:
        last = watcher.last or VerifyReport(ok=False, reason=names.UNVERIFIED, message="the first round is under way")
        return JSONResponse(last.to_wire(), status_code=200 if last.ok else 503)

    async def alive(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    routes = [Route("/verdict", answer), Route("/healthz", alive)]
    if watcher.copies is not None:
        routes += _copy_routes(watcher, watcher.copies)
    return Starlette(routes=routes)


def _copy_routes(watcher: Watcher, copies: Copies) -> list[Route]:
    async def make(request: Request) -> Response:
        wanted = await _wanted(request)
        if isinstance(wanted, Response):
            return wanted
        report = await asyncio.to_thread(copies.make, wanted)
        return JSONResponse(report.to_wire(), status_code=200 if report.ok else 503)

    async def use(request: Request) -> Response:
        wanted = await _wanted(request)
        if isinstance(wanted, Response):
            return wanted
        await asyncio.to_thread(copies.use, wanted)
        watcher.changed.set()
        return JSONResponse(wanted.to_wire())

    async def used(_request: Request) -> Response:
        found = await asyncio.to_thread(copies.in_use)
        return JSONResponse(found.to_wire()) if found else PlainTextResponse("nothing has answered yet", 404)

    return [
        Route("/copies", make, methods=["POST"]),
        Route("/in-use", use, methods=["PUT"]),
        Route("/in-use", used),
    ]


async def _wanted(request: Request) -> WantedVersion | Response:
    """What the pod's sidecar asks for."""
    try:
        return WantedVersion.from_wire(await request.body())
    except ValidationError as error:
        return PlainTextResponse(f"the body is no WantedVersion: {error.errors()[0]['msg']}", 400)


def run(environment: Mapping[str, str]) -> None:
    """Watch and answer until SIGTERM."""
    try:
        request = parse_request(environment.get(names.REQUEST_ENV), VerifyRequest)
    except JobError as error:
        sys.exit(str(error))
    asyncio.run(_serve(request))


async def _serve(request: VerifyRequest) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watcher = Watcher(request)
    config = uvicorn.Config(
        create_app(watcher), host=_LOOPBACK, port=request.port, log_level="warning", access_log=False
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    watching = asyncio.create_task(watcher.watch(stop))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, watching, stopping), return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    server.should_exit = True
    await asyncio.gather(serving, watching)
