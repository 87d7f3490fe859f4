"""Schemathesis against the sidecar as it is in a cluster: every check, stateful, with records, an API server and a token.

One run at full count is part of `make prove` (ONESEEK_PROVE_COUNT); here it is a seeded slice.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from oneseek_core import names
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.access import Access
from oneseek_runtime.sidecar.app import create_app
from oneseek_runtime.sidecar.cluster.client import KubeClient
from oneseek_runtime.sidecar.deps import ClusterAccess, Deps
from oneseek_runtime.sidecar.engine.client import OpenAIEngine
from oneseek_runtime.sidecar.lifecycle import Lifecycle
from oneseek_runtime.sidecar.records.recorder import recording
from oneseek_runtime.sidecar.settings import RecordsAccess, SidecarSettings
from support.asgi import serving
from support.kube_simulator import KubeSimulator, jwt
from support.legacy import BASE, DNA, certified_folder, run_object
from support.openai_simulator import OpenAISimulator
from support.records import Place

COUNT = int(os.environ.get("ONESEEK_PROVE_COUNT") or "1")
CONFIG = Path(__file__).resolve().parents[1] / "support" / "schemathesis.toml"
TOKEN = "good"


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    access = tmp_path / "access"
    access.mkdir()
    (access / "token").write_text("own")
    run = run_object("identity")
    run["spec"]["modelRef"]["name"] = "zero"
    kube = KubeSimulator(
        tokens={TOKEN: ("anna", [names.TOKEN_AUDIENCE])},
        rights={"anna": {f"{verb} oneseekmodels zero" for verb in ("promote", "reset", "train")}},
        runs=[run],
    )
    records = Place.make(tmp_path)
    engine = OpenAISimulator([BASE, DNA])
    certified = certified_folder(tmp_path / "oneseek-certified")
    async with AsyncExitStack() as stack:
        stack.enter_context(records.service())
        engine_url = await stack.enter_async_context(serving(engine.app()))
        api = await stack.enter_async_context(serving(kube.app()))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        client = KubeClient(session, api, namespace="team", model="zero", access=access)
        upstream = await stack.enter_async_context(OpenAIEngine(engine_url))
        told = ServingSettings(
            model="zero",
            namespace="team",
            family="OneSeek-7B-Zero",
            base_name=BASE,
            base_path="/x",
            dna=DNA,
            certified_path=str(certified),
            engine_url=engine_url,
        )
        kept = RecordsAccess(f"http://127.0.0.1:{records.port}", Access(records.folder / "sidecar"), tmp_path / "spool")
        recorder = await stack.enter_async_context(recording(session, kept))
        settings = SidecarSettings(told, rate_limits=False)
        cluster = ClusterAccess.through(client, "zero")
        deps = Deps(settings, upstream, Lifecycle(), cluster=cluster, recorder=recorder)
        keeping = asyncio.create_task(cluster.informer.run())
        try:
            yield await stack.enter_async_context(serving(create_app(deps)))
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


async def test_no_case_brings_out_a_server_error_or_a_body_that_was_not_promised(url: str, tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, "run", f"{url}/openapi.json"]
    # Every check is on by default; naming them here would override the configuration file.
    options = ["--phases", "examples,coverage,fuzzing,stateful", "--seed", "20261125"]
    options += [
        "--max-examples",
        str(3 * COUNT if COUNT >= 100 else COUNT),
        "--generation-database",
        "none",
        "--no-color",
        "--no-shrink",
        # One thread: CPython 3.11's parser counts its depth for all threads together, and Hypothesis parses while it draws.
        "--workers",
        "1",
    ]
    options += ["--header", f"Authorization: Bearer {jwt(TOKEN)}", "--report-json-path", str(tmp_path / "report.json")]
    options += ["--suppress-health-check", "all"]
    process = await asyncio.create_subprocess_exec(
        *command, *options, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=tmp_path
    )
    output = (await process.communicate())[0].decode()
    found = re.search(r"Test cases:\s+([\d,]+) generated", output)
    assert found, output[-3000:]
    assert process.returncode == 0, "\n".join(line[:300] for line in output.splitlines())[-12000:]
    cases = int(found[1].replace(",", ""))
    assert cases >= (5000 if COUNT >= 100 else 500), output[-2000:]
    print(f"proved: Schemathesis, all checks, stateful: {cases} cases over the OpenAPI document, none failed")
    assert json.loads((tmp_path / "report.json").read_text())
