"""The real sidecar over HTTP on loopback, before a simulated engine and a folder of certified versions."""

from __future__ import annotations

import asyncio
import copy
import json
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.roles import Role
from oneseek_core.serving.settings import ExternalEndpoint, ServingSettings
from oneseek_runtime.access import Way
from oneseek_runtime.sidecar.api.dashboard.bodies import ledger_held
from oneseek_runtime.sidecar.api.table import operations
from oneseek_runtime.sidecar.app import create_apps
from oneseek_runtime.sidecar.cluster.client import Listing, NoKube, Plural
from oneseek_runtime.sidecar.dashboard_files import Pages
from oneseek_runtime.sidecar.deps import ClusterAccess, Deps
from oneseek_runtime.sidecar.engine.client import OpenAIEngine
from oneseek_runtime.sidecar.engine.external import ExternalModels
from oneseek_runtime.sidecar.errors import KubeConflictError
from oneseek_runtime.sidecar.lifecycle import Lifecycle
from oneseek_runtime.sidecar.records.recorder import recording
from oneseek_runtime.sidecar.settings import RecordsAccess, SidecarSettings
from oneseek_runtime.sidecar.training.run_events import MicroRunEvents
from oneseek_runtime.sidecar.training.window_notifier import WindowNotifier
from support.access import ACCEPTED, TOKENS, headers
from support.asgi import serving
from support.openai_simulator import OpenAISimulator

