"""Learning over HTTP: the real sidecar with its loop, a real records service, and a cluster that a test plays."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from support.learning import (
    EAGER,
    LESSON,
    MICRO,
    MULTI,
    NEVER,
    NEW,
    OLD_MICRO,
    RAW,
    STATS,
    STATUS,
    TRAIN,
    WITHIN,
    annotated,
    events,
    get,
    learning,
    operate,
    post,
    with_micro,
)
from support.legacy import BASE, DNA, UUID4, Service, T, run_object
from support.recording import until
from support.records import Place, Refused


async def test_a_question_is_recorded_before_it_is_answered_and_says_which_run_will_train_it(
    quiet: Service, place: Place
) -> None:
    status, body = await post(quiet, MICRO, LESSON)
    assert status == 200
    assert UUID4.fullmatch(body["trainingId"])
    assert T.fullmatch(body["timestamp"])
    assert body["run"] == {"name": "demo-micro-1", "window": 1, "state": "queued", "dna": None, "message": ""}
    assert body["stages"]["stage1"] == {
        "completed": False,
        "reason": "queued",
        "samplesProcessed": 0,
        "result": {"method": "raw_response_training", "samplesProcessed": 0, "updated": False},
    }
    second = body["stages"]["stage2"]
    assert (second["completed"], second["reason"], second["result"]["metricsUpdated"]) == (False, "queued", False)
    given = [second["result"][key] for key in ("consensus", "bias", "fairness")]
    assert given == [0.9, 1, None], "the client's own numbers, and nothing where it gave none"
    served = body["modelStatus"]
    assert (served["version"], served["totalMicroBatches"]) == (DNA, 3)
    assert place.client().call("GET", "/v1/windows")["questions"] == 1
    assert (await post(quiet, MICRO, LESSON))[1]["run"]["window"] == 1, "the same window, until it closes"


async def test_the_answers_of_a_multi_model_query_are_given_to_the_model_to_learn(quiet: Service, place: Place) -> None:
    quiet.engine.by_model = {DNA: "Jag är OneSeek.", BASE: "Jag är en modell."}
    status, body = await post(quiet, MULTI, {"question": "Vem är du?"})
    assert status == 200
    training = body["training"]
    assert list(training) == ["success", "language", "model", "fallback", "state", "run", "stage1", "stage2"]
    assert training["run"] == {"name": "demo-micro-1", "window": 1, "state": "queued", "dna": None, "message": ""}
    assert (training["success"], training["language"], training["model"]) == (True, "sv", DNA)
    assert training["state"] == {"totalRuns": 1, "runsByLanguage": {"sv": 1, "en": 0}}
    assert (training["stage1"]["completed"], training["stage1"]["reason"]) == (False, "queued")
    given = training["stage2"]["result"]
    assert (given["consensus"], given["fairness"]) == (
        body["analysis"]["consensus"]["score"],
        body["analysis"]["fairness"]["score"],
    )
    assert quiet.deps.recorder is not None
    await quiet.deps.recorder.flush(WITHIN)
    (event,) = events(place)
    assert event["type"] == "multi-model-micro-training"
    assert (event["question"], event["samplesReceived"], event["run"]) == ("Vem är du?", 2, "demo-micro-1")
    assert (event["language"], event["modelVersion"]) == ("sv", DNA)
    assert event["metrics"].keys() == {"accuracy", "fairness", "bias", "consensus"}
    result = event["trainingResult"]
    assert (result["success"], result["stage1"], result["stage2"]) == (True, training["stage1"], training["stage2"])
    (query,) = place.client().call("GET", "/v1/queries?limit=1")["queries"]
    assert (query["queryId"], query["model"]) == (body["queryId"], "OQT-1.0-MultiModel")
    await post(quiet, MULTI, {"question": "Vem är du?", "enableTraining": False})
    assert place.client().call("GET", "/v1/windows")["questions"] == 1


async def test_a_multi_model_query_is_answered_where_nothing_can_be_learned(place: Place, tmp_path: Path) -> None:
    async with learning(place, tmp_path / "pod", model=with_micro(**NEVER)) as item:
        status, body = await post(item, MULTI, {"question": "Vem är du?"})
    assert (status, body["success"], body["training"]["success"]) == (200, True, False)
    assert body["training"]["error"].startswith("No training was started: ")
    with place.service():
        async with learning(place, tmp_path / "second", model=with_micro(enabled=False)) as item:
            _, body = await post(item, MULTI, {"question": "Vem är du?"})
    assert (body["success"], body["training"]) == (True, None)


async def test_what_holds_nothing_to_learn_is_not_recorded_and_not_called_queued(quiet: Service, place: Place) -> None:
    status, body = await post(quiet, MICRO, {"question": "Vem är du?", "rawResponses": [], "analyzedData": {}})
    assert (status, body["success"], body["run"]) == (200, True, None)
    assert body["stages"]["stage1"]["reason"] == "No raw responses provided"
    assert body["stages"]["stage2"]["completed"] is False
    assert place.client().call("GET", "/v1/windows")["questions"] == 0
    _, body = await post(quiet, MICRO, {"question": "q", "rawResponses": RAW[:1]})
    assert body["stages"]["stage2"] == {"completed": False, "reason": "No analyzed data provided"}


@pytest.mark.parametrize(
    ("body", "oqt", "old"),
    [
        (None, "Question and rawResponses", "Question is required and must be a string"),
        ({"question": 7, "rawResponses": []}, "Question and rawResponses", "Question is required and must be a string"),
        ({"question": "q"}, "Question and rawResponses", "rawResponses array is required"),
        ({"question": "q", "rawResponses": [7]}, "rawResponses[0] must be", "rawResponses[0] must be"),
        ({"question": "q", "rawResponses": RAW * 40}, "holds 80 answers", "holds 80 answers"),
        ({"question": "q" * 100_001, "rawResponses": []}, "longer than 100,000", "longer than 100,000"),
        ({"question": "q", "rawResponses": [], "analyzedData": "x"}, "must be an object", "must be an object"),
    ],
)
async def test_what_cannot_be_learned_is_refused_in_the_recorded_words(
    quiet: Service, body: Any, oqt: str, old: str
) -> None:
    for path, sentence in ((MICRO, oqt), (OLD_MICRO, old)):
        status, answer = await post(quiet, path, body)
        assert (status, answer["success"]) == (400, False)
        assert sentence in answer["error"]


async def test_half_a_character_in_a_question_keeps_nobody_from_learning(quiet: Service) -> None:
    status, body = await post(quiet, MICRO, {"question": "\ud83d?", "rawResponses": [{"response": "\ud83d"}]})
    assert (status, body["run"]["window"]) == (200, 1)


async def test_a_due_window_is_told_to_the_operator_and_taken_once_its_run_is_there(
    eager: Service, place: Place
) -> None:
    _, body = await post(eager, MICRO, LESSON)
    assert await annotated(eager, names.WINDOW_MICRO) == str(body["run"]["window"]) == "1"
    operate(eager, "demo-micro-1", "Micro", state="running")
    policy = {"policy": EAGER}
    await until(lambda: not place.client().call("POST", "/v1/windows/due", policy)["due"])
    assert not eager.cluster.objects["oneseekmodels"]["demo"]["metadata"]["annotations"]
    _, body = await post(eager, MICRO, LESSON)
    assert body["run"]["name"] == "demo-micro-2", "a taken window is closed"
    assert await annotated(eager, names.WINDOW_MICRO) == "2"


async def test_a_new_records_volume_gives_no_number_that_a_run_of_the_model_bears(eager: Service) -> None:
    operate(eager, "demo-micro-4", "Micro", state="certified", dna=NEW)
    informer = eager.deps.cluster.informer
    assert await informer.until(lambda shown: shown.runs or None, seconds=WITHIN)
    _, body = await post(eager, MICRO, LESSON)
    assert (body["run"]["name"], body["run"]["state"]) == ("demo-micro-5", "queued"), "nobody's old run is told as its"
    assert await annotated(eager, names.WINDOW_MICRO) == "5"


async def test_who_waits_is_answered_once_the_run_has_made_its_version(eager: Service) -> None:
    waiting = asyncio.create_task(post(eager, MICRO, LESSON, Prefer="respond-async, wait=60"))
    await annotated(eager, names.WINDOW_MICRO)
    operate(eager, "demo-micro-1", "Micro", state="running")
    await asyncio.sleep(0)
    assert not waiting.done()
    operate(eager, "demo-micro-1", "Micro", state="certified", dna=NEW)
    async with asyncio.timeout(WITHIN):
        _, body = await waiting
    assert (body["run"]["state"], body["run"]["dna"], body["modelStatus"]["version"]) == ("certified", NEW, NEW)
    assert (body["stages"]["stage1"]["completed"], body["stages"]["stage1"]["samplesProcessed"]) == (True, 2)
    assert body["stages"]["stage2"]["result"]["metricsUpdated"] is True


async def test_who_waits_for_a_run_that_fails_is_told_why(eager: Service) -> None:
    waiting = asyncio.create_task(post(eager, MICRO, LESSON, Prefer="wait=60"))
    await annotated(eager, names.WINDOW_MICRO)
    run = run_object("demo-micro-1")
    run["status"]["conditions"] = [{"type": "Stalled", "status": "True", "reason": "Diverged", "message": "NaN loss"}]
    eager.cluster.put("trainingruns", run)
    async with asyncio.timeout(WITHIN):
        _, body = await waiting
    assert body["stages"]["stage1"]["completed"] is False
    assert body["stages"]["stage1"]["reason"] == "failed: NaN loss"
    assert body["run"]["state"] == "failed"
    assert body["modelStatus"]["version"] == DNA


async def test_a_wait_ends_with_its_time_and_when_the_pod_drains(quiet: Service) -> None:
    async with asyncio.timeout(WITHIN):
        _, body = await post(quiet, MICRO, LESSON, Prefer="wait=1")
        assert body["run"]["state"] == "queued"
        quiet.lifecycle.draining = True
        _, body = await post(quiet, MICRO, LESSON, Prefer="wait=600")
        assert body["run"]["state"] == "queued"


async def test_train_gathers_what_was_recorded_and_names_the_major_run(eager: Service) -> None:
    status, body = await post(eager, TRAIN)
    assert (status, body["error"]) == (409, "Failed to perform batch training")
    assert "nothing to train on" in body["message"]
    await post(eager, MICRO, LESSON)
    operate(eager, "demo-micro-1", "Micro", state="running")
    status, body = await post(eager, TRAIN)
    name = body["run"]["name"]
    assert (status, name) == (200, f"demo-major-{body['run']['window']}")
    assert (body["previousVersion"], body["newVersion"]) == (DNA, "OneSeek-7B-Zero.v8.0")
    assert body["result"] == {
        "samplesProcessed": 0,
        "epochs": 0,
        "duration_ms": 0,
        "metrics": {"accuracy": None, "fairness": None, "bias": None},
        "completed": False,
        "reason": "queued",
    }
    assert body["modelStatus"]["totalWeeklyBatches"] == 7
    assert await annotated(eager, names.WINDOW_MAJOR) == str(body["run"]["window"])
    _, again = await post(eager, TRAIN, {"dataSource": "firestore"})
    assert again["run"]["name"] == name, "asked for twice, nothing new recorded: one run"


async def test_train_tells_what_came_of_it(eager: Service) -> None:
    await post(eager, MICRO, LESSON)
    operate(eager, "demo-micro-1", "Micro", state="running")
    waiting = asyncio.create_task(post(eager, TRAIN, Prefer="wait=60"))
    window = await annotated(eager, names.WINDOW_MAJOR)
    operate(eager, f"demo-major-{window}", "Major", state="certified", dna=NEW)
    async with asyncio.timeout(WITHIN):
        _, body = await waiting
    result = body["result"]
    assert (result["completed"], result["samplesProcessed"], result["epochs"]) == (True, 3, 3)
    assert (result["duration_ms"], result["metrics"]["accuracy"]) == (30 * 60 * 1000, 0.8)
    assert (body["previousVersion"], body["newVersion"]) == (DNA, NEW)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"dataSource": "file"}, "apply a TrainingRun"),
        ({"dateRange": "yesterday"}, "must be an object"),
        ({"dateRange": {"start": 7}}, "must be times"),
        ({"dateRange": {"start": "yesterday"}}, "must be a time like"),
    ],
)
async def test_what_train_cannot_select_is_refused_with_a_sentence(quiet: Service, body: Any, sentence: str) -> None:
    status, answer = await post(quiet, TRAIN, body)
    assert (status, answer["error"]) == (400, "Failed to perform batch training")
    assert sentence in answer["message"]


@pytest.mark.parametrize("body", [[], [None, None], "all", 7])
async def test_train_takes_no_body_that_is_no_object_for_a_wish_to_train_on_everything(
    quiet: Service, body: Any
) -> None:
    await post(quiet, MICRO, LESSON)
    status, answer = await post(quiet, TRAIN, body)
    assert status == 400
    assert answer["message"] == "the body must be a JSON object, or empty"


async def test_a_date_range_selects(quiet: Service) -> None:
    await post(quiet, MICRO, LESSON)
    old = {"dateRange": {"start": "2020-01-01T00:00:00.000Z", "end": "2020-02-01T00:00:00.000Z"}}
    assert (await post(quiet, TRAIN, old))[0] == 409
    assert (await post(quiet, TRAIN, {"dateRange": {"start": "2020-01-01T00:00:00Z"}}))[0] == 200


async def test_events_are_recorded_without_a_date_range_too_and_claim_nothing_that_was_not_trained(
    quiet: Service, place: Place
) -> None:
    await post(quiet, MICRO, LESSON)
    await post(quiet, TRAIN)
    assert quiet.deps.recorder is not None
    await quiet.deps.recorder.flush(WITHIN)
    batch, micro = place.client().call("GET", "/v1/documents/oqt_training_events")["documents"]
    assert (micro["type"], micro["question"], micro["run"]) == ("micro-training", "Vem är du?", "demo-micro-1")
    assert (micro["samplesProcessed"], micro["samplesReceived"], micro["modelVersion"]) == (0, 2, DNA)
    assert micro["metrics"] == dict.fromkeys(("accuracy", "fairness", "bias", "consensus"))
    assert (micro["language"], micro["stage1"]["completed"], micro["stage2"]["completed"]) == ("sv", False, False)
    assert (batch["type"], batch["dateRange"], batch["previousVersion"]) == ("weekly-batch", None, DNA)
    assert batch["metrics"] == dict.fromkeys(("accuracy", "fairness", "bias")), "of the version that it will make"
    keys = {"trainingId", "dataSource", "samplesProcessed", "epochs", "duration_ms", "newVersion", "timestamp"}
    assert keys <= batch.keys()
    measured = place.client().call("GET", "/v1/documents/oqt_metrics")["documents"]
    assert [(row["version"], row["training"]["weeklyBatch"]) for row in measured] == [(DNA, 7), (DNA, 7)]


async def test_the_older_route_answers_in_its_own_words_with_the_language_it_found(quiet: Service) -> None:
    await post(quiet, MICRO, {"question": "Who are you?", "rawResponses": RAW})
    status, body = await post(quiet, OLD_MICRO, {**LESSON, "language": "en"})
    assert (status, body["language"], body["model"], body["fallback"]) == (200, "sv", DNA, False)
    assert body["stages"]["stage1"]["samples_processed"] == 0
    assert body["stages"]["stage2"]["result"]["dna_update"] == {"needed": False}
    assert body["state"] == {"totalRuns": 2, "runsByLanguage": {"sv": 1, "en": 1}}


async def test_status_and_stats_count_what_was_recorded_and_name_the_version_that_learned(quiet: Service) -> None:
    _, body = await get(quiet, STATUS)
    assert (body["status"], body["state"]["totalRuns"], body["state"]["lastRun"]) == ("operational", 0, None)
    await post(quiet, MICRO, LESSON)
    await post(quiet, MICRO, {"question": "Who are you?", "rawResponses": RAW[:1]})
    _, body = await get(quiet, STATUS)
    assert body["state"]["runsByLanguage"] == {"sv": 1, "en": 1}
    assert T.fullmatch(body["state"]["lastRun"])
    _, body = await get(quiet, STATS)
    models = body["stats"]["models"]
    empty = {"model": DNA, "stage1Samples": 1, "stage2Samples": 0, "totalSamples": 1, "lastDNA": None}
    assert models == {"sv": empty | {"stage2Samples": 1, "totalSamples": 2}, "en": empty}
    operate(quiet, "demo-micro-1", "Micro", state="certified", dna=NEW)
    assert await quiet.deps.cluster.informer.until(lambda informer: informer.runs or None, seconds=WITHIN)
    _, body = await get(quiet, STATS)
    newest = {"dna_hash": "b" * 64, "total_samples": 3, "timestamp": "2026-08-23T08:30:00.000Z"}
    assert body["stats"]["models"]["sv"]["lastDNA"] == body["stats"]["models"]["en"]["lastDNA"] == newest


async def test_a_disabled_model_says_so_and_records_nothing(place: Place, tmp_path: Path) -> None:
    with place.service():
        async with learning(place, tmp_path / "pod", model=with_micro(enabled=False)) as item:
            status, body = await post(item, MICRO, LESSON)
            assert (status, body["error"]) == (409, "Failed to perform micro-training")
            assert "spec.training.micro.enabled" in body["message"]
            status, body = await post(item, OLD_MICRO, LESSON)
            assert (status, body["success"], body["skipped"]) == (200, False, True)
            assert (await get(item, STATUS))[1]["status"] == "disabled"
            assert place.client().call("GET", "/v1/windows")["questions"] == 0
            item.cluster.put("oneseekmodels", with_micro(**NEVER))
            informer = item.deps.cluster.informer
            enabled = await informer.until(
                lambda seen: "enabled" not in seen.model.spec.training.micro.model_fields_set or None, seconds=WITHIN
            )
            assert enabled
            assert (await post(item, MICRO, LESSON))[0] == 200


async def test_while_training_is_suspended_what_is_sent_is_kept_and_the_answer_says_that_it_waits(
    place: Place, tmp_path: Path
) -> None:
    model = with_micro(**NEVER)
    model["spec"]["training"]["suspend"] = True
    with place.service():
        async with learning(place, tmp_path / "pod", model=model) as item:
            _, body = await post(item, MICRO, LESSON)
            assert (body["stages"]["stage1"]["completed"], body["stages"]["stage1"]["reason"]) == (False, "suspended")
            assert (body["run"]["state"], body["run"]["name"]) == ("queued", "demo-micro-1")
            assert "spec.training.suspend" in body["run"]["message"]
            _, body = await post(item, TRAIN)
            assert body["result"]["reason"] == "suspended"
            assert place.client().call("GET", "/v1/windows")["questions"] == 1


async def test_with_records_away_it_is_503_in_the_recorded_words_and_nothing_is_claimed(
    place: Place, tmp_path: Path
) -> None:
    async with learning(place, tmp_path / "pod", model=with_micro(**EAGER)) as item:
        for path, error in (
            (MICRO, "Failed to perform micro-training"),
            (OLD_MICRO, "Failed to perform micro-training"),
            (TRAIN, "Failed to perform batch training"),
        ):
            status, body = await post(item, path, {} if path == TRAIN else LESSON)
            assert (status, body["success"], body["error"]) == (503, False, error)
            assert "records service" in body["message"]
        for path in (STATUS, STATS):
            assert (await get(item, path))[0] == 503
        with place.service():
            assert (await post(item, MICRO, LESSON))[0] == 200, "and back by itself"
            assert await annotated(item, names.WINDOW_MICRO) == "1"


async def test_before_the_model_was_read_nobody_is_told_that_it_learns(place: Place, tmp_path: Path) -> None:
    with place.service():
        async with learning(place, tmp_path / "pod") as item:
            assert (await post(item, MICRO, LESSON))[0] == 503
            assert (await get(item, STATUS))[1]["status"] == "unknown"
        with pytest.raises(Refused):
            place.client().call("GET", "/v1/windows/1/questions")
