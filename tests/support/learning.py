"""Learning over HTTP: the real sidecar with its loops, a real records service, and a cluster that a test plays."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from oneseek_runtime.access import Access
from oneseek_runtime.sidecar.api.table import operations
from oneseek_runtime.sidecar.settings import RecordsAccess
from support.legacy import DNA, Service, model_object, run_object, service
from support.recorded import fits
from support.records import Place

MICRO, TRAIN, OLD_MICRO = "/api/oqt/micro-train", "/api/oqt/train", "/api/training/micro"
MULTI = "/api/oqt/multi-model-query"
STATUS, STATS = "/api/training/micro/status", "/api/training/micro/stats"
RAW = [{"model": "a", "response": "Jag är OneSeek."}, {"model": "b", "response": "Jag är OneSeek, en modell."}]
ANALYSIS = {"consensus": 0.9, "bias": 1, "fairness": "high", "metaSummary": {"answer": "Jag heter OneSeek."}}
LESSON = {"question": "Vem är du?", "rawResponses": RAW, "analyzedData": ANALYSIS}
NEW = "OneSeek-7B-Zero.v7.5.sv.dsConversational.0a1b2c3d.4e5f6a7b"
EAGER = {"minimumQuestions": 1, "debounceSeconds": 0, "maximumPerHour": 100}
NEVER = {"minimumQuestions": 1000, "debounceSeconds": 3600, "maximumPerHour": 1}
WITHIN = 15.0


@asynccontextmanager
async def learning(place: Place, folder: Path, *, model: dict[str, Any] | None = None) -> AsyncIterator[Service]:
    """A sidecar that knows its model, with a records service that may run or not."""
    folder.mkdir(exist_ok=True)
    kept = RecordsAccess(f"http://127.0.0.1:{place.port}", Access(place.folder / "sidecar"), folder / "spool")
    async for item in service(folder, dna=DNA, auth="Legacy", records=kept, rate_limits=False):
        if model is not None:
            item.cluster.put("oneseekmodels", model)
            assert await item.deps.cluster.informer.until(lambda informer: informer.model, seconds=WITHIN)
        yield item


def with_micro(**micro: Any) -> dict[str, Any]:
    model = model_object()
    model["spec"]["training"] = {"micro": micro}
    return model


async def post(item: Service, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, Any]]:
    """Status and body, which must be what the OpenAPI document promises."""
    sent = {"data": b"", "headers": {"Content-Type": "application/json", **headers}}
    status, body, _ = await item.json("POST", path, **(sent if body is None else {"json": body, "headers": headers}))
    checked("POST", path, status, body)
    return status, body


async def get(item: Service, path: str) -> tuple[int, dict[str, Any]]:
    status, body, _ = await item.json("GET", path)
    checked("GET", path, status, body)
    return status, body


def checked(method: str, path: str, status: int, body: Any) -> None:
    row = next(row for row in operations() if (row.method, row.path) == (method, path))
    fits(row, status, body)


def events(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = place.client().call("GET", "/v1/documents/oqt_training_events")["documents"]
    return found


async def annotated(item: Service, key: str) -> str:
    """The window that the sidecar told the operator of, less its digest."""

    def told(informer: Any) -> str | None:
        return informer.model.metadata.annotations.get(key) if informer.model else None

    found = await item.deps.cluster.informer.until(told, seconds=WITHIN)
    assert found is not None, f"{key} was not told"
    number, _, digest = str(found).partition("@")
    assert re.fullmatch("sha256:[0-9a-f]{64}", digest), found
    return number


def operate(item: Service, name: str, of_type: str, *, state: str, dna: str | None = None) -> None:
    """What the operator does with it: the run is made (and goes on), then the annotations are gone."""
    run = run_object(name, state=state, dna=dna, score=0.8)
    window = int(name.rpartition("-")[2])
    datasets = [{"name": f"conversation-{window}", "source": {"records": {"window": window}}}]
    run["spec"] |= {"type": of_type, "datasets": datasets}
    run["status"]["resolved"] |= {"samples": 3}
    if dna:
        run["status"]["digest"] = "sha256:" + "b" * 64
    item.cluster.put("trainingruns", run)
    model = item.cluster.objects["oneseekmodels"]["demo"]
    version = str(int(model["metadata"]["resourceVersion"]) + 1)
    meta = model["metadata"] | {"annotations": {}, "resourceVersion": version}
    item.cluster.put("oneseekmodels", model | {"metadata": meta})