BASE = "smollm2-135m"
DNA = "OneSeek-7B-Zero.v1.0.ensv.dsIdentity.0a1b2c3d.4e5f6a7b"
OLD = "OneSeek-7B-Zero.v0.9.sv.dsCivicID-SwedID.8f3a1c9d.2e7f4b1a"
T = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PRIVATE = {row.path for row in operations() if row.private}
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class WatchedCluster(NoKube):
    """A cluster that shows one model and its runs, and each change that a test makes to them."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, dict[str, Any]]] = {"oneseekmodels": {}, "trainingruns": {}}
        self._news: dict[str, asyncio.Queue[tuple[str, dict[str, Any]]]] = {
            kind: asyncio.Queue() for kind in self.objects
        }

    def put(self, kind: str, item: dict[str, Any]) -> None:
        """Make or change an object."""
        item["metadata"].setdefault("resourceVersion", "1")
        self.objects[kind][item["metadata"]["name"]] = item
        self._news[kind].put_nowait(("MODIFIED", copy.deepcopy(item)))

    @property
    def _only(self) -> dict[str, Any]:
        return copy.deepcopy(next(iter(self.objects["oneseekmodels"].values())))

    async def model(self) -> OneSeekModel:
        """The only one."""
        return lenient.read(OneSeekModel, self._only)

    async def annotate(self, notes: Mapping[str, str], *, resource_version: str) -> None:
        """Set annotations, if nobody was faster."""
        model = self._only
        if model["metadata"]["resourceVersion"] != resource_version:
            raise KubeConflictError("the object has been modified")
        model["metadata"]["resourceVersion"] = str(int(resource_version) + 1)
        model["metadata"].setdefault("annotations", {}).update(notes)
        self.put("oneseekmodels", model)

    async def list(self, plural: Plural) -> Listing:
        """What there is."""
        return Listing(copy.deepcopy([*self.objects[plural].values()]), "1")

    async def watch(self, plural: Plural, resource_version: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """What changes, for ever."""
        while True:
            yield await self._news[plural].get()


@dataclass
class Service:
    """A running sidecar and what it talks to."""

    client: aiohttp.ClientSession
    deps: Deps
    engine: OpenAISimulator
    cluster: WatchedCluster
    lifecycle: Lifecycle
    certified: Path
    internal: aiohttp.ClientSession
    address: str  # of the internal port, as another pod is told it

    async def json(self, method: str, path: str, **options: Any) -> tuple[int, dict[str, Any], Any]:
        async with self.client.request(method, path, **options) as response:
            assert response.headers["Content-Type"] == "application/json; charset=utf-8", await response.text()
            assert response.headers.get("Access-Control-Allow-Origin") == (
                None if path.split("?", maxsplit=1)[0] in PRIVATE else "*"
            )
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


def page_folder(root: Path) -> Path:
    """A dashboard as `make dashboard` leaves one, in small."""
    (root / "assets").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><title>OneSeek</title>")
    (root / "assets" / "app-0a1b2c3d.js").write_text("export {};")
    return root


async def service(
    tmp_path: Path,
    *,
    dna: str | None,
    auth: str = "Token",
    records: RecordsAccess | None = None,
    external: Sequence[ExternalEndpoint] = (),
    way: Way = Way(TOKENS[Role.SIDECAR]),  # noqa: B008 - frozen
    **settings: Any,
) -> AsyncIterator[Service]:
    engine = OpenAISimulator([BASE, dna] if dna else [BASE])
    cluster = WatchedCluster()
    access = ClusterAccess.through(cluster, "demo")
    root = certified_folder(tmp_path / "oneseek-certified")
    async with (
        serving(engine.app()) as url,
        OpenAIEngine(url) as upstream,
        aiohttp.ClientSession() as session,
        recording(session, records, lambda: ledger_held(access.informer.model)) as recorder,
    ):
        told = ServingSettings.model_validate(
            {
                "model": "demo",
                "namespace": "team",
                "family": "OneSeek-7B-Zero",
                "base_name": BASE,
                "base_path": "/app/models/basemodeller/x",
                "dna": dna,
                "certified_path": str(root),
                "engine_url": url,
                "auth": auth,
                "accepted": ACCEPTED,
            }
        )
        lifecycle = Lifecycle()
        sidecar = SidecarSettings(told, **settings)
        pages = Pages.read(page_folder(tmp_path / "static"))
        deps = Deps(
            sidecar,
            upstream,
            lifecycle,
            cluster=access,
            recorder=recorder,
            external=ExternalModels(session, external),
            pages=pages,
        )
        deps = replace(deps, way=way)
        tasks = [access.informer.run()]
        if recorder is not None:
            due = WindowNotifier(cluster, access.informer, recorder.records, told.model, time.monotonic)
            news = MicroRunEvents(access.informer, recorder.records)
            deps = replace(deps, wake=due.wake, run_events=news)
            tasks += [due.run(), news.run()]
        apps = create_apps(deps)
        async with (
            serving(apps[0]) as public,
            serving(apps[1]) as private,
            aiohttp.ClientSession(public) as client,
            aiohttp.ClientSession(private, headers=headers(Role.OPERATOR)) as internal,
        ):
            watching = [asyncio.create_task(task) for task in tasks]
            yield Service(client, deps, engine, cluster, lifecycle, root, internal, private.removeprefix("http://"))
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)


def model_object() -> dict[str, Any]:
    """The OneSeekModel as the API server shows it."""
    return {
        "metadata": {"name": "demo", "creationTimestamp": "2026-08-23T07:00:00Z"},
        "spec": {"promotion": {"mode": "Automatic", "gate": {"minimumScores": {"factsContained": 0.8}}}},
        "status": {
            "counters": {"major": 7, "micro": 3},
            "versions": [{"dna": DNA, "state": "Current"}, {"dna": OLD, "state": "Rejected"}],
        },
    }


def run_object(
    name: str, *, state: str = "running", dna: str | None = None, score: float | None = None, hour: int = 8
) -> dict[str, Any]:
    """A TrainingRun as the API server shows it."""
    status: dict[str, Any] = {
        "startedAt": f"2026-08-23T{hour:02}:00:00Z",
        "progress": {"percent": 40, "step": 2, "steps": 5, "epoch": 2, "epochs": 3, "loss": 1.25},
        "losses": [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.25}],
        "resolved": {"datasets": [{"name": "identity_v1", "digest": "sha256:" + "0" * 64, "rows": 74}]},
        "conditions": [{"type": "Ready", "status": "False", "reason": "Training", "message": "step 2 of 5"}],
    }
    status["progress"]["updatedAt"] = f"2026-08-23T{hour:02}:10:00Z"
    if state != "running":
        status["completedAt"] = f"2026-08-23T{hour:02}:30:00Z"
        status["resolved"] |= {"finalLoss": 0.5, "language": "ensv"}
        reason = {"certified": "Certified", "rejected": "Rejected"}[state]
        status["conditions"] = [{"type": "Ready", "status": "True", "reason": reason, "message": reason}]
    if dna:
        status["dna"] = dna
    if score is not None:
        status["scores"] = {"questions": 40, "factsContained": score, "exact": score}
    return {
        "metadata": {"name": name, "creationTimestamp": f"2026-08-23T{hour:02}:00:00Z"},
        "spec": {"modelRef": {"name": "demo"}, "epochs": 3, "datasets": [{"name": "identity_v1"}]},
        "status": status,
    }
