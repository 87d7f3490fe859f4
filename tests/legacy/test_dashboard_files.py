"""How the dashboard's files are served: kept by browsers as long as they may be, and with a policy that lets nothing else in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from oneseek_runtime.sidecar.app import create_app
from oneseek_runtime.sidecar.dashboard_files import MISSING, Pages
from support.asgi import serving
from support.legacy import DNA, Service, model_object, run_object, service

SCRIPT = "/oqt-dashboard/assets/app-0a1b2c3d.js"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Service]:
    async for item in service(tmp_path, dna=DNA, rate_limits=False):
        yield item


async def test_the_page_is_asked_for_each_time_and_sent_once(place: Service) -> None:
    async with place.client.get("/oqt-dashboard") as answer:
        assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-cache")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        tag = answer.headers["ETag"]
        text = await answer.text()
    async with place.client.get("/oqt-dashboard/", headers={"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with place.client.get("/oqt-dashboard/", headers={"If-None-Match": '"other"'}) as answer:
        assert (answer.status, await answer.text()) == (200, text)


async def test_hashed_files_are_kept_for_ever(place: Service) -> None:
    async with place.client.get(SCRIPT) as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert answer.headers["Content-Encoding"] == "gzip"
        assert await answer.text() == "export {};"
    async with place.client.get(SCRIPT, headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        assert await answer.text() == "export {};"


@pytest.mark.parametrize("path", ["/oqt-dashboard", SCRIPT])
async def test_browsers_are_told_to_load_nothing_from_elsewhere(place: Service, path: str) -> None:
    async with place.client.get(path) as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/oqt-dashboard", "/oqt-dashboard/"])
async def test_without_the_files_the_page_says_how_to_build_them(place: Service, path: str) -> None:
    app = create_app(replace(place.deps, pages=Pages()))
    async with serving(app) as url, aiohttp.ClientSession(url) as client, client.get(path) as answer:
        assert answer.status == 404
        assert MISSING in await answer.text()


async def test_the_overview_is_what_the_operator_wrote_down(place: Service) -> None:
    model = model_object()
    status = model["status"]
    status["current"] = {"dna": DNA, "digest": "sha256:0", "since": "2026-08-23T10:12:00Z"}
    status["quarantine"] = [{"dna": "x", "reason": "FileChanged", "message": "a file", "since": "2026-08-23T10:12:00Z"}]
    status["versions"].append({"dna": "x", "state": "Quarantined", "scores": {"exact": 0.5, "questions": 4}})
    status["conditions"] = [{"type": "Verified", "status": "True", "reason": "Verified", "message": "it is"}]
    place.cluster.put("oneseekmodels", model)
    assert await place.deps.cluster.informer.until(lambda seen: seen.model, seconds=10)
    _, body, _ = await place.json("GET", "/api/models/overview")
    assert (body["known"], body["mode"], body["pinned"], body["auth"]) == (True, "Automatic", "auto", "Token")
    assert body["current"] == {"dna": DNA, "since": "2026-08-23T10:12:00.000Z", "provedAt": None}
    assert (body["previous"], body["candidate"], body["request"]) == (None, None, None)
    first, *_, last = body["versions"]
    assert (first["dna"], first["state"], first["scores"], first["quarantine"]) == (DNA, "Current", None, None)
    assert last["scores"] == {"questions": 4, "factsContained": None, "exact": 0.5, "loss": None}
    assert last["quarantine"] == {"reason": "FileChanged", "message": "a file", "since": "2026-08-23T10:12:00.000Z"}
    assert body["conditions"][0]["type"] == "Verified"


async def test_without_the_api_server_the_overview_says_that_it_does_not_know(place: Service) -> None:
    _, body, _ = await place.json("GET", "/api/models/overview")
    assert (body["known"], body["current"], body["versions"]) == (False, None, [])


async def test_every_run_is_listed_the_newest_first(place: Service) -> None:
    place.cluster.put("trainingruns", run_object("old", state="certified", dna=DNA, score=0.9, hour=8))
    place.cluster.put("trainingruns", run_object("new", hour=9))
    assert await place.deps.cluster.informer.until(lambda seen: seen.runs[1:] or None, seconds=10)
    _, body, _ = await place.json("GET", "/api/training/runs")
    assert [(run["name"], run["state"], run["loss"]) for run in body["runs"]] == [
        ("new", "running", 1.25),
        ("old", "certified", 0.5),
    ]
    assert body["runs"][1]["scores"]["factsContained"] == 0.9
