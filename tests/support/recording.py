"""A sidecar process before a simulated engine and a real records service, and the clients that ask it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from oneseek_core.ledger import parse_block
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.sidecar import SidecarState
from support.access import ACCEPTED, NAME, asking
from support.asgi import free_port, runtime, serving, wait_for_port
from support.openai_simulator import OpenAISimulator
from support.records import Place

BASE = "smollm2-135m"
T = TypeVar("T")


@dataclass
class Pod:
    """What a serving pod keeps over restarts of its container: ports, and the folder of its spool."""

    folder: Path
    engine_url: str
    records: Place
    dna: str | None = None
    public: int = field(default_factory=free_port)
    internal: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.public}"

    @property
    def log(self) -> Path:
        return self.folder / "sidecar.log"

    def environment(self, **changes: str) -> dict[str, str]:
        told = ServingSettings(
            model="demo",
            namespace="team",
            family="OneSeek-7B-Zero",
            base_name=BASE,
            base_path="/nowhere",
            certified_path=str(self.folder),
            engine_url=self.engine_url,
            dna=self.dna,
            accepted=ACCEPTED,
            tls_name=NAME,
        )
        return {
            "ONESEEK_SERVING": told.model_dump_json(by_alias=True, exclude_none=True),
            "ONESEEK_PORT_PUBLIC": str(self.public),
            "ONESEEK_PORT_INTERNAL": str(self.internal),
            "ONESEEK_RATE_LIMITS": "off",
            "ONESEEK_DRAIN_MINIMUM_SECONDS": "0",
            "ONESEEK_DRAIN_MAXIMUM_SECONDS": "1",
            "ONESEEK_RECORDS_URL": self.records.url,
            "ONESEEK_ACCESS": str(self.records.folder / "sidecar"),
            "ONESEEK_SPOOL": str(self.folder / "spool"),
            **changes,
        }

    @contextmanager
    def sidecar(self, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
        """The sidecar's process, listening; killed at the end."""
        with runtime("sidecar", self.environment(**changes), self.log) as process:
            for port in (self.public, self.internal):
                wait_for_port(process, port, self.log, within=30)
            yield process

    async def state(self) -> SidecarState:
        """What the sidecar says of itself."""
        url = f"https://127.0.0.1:{self.internal}/internal/state"
        async with aiohttp.ClientSession() as client, client.get(url, **asking()) as answer:
            return SidecarState.model_validate_json(await answer.read())

    async def until(self, holds: Callable[[SidecarState], T], within: float) -> T:
        """What `holds` says of the sidecar's state, once that is true."""
        async with asyncio.timeout(within):
            while True:
                if found := holds(await self.state()):
                    return found
                await asyncio.sleep(0.05)

    async def until_recorded(self, within: float = 60) -> SidecarState:
        """The state once nothing waits in the spool."""
        return await self.until(lambda state: state if not state.spooled else None, within) or await self.state()


@asynccontextmanager
async def entered(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A blocking context in an event loop that must not stand still: the engine and the clients live there."""
    value = await asyncio.to_thread(manager.__enter__)
    try:
        yield value
    finally:
        await asyncio.to_thread(manager.__exit__, None, None, None)


async def until(holds: Callable[[], bool], within: float = 60) -> None:
    """Return once `holds` is true; another process makes it so."""
    async with asyncio.timeout(within):
        while True:
            if holds():
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def pod(folder: Path) -> AsyncIterator[Pod]:
    """A pod whose engine answers; neither sidecar nor records run yet."""
    (folder / "records").mkdir()
    async with serving(OpenAISimulator([BASE]).app()) as engine_url:
        records = Place.make(folder / "records")
        records.tls = True
        yield Pod(folder, engine_url, records)


@dataclass
class Load:
    """Questions at a steady rate; what was answered, and what was not."""

    url: str
    rate: float = 60
    answered: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask until the block ends; every question that was asked has ended then."""
        self._stop = asyncio.Event()
        self._asking = asyncio.create_task(self._ask_all(self._stop))
        try:
            yield
        finally:
            await self.end()

    async def end(self) -> None:
        """Ask no more, and wait for what was asked."""
        self._stop.set()
        await self._asking

    async def _ask_all(self, stop: asyncio.Event) -> None:
        started, tasks = time.monotonic(), set[asyncio.Task[None]]()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as client:
            count = 0
            while not stop.is_set():
                task = asyncio.create_task(self._ask(client, count))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                count += 1
                await asyncio.sleep(max(0.0, started + count / self.rate - time.monotonic()))
            await asyncio.gather(*tasks)

    async def _ask(self, client: aiohttp.ClientSession, number: int) -> None:
        begun = time.monotonic()
        try:
            async with client.post(f"{self.url}/api/oqt/query", json={"question": f"Fråga {number}?"}) as answer:
                body: dict[str, Any] = await answer.json()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.failures.append(f"{type(error).__name__} {error}")
            return
        self.seconds.append(time.monotonic() - begun)
        if answer.status == 200:
            self.answered.append(body["queryId"])
        else:
            self.failures.append(f"{answer.status}: {json.dumps(body)}")


def recorded(lines: list[bytes]) -> Counter[str]:
    """How often each question stands in a ledger."""
    blocks = [parse_block(line) for line in lines]
    return Counter(block.data["content"]["queryId"] for block in blocks if block.data["type"] == "query")
