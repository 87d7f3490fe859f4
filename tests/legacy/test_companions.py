"""What old pages read beside the API proper: training as it goes, cycles, files; true to the custom resources."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from oneseek_runtime.sidecar.api.training import websocket
from support.legacy import DNA, OLD, Service, T, model_object, run_object, service
from support.openai_simulator import broken

LIVE_FILE = {
    "type": "epoch_end",
    "epoch": 2,
    "total_epochs": 3,
    "step": 2,
    "total_steps": 5,
    "val_losses": {},
    "weights": {},
    "lr_multipliers": {},
    "total_loss": 1.25,
    "validation_accuracy": None,
    "progress_percent": 40.0,
    "auto_stop_info": None,
    "timestamp": "2026-08-23T10:10:00.000Z",
    "current_epoch": 2,
}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Service]:
    async for item in service(tmp_path, dna=DNA, rate_limits=False):
        item.cluster.put("oneseekmodels", model_object())
        item.cluster.put("trainingruns", run_object("first", state="certified", dna=DNA, score=0.91))
        item.cluster.put("trainingruns", run_object("refused", state="rejected", dna=OLD, score=0.2, hour=9))
        item.cluster.put("trainingruns", run_object("identity", hour=10))
        other = run_object("other")
        other["spec"]["modelRef"]["name"] = "another-model"
        item.cluster.put("trainingruns", other)
        informer = item.deps.cluster.informer
        assert await informer.until(lambda seen: seen.model if len(seen.runs) == 3 else None, seconds=10)
        yield item


async def test_active_runs_and_their_metrics(place: Service) -> None:
    _, body, _ = await place.json("GET", "/api/training/active")
    run = {"run_id": "identity", "started_at": "2026-08-23T10:00:00.000Z", "current_epoch": 2, "total_epochs": 3}
    assert body == {"active_runs": [run]}
    _, body, _ = await place.json("GET", "/api/training/identity/metrics")
    assert (body["status"], body["progress_percent"], body["total_loss"]) == ("running", 40.0, 1.25)
    assert body["training_history"] == [{"step": 1, "loss": 2.5}, {"step": 2, "loss": 1.25}]
    assert (body["val_losses"], body["weights"], body["lr_multipliers"]) == ({}, {}, {})
    _, body, _ = await place.json("GET", "/api/training/first/metrics")
    assert (body["status"], body["progress_percent"], body["total_loss"]) == ("certified", 100.0, 0.5)


async def test_cycles_are_runs_with_their_gate_score(place: Service) -> None:
    _, body, _ = await place.json("GET", "/api/autonomy/state")
    state = body["state"]
    assert (state["running"], state["currentCycle"]["id"], state["nextRun"]) == (True, "identity", None)
    assert state["lastRun"] == "2026-08-23T09:30:00.000Z"
    shown = [
        (row["id"], row["status"], row["stages"]["verification"]["fidelityScore"]) for row in state["cycleHistory"]
    ]
    assert shown == [("refused", "failed", 0.2), ("first", "approved", 0.91)]


async def test_a_candidate_waits_for_its_checkpoint(place: Service) -> None:
    model = model_object()
    model["spec"]["promotion"]["mode"] = "Manual"
    model["status"]["candidate"] = {"dna": DNA}
    place.cluster.put("oneseekmodels", model)
    informer = place.deps.cluster.informer
    await informer.until(lambda seen: seen.model.status.candidate if seen.model else None, seconds=10)
    _, body, _ = await place.json("GET", "/api/autonomy/state")
    assert body["state"]["cycleHistory"][1]["status"] == "awaiting_checkpoint"
    _, body, _ = await place.json("GET", "/api/autonomy/config")
    config = body["config"]
    assert (config["forceHumanCheckpoint"], config["autoPromotionEnabled"]) == (True, False)
    assert (config["minFidelityThreshold"], config["loraSteps"]) == (0.8, None)


async def test_the_config_says_whether_runs_start_by_themselves(place: Service) -> None:
    async def config(**training: Any) -> tuple[bool, str, int | None]:
        model = model_object()
        model["spec"]["training"] = training
        model["metadata"]["annotations"] = {"told": str(training)}
        place.cluster.put("oneseekmodels", model)
        informer = place.deps.cluster.informer
        noted = model["metadata"]["annotations"]
        await informer.until(
            lambda seen: (seen.model is not None and seen.model.metadata.annotations == noted) or None, seconds=10
        )
        _, body, _ = await place.json("GET", "/api/autonomy/config")
        found = body["config"]
        return found["enabled"], found["schedule"], found["minDatasetSize"]

    assert await config(micro={"enabled": True, "minimumQuestions": 7}) == (True, "continuous", 7)
    assert await config(micro={"enabled": False}) == (False, "manual", None)
    assert await config(suspend=True) == (False, "manual", None)


async def test_status_of_training_and_datasets(place: Service) -> None:
    _, body, _ = await place.json("GET", "/api/admin/training/status")
    assert (body["status"], body["runId"], body["datasetId"], body["progress"]) == (
        "training",
        "identity",
        "identity_v1",
        40.0,
    )
    _, body, _ = await place.json("GET", "/api/admin/datasets")
    assert [(row["id"], row["entries"], row["runs"]) for row in body["datasets"]] == [
        ("identity_v1", 74, ["first", "refused", "identity"])
    ]


async def test_metrics_are_the_certified_scores_and_the_models_counters(place: Service) -> None:
    _, body, headers = await place.json("GET", "/api/oqt/metrics")
    assert (body["version"], headers["X-OneSeek-DNA"]) == (DNA, DNA)
    assert body["metrics"]["accuracy"] is None
    assert body["training"]["totalSamples"] == 120
    assert (body["training"]["weeklyBatches"], body["training"]["microBatches"]) == (7, 3)
    metadata = place.certified / DNA / "metadata.json"
    scores = {"questions": 40, "factsContained": 0.9, "exact": 0.75, "loss": 1.5, "byLanguage": {}}
    metadata.write_text(json.dumps(json.loads(metadata.read_text()) | {"scores": scores}))
    _, body, _ = await place.json("GET", "/api/oqt/metrics")
    assert body["metrics"]["accuracy"] == 0.75
    assert body["metrics"]["heldOut"] == {"questions": 40, "factsContained": 0.9, "exact": 0.75, "loss": 1.5}
    assert (body["metrics"]["fairness"], body["metrics"]["bias"], body["metrics"]["consensus"]) == (None, None, None)


async def test_objects_of_another_version_do_not_break_a_page(place: Service) -> None:
    odd = {
        "metadata": {"name": "odd"},
        "spec": {"modelRef": {"name": "demo"}, "datasets": None},
        "status": {"losses": 7},
    }
    place.cluster.put("trainingruns", odd)
    assert await place.deps.cluster.informer.until(lambda seen: len(seen.runs) == 4 or None, seconds=10)
    for path in ("active", "odd/metrics"):
        assert (await place.json("GET", f"/api/training/{path}"))[0] == 200
    for path in ("/api/autonomy/state", "/api/admin/training/status", "/api/admin/datasets"):
        assert (await place.json("GET", path))[0] == 200


async def test_a_socket_tells_the_state_then_each_change_and_ends_when_the_pod_drains(place: Service) -> None:
    async with asyncio.timeout(20), place.client.ws_connect("/ws/training?runId=identity") as socket:
        first = await socket.receive_json()
        assert (first["type"], first["run_id"], first["progress_percent"]) == ("initial_state", "identity", 40.0)
        run = run_object("identity", hour=10)
        run["status"]["progress"] |= {"percent": 60, "epoch": 3}
        place.cluster.put("trainingruns", run)
        second = await socket.receive_json()
        assert (second["type"], second["progress_percent"], second["current_epoch"]) == ("epoch_end", 60.0, 3)
        assert "training_history" not in second
        assert first.keys() == second.keys() == LIVE_FILE.keys() | {"run_id", "status"}
        place.lifecycle.draining = True
        assert (await socket.receive()).type == aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1012


async def test_a_socket_without_a_run_is_closed_and_one_for_a_future_run_waits(place: Service) -> None:
    async with place.client.ws_connect("/ws/training") as socket:
        message = await socket.receive()
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 1008, "Missing runId parameter")
    async with asyncio.timeout(20), place.client.ws_connect("/ws/training?runId=later") as socket:
        first = await socket.receive_json()
        assert (first["status"], first["message"]) == ("waiting", "There is no training run 'later' yet")
        place.cluster.put("trainingruns", run_object("later"))
        second = await socket.receive_json()
        assert second["status"] == "running"
        assert first.keys() == second.keys() | {"message"}


async def test_a_socket_on_which_nothing_happens_hears_a_heartbeat(
    place: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert websocket._HEARTBEAT_SECONDS == 30
    monkeypatch.setattr(websocket, "_HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(websocket, "_LOOK_SECONDS", 0.01)
    async with asyncio.timeout(20), place.client.ws_connect("/ws/training?runId=identity") as socket:
        assert (await socket.receive_json())["type"] == "initial_state"
        for _ in range(2):
            beat = await socket.receive_json()
            assert (beat["type"], T.fullmatch(beat["timestamp"]) is not None) == ("heartbeat", True)
            assert beat.keys() == {"type", "timestamp"}


@pytest.mark.parametrize(
    "path",
    [
        "oneseek-certified/../secret.json",
        "oneseek-certified/%2e%2e/metadata.json",
        "oneseek-certified/..%2fmetadata.json",
        "oneseek-certified//etc/passwd",
        "oneseek-certified/%00/metadata.json",
        "oneseek-certified/.incoming-x/metadata.json",
        "oneseek-certified/link/metadata.json",
        "oneseek-certified/loop/metadata.json",
        f"oneseek-certified/{DNA}/scores.json",
        f"oneseek-certified/{DNA}/adapter_model.safetensors",
        f"oneseek-certified/{DNA}",
        "basemodeller/metadata.json",
        "",
    ],
)
async def test_no_path_leads_out_or_to_anything_but_metadata(place: Service, path: str) -> None:
    outside = place.certified.parent / "outside"
    outside.mkdir()
    for folder in (outside, place.certified / ".incoming-x", place.certified.parent):
        (folder / "metadata.json").write_text("{}")
    (place.certified / "link").symlink_to(outside)
    (place.certified / "loop").symlink_to("loop")
    for name in ("scores.json", "adapter_model.safetensors"):
        (place.certified / DNA / name).write_text("{}")
    reader, writer = await asyncio.open_connection("127.0.0.1", place.client._base_url.port)
    writer.write(f"GET /models/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 404")
    writer.close()


async def test_metadata_is_served_uncached_through_current_too(place: Service) -> None:
    for name in (DNA, "OneSeek-7B-Zero-CURRENT"):
        async with place.client.get(f"/models/oneseek-certified/{name}/metadata.json") as response:
            assert response.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
            assert json.loads(await response.text())["dna"] == DNA


async def test_a_run_is_polled_as_the_files_that_its_trainer_wrote(place: Service) -> None:
    async with place.client.get("/models/oneseek-certified/identity/live_metrics.json") as response:
        assert response.headers["Cache-Control"] == "no-cache, no-store, must-revalidate"
        found = await response.json()
    assert {key: found[key] for key in LIVE_FILE} == LIVE_FILE
    _, found, _ = await place.json("GET", f"/models/oneseek-certified/{DNA}/live_metrics.json")
    assert (found["run_id"], found["validation_accuracy"], found["progress_percent"]) == ("first", 0.91, 100.0)
    _, found, _ = await place.json("GET", "/models/oneseek-certified/first/metadata.json")
    assert found["dna"] == DNA
    written = place.certified / DNA / "live_metrics.json"
    written.write_text('{"type":"epoch_end","epoch":9}')
    _, found, _ = await place.json("GET", f"/models/oneseek-certified/{DNA}/live_metrics.json")
    assert found["epoch"] == 9, "a file that an older trainer left is served as it lies there"
    for path in ("identity/metadata.json", "other/live_metrics.json", "identity/x/live_metrics.json"):
        async with place.client.get(f"/models/oneseek-certified/{path}") as response:
            assert response.status == 404


async def test_the_root_says_where_the_model_lies_that_answers(place: Service) -> None:
    _, body, headers = await place.json("GET", "/")
    assert (body["status"], body["active_model_path"]) == ("running", f"{place.certified}/{DNA}")
    assert headers["X-OneSeek-DNA"] == DNA
    place.engine.misbehaviour = broken
    _, body, _ = await place.json("GET", "/")
    assert (body["status"], body["active_model_path"]) == ("running", None)


async def test_administration_lists_versions_and_the_base_model(place: Service) -> None:
    _, body, _ = await place.json("GET", "/api/admin/models")
    assert [(row["id"], row["isCurrent"], row["metrics"]["loss"]) for row in body["models"]] == [
        (DNA, True, 0.4),
        (OLD, False, None),
    ]
    keys = {"id", "version", "dna", "directoryName", "createdAt", "trainingType", "samplesProcessed", "isCurrent"}
    keys |= {"metrics", "weights", "baseModels", "baseModel", "language", "datasets", "training", "metadata"}
    assert body["models"][0].keys() == body["models"][1].keys() == keys | {"isCertified", "isMerged"}
    _, body, _ = await place.json("GET", "/api/admin/models/available")
    assert [row["isCertified"] for row in body["models"]] == [False, True, True]


async def test_merged_folders_of_an_older_service_are_listed(place: Service) -> None:
    folder = place.certified / "merged" / "OneSeek-7B-Zero.v1.1.sv"
    folder.mkdir(parents=True)
    (folder / "merge_manifest.json").write_text('{"manifestVersion":"1.0"}')
    _, body, _ = await place.json("GET", "/api/models/merge/manifests")
    assert body == {"success": True, "manifests": [{"manifestVersion": "1.0"}], "count": 1}
    _, body, _ = await place.json("GET", "/api/models/merge/versions")
    assert body["versions"] == [{"name": folder.name, "path": str(folder), "version": "1.1"}]
    named = place.certified / "merged" / "swedish-build"
    named.mkdir()
    (named / "metadata.json").write_text('{"version":"OneSeek-7B-Zero.v3.2","mergeType":"major"}')
    (place.certified / "merged" / "by-hand").mkdir()
    (place.certified / "merged" / ".half").mkdir()
    (place.certified / "by-hand").mkdir()
    _, body, _ = await place.json("GET", "/api/models/certified")
    merged = [(row["name"], row["majorVersion"], row["minorVersion"], row.get("language")) for row in body["models"]]
    assert merged == [
        ("swedish-build", 3, 2, "sv"),
        (folder.name, 1, 1, None),
        (DNA, 1, 0, "ensv"),
        (OLD, 0, 9, None),
        ("by-hand", 0, 0, None),
    ]
    row = body["models"][0]
    assert (row["isMerged"], row["mergeType"], row["displayName"]) == (True, "major", "swedish-build v3.2")
    assert body["models"][4]["displayName"] == "by-hand"


async def test_an_inference_says_what_made_it(place: Service) -> None:
    _, body, headers = await place.json("POST", "/inference/oneseek", json={"text": "hej", "max_length": 2})
    assert (body["response"], body["tokens"], body["model"]) == ("You asked:", 2, DNA)
    assert headers["X-OneSeek-DNA"] == DNA
    assert place.engine.requests[-1]["temperature"] == 0.7
    _, body, _ = await place.json("POST", "/infer", json={"text": "x" * 10_001, "top_p": "a"})
    assert [row["loc"] for row in body["detail"]] == [["body", "text"], ["body", "top_p"]]
