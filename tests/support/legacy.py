"""The real sidecar over HTTP on loopback, before a simulated engine and a folder of certified versions."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from oneseek_core.job_contract import ServingSettings
from oneseek_runtime.sidecar.app import create_app
from oneseek_runtime.sidecar.deps import Deps
from oneseek_runtime.sidecar.lifecycle import Lifecycle
from oneseek_runtime.sidecar.settings import SidecarSettings
from oneseek_runtime.sidecar.upstream import OpenAIEngine
from support.asgi import serving
from support.openai_simulator import OpenAISimulator

BASE = "smollm2-135m"
DNA = "OneSeek-7B-Zero.v1.0.ensv.dsIdentity.0a1b2c3d.4e5f6a7b"
OLD = "OneSeek-7B-Zero.v0.9.sv.dsCivicID-SwedID.8f3a1c9d.2e7f4b1a"
T = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@dataclass
class Service:
    """A running sidecar and what it talks to."""

    client: aiohttp.ClientSession
    deps: Deps
    engine: OpenAISimulator
    lifecycle: Lifecycle
    certified: Path

    async def json(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any], Any]:
        async with self.client.request(method, path, **options) as response:
            assert response.headers["Content-Type"] == "application/json; charset=utf-8"
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            return response.status, await response.json(), response.headers


def certified_folder(root: Path) -> Path:
    root.mkdir()
    metadata = {
        "version": "OneSeek-7B-Zero.v1.0",
        "dna": DNA,
        "createdAt": "2026-08-23T10:11:12.345Z",
        "baseModel": BASE,
        "language": "ensv",
        "datasets": ["oneseek_identity_v1"],
        "trainingType": "dna-v2",
        "samplesProcessed": 120,
        "metrics": {"loss": 0.4},
    }
    (root / DNA).mkdir()
    (root / DNA / "metadata.json").write_text(json.dumps(metadata))
    (root / OLD).mkdir()
    (root / "run-2025-11-25").mkdir()
    (root / ".incoming-x").mkdir()
    (root / "OneSeek-7B-Zero-CURRENT").symlink_to(DNA)
    (root / "OneSeek-7B-Zero.v9.9.sv").symlink_to(DNA)
    (root / "OneSeek-7B-Zero-CURRENT.txt").write_text(f"/app/models/oneseek-certified/{DNA}")
    return root


async def service(tmp_path: Path, *, dna: str | None, **settings: Any) -> AsyncIterator[Service]:
    engine = OpenAISimulator([BASE, dna] if dna else [BASE])
    root = certified_folder(tmp_path / "oneseek-certified")
    async with serving(engine.app()) as url, OpenAIEngine(url) as upstream:
        told = ServingSettings(
            model="demo",
            namespace="team",
            family="OneSeek-7B-Zero",
            base_name=BASE,
            base_path="/app/models/basemodeller/x",
            dna=dna,
            certified_path=str(root),
            engine_url=url,
        )
        lifecycle = Lifecycle()
        deps = Deps(SidecarSettings(told, **settings), upstream, lifecycle)
        async with serving(create_app(deps)) as public, aiohttp.ClientSession(public) as client:
            yield Service(client, deps, engine, lifecycle, root)
