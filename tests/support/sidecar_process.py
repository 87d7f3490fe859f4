"""A real sidecar process before a simulated engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from oneseek_core import names
from oneseek_core.serving.settings import ServingSettings
from support.asgi import free_port, runtime, serving, wait_for_port
from support.openai_simulator import OpenAISimulator

__all__ = ["SidecarProcess", "sidecar_process"]


@dataclass
class SidecarProcess:
    """The process and where it listens."""

    pid: int
    port: int
    engine: OpenAISimulator
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def sidecar_process(
    folder: Path, *, certified: Path, dna: str | None = None, base: str = "base", **environment: str
) -> AsyncIterator[SidecarProcess]:
    """One that serves `dna` or the base model; it must still run at the end, and must have logged no traceback."""
    engine = OpenAISimulator([base, dna] if dna else [base])
    async with serving(engine.app()) as url:
        told = ServingSettings(
            model="demo",
            namespace="team",
            family="OneSeek-7B-Zero",
            base_name=base,
            base_path="/x",
            dna=dna,
            certified_path=str(certified),
            engine_url=url,
        )
        port, internal, log = free_port(), free_port(), folder / "sidecar.log"
        told_process = {
            names.SERVING_ENV: told.model_dump_json(by_alias=True),
            "ONESEEK_PORT_PUBLIC": str(port),
            "ONESEEK_PORT_INTERNAL": str(internal),
            "ONESEEK_RATE_LIMITS": "off",
        }
        with runtime("sidecar", told_process | environment, log) as process:
            await asyncio.to_thread(wait_for_port, process, port, log, within=30)
            yield SidecarProcess(process.pid, port, engine, log)
            assert process.poll() is None, log.read_text()
            assert "Traceback" not in log.read_text()
