"""The old service's requests, sent to the real sidecar over HTTP; bodies must have the recorded keys, types and strings.

The engine behind it is a simulator: what is under test is the wire, not a model.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
from dataclasses import replace

import aiohttp
import pytest

from oneseek_runtime.sidecar import deps
from oneseek_runtime.sidecar.app import create_app
from support.asgi import serving
from support.legacy import BASE, DNA, OLD, UUID4, Service, T
from support.openai_simulator import broken, busy


async def test_a_query_has_every_recorded_key_and_says_what_answered(version: Service) -> None:
    status, body, headers = await version.json(
        "POST", "/api/oqt/query", json={"question": "Vem är du?", "context": {"a": 1}, "persona": "x", "user_id": 7}
    )
    assert status == 200
    assert list(body) == [
        "success",
        "queryId",
        "model",
        "version",
        "response",
        "confidence",
        "metadata",
        "provenance",
        "timestamp",
    ]
    assert body["success"] is True
    assert UUID4.fullmatch(body["queryId"])
    assert body["model"] == "OQT-1.0"
    assert body["version"] == headers["X-OneSeek-DNA"] == DNA
    assert body["response"] == "You asked: Vem är du?"
    assert body["confidence"] == pytest.approx(0.5)
    assert body["metadata"].keys() == {"tokens", "latency_ms", "temperature"}
    assert body["metadata"]["tokens"] == 5
    assert isinstance(body["metadata"]["latency_ms"], int)
    assert body["metadata"]["temperature"] == 0.0
    proof = body["provenance"]
    assert proof.keys() == {"queryId", "timestamp", "model", "version", "inputHash", "processingSteps"}
    assert proof["queryId"] == body["queryId"]
    assert proof["inputHash"] == hashlib.sha256("Vem är du?".encode()).hexdigest()
    assert [step["step"] for step in proof["processingSteps"]] == ["tokenization", "inference", "post-processing"]
    times = [step["timestamp"] for step in proof["processingSteps"]]
    assert times == sorted(times)
    assert all(T.fullmatch(when) for when in [*times, body["timestamp"], proof["timestamp"]])


async def test_the_base_model_answers_under_its_own_name_and_carries_no_dna(base: Service) -> None:
    _, body, headers = await base.json("POST", "/api/oqt/query", json={"question": "hej"})
    assert body["version"] == BASE
    assert "X-OneSeek-DNA" not in headers
    _, body, _ = await base.json("GET", "/api/oqt/status")
    assert (body["model"]["version"], body["model"]["dna"], body["model"]["isCertified"]) == (BASE, None, False)
    assert body["model"]["directoryName"] is None


@pytest.mark.parametrize(
    ("options", "sent", "reported"),
    [
        pytest.param(None, 0.0, 0.0, id="missing-options"),
        pytest.param({}, 0.0, 0.0, id="missing"),
        pytest.param({"temperature": 0}, 0.7, 0.7, id="zero-means-0.7"),
        pytest.param({"temperature": 0.3}, 0.3, 0.3, id="given"),
        pytest.param({"temperature": 9}, 2.0, 2.0, id="too-high"),
        pytest.param({"temperature": "hot"}, 0.0, 0.0, id="no-number"),
    ],
)
async def test_the_temperature_that_was_used_is_the_one_reported(
    version: Service, options: object, sent: float, reported: float
) -> None:
    _, body, _ = await version.json("POST", "/api/oqt/query", json={"question": "q", "options": options})
    assert version.engine.requests[-1]["temperature"] == sent
    assert body["metadata"]["temperature"] == reported


async def test_max_tokens_reach_the_engine(version: Service) -> None:
    await version.json(
        "POST", "/api/oqt/query", json={"question": "a b c", "options": {"maxTokens": 2, "modelSize": "7b"}}
    )
    assert version.engine.requests[-1]["max_tokens"] == 2
    await version.json("POST", "/api/oqt/query", json={"question": "a b c"})
    assert version.engine.requests[-1]["max_tokens"] == 160


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty-body"),
        pytest.param(b"{}", id="missing"),
        pytest.param(b'{"question":""}', id="empty"),
        pytest.param(b'{"question":7}', id="number"),
        pytest.param(b"[]", id="array"),
    ],
)
async def test_a_missing_question_is_refused_in_the_recorded_words(version: Service, data: bytes) -> None:
    status, body, _ = await version.json(
        "POST", "/api/oqt/query", data=data, headers={"Content-Type": "application/json"}
    )
    assert (status, body) == (400, {"success": False, "error": "Question is required and must be a string"})


async def test_a_form_and_a_whitespace_question_pass(version: Service) -> None:
    status, body, _ = await version.json("POST", "/api/oqt/query", data={"question": "Vem är du?"})
    assert (status, body["response"]) == (200, "You asked: Vem är du?")
    status, _, _ = await version.json("POST", "/api/oqt/query", json={"question": " "})
    assert status == 200


@pytest.mark.parametrize(
    "data", [b"{", b'{"question":NaN}', b"\xff", b"[" * 100_000], ids=["cut", "nan", "bytes", "deep"]
)
async def test_malformed_json_is_a_400_with_error_and_message(version: Service, data: bytes) -> None:
    status, body, _ = await version.json(
        "POST", "/api/oqt/query", data=data, headers={"Content-Type": "application/json"}
    )
    assert status == 400
    assert body.keys() == {"error", "message"}
    assert version.engine.requests == []


async def test_a_body_over_50_mb_is_refused(version: Service) -> None:
    status, body, _ = await version.json("POST", "/api/oqt/query", data=io.BytesIO(b" " * (50 * 1024 * 1024 + 1)))
    assert status == 413
    assert body["error"] == "Request body too large"


async def test_an_engine_that_fails_gives_the_recorded_500(version: Service) -> None:
    version.engine.misbehaviour = broken
    status, body, _ = await version.json("POST", "/api/oqt/query", json={"question": "q"})
    assert (status, body["success"], body["error"]) == (500, False, "Failed to process query")
    assert "no JSON" in body["message"]


async def test_an_answer_by_somebody_else_is_not_passed_on(version: Service) -> None:
    version.engine.echo = "somebody-else"
    status, body, _ = await version.json("POST", "/api/oqt/query", json={"question": "q"})
    assert (status, body["error"]) == (500, "Failed to process query")
    assert body["message"] == f"the engine answered as 'somebody-else'; {DNA} was asked"


async def test_a_client_that_leaves_takes_its_question_back(version: Service) -> None:
    version.engine.hold = asyncio.Event()
    asking = asyncio.create_task(version.client.post("/api/oqt/query", json={"question": "q"}))
    async with asyncio.timeout(10):
        await version.engine.arrived.wait()
        asking.cancel()
        await version.engine.abandoned.wait()


async def test_a_busy_engine_asks_the_client_to_come_again(version: Service) -> None:
    version.engine.misbehaviour = busy
    status, body, headers = await version.json("POST", "/api/oqt/query", json={"question": "q"})
    assert (status, body["error"], headers["Retry-After"]) == (503, "Failed to process query", "1")


async def test_status_describes_the_model_that_the_engine_serves(version: Service) -> None:
    status, body, _ = await version.json("GET", "/api/oqt/status")
    assert status == 200
    assert (body["success"], body["status"]) == (True, "up")
    assert body["model"] == {
        "name": "OQT-1.0",
        "version": DNA,
        "status": "ready",
        "lastTraining": "2026-08-23T10:11:12.345Z",
        "architecture": "Transformer",
        "trainingMethod": "DNA v2 + Adaptive Weighting",
        "dna": DNA,
        "directoryName": DNA,
        "language": "ensv",
        "isCertified": True,
    }
    assert body["availableModels"] == [
        {
            "language": "ensv",
            "dna": DNA,
            "directoryName": DNA,
            "isCurrent": True,
            "isCertified": True,
            "status": "ready",
        }
    ]
    assert body["health"].keys() == {"operational", "modelsAvailable", "responseTime_ms", "uptime"}
    assert body["health"]["operational"] is True
    assert T.fullmatch(body["timestamp"])


async def test_status_does_not_name_a_model_while_the_engine_is_away(version: Service) -> None:
    version.engine.misbehaviour = broken
    status, body, _ = await version.json("GET", "/api/oqt/status")
    assert (status, body["model"]["dna"], body["model"]["status"]) == (200, None, "active")
    assert body["health"]["operational"] is False


async def test_certified_lists_real_folders_only_newest_first(version: Service) -> None:
    status, body, _ = await version.json("GET", "/api/models/certified")
    assert status == 200
    assert body["count"] == 2
    first, second = body["models"]
    assert first == {
        "name": DNA,
        "displayName": "OneSeek-7B-Zero v1.0",
        "path": str(version.certified / DNA),
        "version": "OneSeek-7B-Zero.v1.0",
        "dna": DNA,
        "createdAt": "2026-08-23T10:11:12.345Z",
        "baseModel": BASE,
        "language": "ensv",
        "datasets": ["oneseek_identity_v1"],
        "trainingType": "dna-v2",
        "samplesProcessed": 120,
        "metrics": {"loss": 0.4},
        "isCertified": True,
        "isTrained": True,
        "majorVersion": 1,
        "minorVersion": 0,
    }
    assert second.keys() == {
        "name",
        "displayName",
        "path",
        "version",
        "dna",
        "createdAt",
        "isCertified",
        "isTrained",
        "majorVersion",
        "minorVersion",
    }
    assert (second["dna"], second["majorVersion"], second["minorVersion"]) == (OLD, 0, 9)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/api/models/certified", "Failed to fetch certified models"),
        ("/api/oqt/status", "Failed to get status"),
        ("/api/oqt/metrics", "Failed to get metrics"),
    ],
)
async def test_a_folder_that_cannot_be_read_is_told_in_the_recorded_words(
    version: Service, path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(deps, "certified_folders", unreadable)
    status, body, _ = await version.json("GET", path)
    told = {"message": "Input/output error"} if path == "/api/models/certified" else {}
    assert (status, body) == (500, {"success": False, "error": words, **told})


async def test_a_base_model_alone_is_told_with_nothing_made_up(base: Service) -> None:
    _, body, _ = await base.json("GET", "/api/oqt/status")
    told = {key: body["model"][key] for key in ("status", "lastTraining", "language", "directoryName")}
    assert told == {"status": "ready", "lastTraining": None, "language": "unknown", "directoryName": None}
    assert [row["isCurrent"] for row in body["availableModels"]] == [False]
    base.engine.misbehaviour = broken
    _, body, _ = await base.json("GET", "/api/oqt/status")
    assert (body["model"]["version"], body["model"]["status"]) == ("unavailable", "active")


async def test_current_reads_the_link_then_the_marker_then_nothing(version: Service) -> None:
    link = version.certified / "OneSeek-7B-Zero-CURRENT"
    _, body, _ = await version.json("GET", "/api/models/current")
    assert body.keys() == {"success", "currentModel", "symlinkPath", "target", "note"}
    assert (body["currentModel"], body["symlinkPath"], body["target"]) == (DNA, str(link), DNA)
    link.unlink()
    link.mkdir()  # an ordinary folder is no link
    _, body, _ = await version.json("GET", "/api/models/current")
    assert (body["currentModel"], body["target"]) == (DNA, f"/app/models/oneseek-certified/{DNA}")
    (version.certified / "OneSeek-7B-Zero-CURRENT.txt").unlink()
    _, body, _ = await version.json("GET", "/api/models/current")
    assert body == {"success": True, "currentModel": None, "message": "No current model set"}


async def test_health_routes(version: Service) -> None:
    _, body, _ = await version.json("GET", "/health")
    assert (body.keys(), body["status"]) == ({"status", "message"}, "ok")
    _, body, _ = await version.json("GET", "/api/health")
    assert body.keys() == {"status", "services", "timestamp"}
    assert (body["status"], body["services"]["oqt"]["status"]) == ("ok", "up")
    assert body["services"]["oqt"].keys() == {"status", "description", "endpoints"}


async def test_oqt_routes_share_60_a_minute_and_the_recorded_refusal(version: Service) -> None:
    for _ in range(59):
        assert (await version.json("POST", "/api/oqt/query", data=b""))[0] == 400  # counted before validation
    assert (await version.json("GET", "/api/oqt/status"))[0] == 200
    status, body, headers = await version.json("GET", "/api/oqt/status")
    assert (status, body) == (429, {"success": False, "error": "Rate limit exceeded. Please try again later."})
    assert 1 <= int(headers["Retry-After"]) <= 60
    assert (await version.json("GET", "/api/models/certified"))[0] == 200


async def test_current_allows_20_a_minute(version: Service) -> None:
    for _ in range(20):
        assert (await version.json("GET", "/api/models/current"))[0] == 200
    status, body, _ = await version.json("GET", "/api/models/current")
    assert (status, body) == (429, {"error": "Too many requests. Please try again later.", "retryAfter": 60})


@pytest.mark.parametrize(
    ("method", "paths", "limit", "refusal"),
    [
        (
            "GET",
            ("/api/training/micro/status", "/api/training/micro/stats"),
            30,
            {"success": False, "error": "Rate limit exceeded. Please try again later."},
        ),
        ("POST", ("/infer", "/inference/oneseek"), 1000, {"error": "Rate limit exceeded: 1000 per 1 minute"}),
        (
            "POST",
            ("/api/inference/infer",),
            1000,
            {"error": "Rate limit exceeded", "detail": "1000 per 1 minute", "retry_after": "60"},
        ),
    ],
)
async def test_routes_of_one_router_share_its_limit_and_its_words(
    version: Service, method: str, paths: tuple[str, ...], limit: int, refusal: dict[str, object]
) -> None:
    clock = [1000.0]
    shared = serving(create_app(replace(version.deps, monotonic=lambda: clock[0])))
    async with shared as url, aiohttp.ClientSession(url) as client:
        for number in range(limit):
            async with client.request(method, paths[number % len(paths)], data=b"{") as response:
                assert response.status != 429, number
        for path in paths:
            async with client.request(method, path, data=b"{") as response:
                assert (response.status, await response.json()) == (429, refusal)
        for unlimited in ("/api/training/micro", "/api/oqt/micro-train"):
            async with client.post(unlimited) as response:
                assert (response.status, "RateLimit-Limit" in response.headers) == (401, False)
        clock[0] += 61
        async with client.request(method, paths[0], data=b"{") as response:
            assert response.status != 429


async def test_preflight_echoes_the_requested_headers(version: Service) -> None:
    asked = {"Origin": "http://x", "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "a, b"}
    async with version.client.options("/api/oqt/query", headers=asked) as response:
        assert response.status == 204
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["Access-Control-Allow-Methods"] == "GET,HEAD,PUT,PATCH,POST,DELETE"
        assert response.headers["Access-Control-Allow-Headers"] == "a, b"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("GET", "/internal/state", 404),
        ("GET", "/api/oqt/ledger", 404),
        ("GET", "/api/models", 404),
        ("GET", "/api/oqt/query", 405),
        ("POST", "/health", 405),
        # What docs/reference/old-service.md says is not here.
        ("POST", "/api/admin/training/start-dna-v2", 404),
        ("POST", "/api/admin/training/stop", 404),
        ("POST", "/api/admin/models/verify", 404),
        ("POST", "/api/admin/models/x/rollback", 404),
        ("POST", "/api/admin/datasets", 405),
        ("POST", "/api/autonomy/config", 405),
        ("POST", "/api/training/x/metrics", 405),
        ("GET", "/api/training/x/leaderboard", 404),
        ("POST", "/api/ingest/interaction", 404),
        ("POST", "/api/verification/run", 404),
        ("POST", "/api/chat/generate", 404),
        ("GET", "/api/models/available", 404),
    ],
)
async def test_an_unknown_route_is_a_404_page_and_a_wrong_method_a_405(
    version: Service, method: str, path: str, status: int
) -> None:
    async with version.client.request(method, path) as response:
        assert response.status == status
        assert ("Allow" in response.headers) == (status == 405)
        assert response.headers["Content-Type"].startswith("text/html")
        assert f"Cannot {method} {path}" in await response.text()


@pytest.mark.parametrize("path", ["/health", "/nope", "/api/models/current", "/api/oqt/query"])
async def test_every_answer_ends_its_connection_while_draining(version: Service, path: str) -> None:
    async with version.client.get(path) as response:
        assert response.headers.get("Connection") != "close"
    version.lifecycle.draining = True
    async with version.client.get(path) as response:
        assert response.headers["Connection"] == "close"
