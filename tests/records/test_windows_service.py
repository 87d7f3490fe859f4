"""From what a client sent to the rows of a run: the real records service, and prepare as its Job runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_core.roles import Role
from oneseek_runtime.prepare import job
from support.access import access_folder
from support.records import Client, Place, Refused

POLICY = {"minimumQuestions": 1, "debounceSeconds": 0, "maximumPerHour": 6}


def teach(client: Client, key: str, *raw: str, analysis: dict[str, Any] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"trainingId": key, "timestamp": "2026-01-01T00:00:00.000Z", "question": f"Vad är {key}?"}
    body |= {"language": "sv", "rawResponses": [{"model": "m", "response": text} for text in raw]}
    found: dict[str, Any] = client.call(
        "POST", "/v1/questions", body | ({"analyzedData": analysis} if analysis else {})
    )
    return found


def prepare(place: Place, claim: Path, window: int, *, digest: str | None = None, **changes: Any) -> PrepareReport:
    asked: dict[str, Any] = {"name": f"conversation-{window}", "source": {"records": {"window": window}}}
    dataset = {"dataset": asked | ({"digest": digest} if digest else {})}
    request = {
        "run": {"namespace": "team", "name": f"zero-micro-{window}", "uid": "uid-1"},
        "specDigest": "sha256:" + "0" * 64,
        "modelsRoot": str(claim),
        "datasets": [dataset],
        "language": "auto",
        "type": "Micro",
    }
    environment = {
        names.REQUEST_ENV: json.dumps(request | changes),
        names.RECORDS_URL_ENV: place.url,
        names.ACCESS_ENV: str(access_folder(place.folder / "prepare", Role.PREPARE)),
    }
    return job.run(environment)


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    folder = tmp_path / "claim"
    folder.mkdir()
    return folder


def rows(claim: Path) -> list[tuple[str, str]]:
    text = (claim / ".staging/uid-1/data/train.jsonl").read_text()
    return [tuple(turn["content"] for turn in json.loads(line)["messages"]) for line in text.splitlines()]


def test_a_closed_window_becomes_rows_of_two_stages_and_counts_its_steps(place: Place, claim: Path) -> None:
    with place.service():
        client = place.client()
        assert teach(client, "a", "en sak", "en annan sak", "en annan grej", analysis={"consensus": 0.9})["window"] == 1
        assert teach(client, "b", "ett", analysis={"metaSummary": {"answer": "ett enda"}})["total"] == 2
        teach(client, "c", "tre")
        teach(client, "d")
        found = client.call("POST", "/v1/windows/due", {"policy": POLICY})
        (row,) = found["due"]
        assert (row["window"], row["kind"]) == (1, "micro")
        report = prepare(place, claim, 1, digest=row["digest"])
        assert report.datasets[0].digest == row["digest"]
        assert client.call("POST", "/v1/windows/due", {"policy": POLICY})["due"] == [row], "the same each time"
        client.call("POST", "/v1/windows/1/taken", {})
        assert client.call("POST", "/v1/windows/due", {"policy": POLICY})["due"] == []
    assert (report.samples, report.micro_steps) == (7, 5)
    assert [item.to_wire() for item in report.left_out] == [{"reason": names.LEFT_OUT_NO_ANSWER, "rows": 1}]
    lines = (claim / ".staging/uid-1/data/train.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"].split("/")[1] for line in lines]
    assert steps == ["0", "0", "0", "2", "4", "1", "3"], "a step for each stage of a question"
    assert (report.tags, report.language) == (["Conversational"], "sv")
    assert rows(claim)[:2] == [("Vad är a?", "en sak"), ("Vad är a?", "en annan sak")]
    assert rows(claim)[5:] == [("Vad är a?", "en annan sak"), ("Vad är b?", "ett enda")]


def test_a_window_survives_a_kill_and_gives_the_same_bytes(place: Place, claim: Path) -> None:
    with place.service():
        teach(place.client(), "a", "svar")
        place.client().call("POST", "/v1/windows/due", {"policy": POLICY})
        first = prepare(place, claim, 1)
    with place.service():
        assert place.client().call("POST", "/v1/windows/due", {"policy": POLICY})["due"], "still due"
        assert prepare(place, claim, 1).datasets == first.datasets


def test_a_window_of_the_number_in_another_records_volume_is_not_taken_for_it(place: Place, claim: Path) -> None:
    with place.service():
        teach(place.client(), "a", "svar")
        place.client().call("POST", "/v1/windows/due", {"policy": POLICY})
        with pytest.raises(JobError, match="but its spec pins") as raised:
            prepare(place, claim, 1, digest="sha256:" + "0" * 64)
    assert raised.value.reason == names.DATASET_DIGEST_DIFFERS


@pytest.mark.parametrize("after", ["-1", "many", "9999999999"])
def test_the_service_refuses_a_number_that_no_window_bears(place: Place, after: str) -> None:
    with place.service(), pytest.raises(Refused) as raised:
        place.client().call("POST", f"/v1/windows?after={after}", {})
    assert raised.value.status == 400


def test_held_out_questions_of_clients_are_left_out_and_not_counted(place: Place, claim: Path) -> None:
    line = {"question": "vad är A", "language": "sv", "mustContain": ["svar"]}
    (claim / "heldout.jsonl").write_text(json.dumps(line) + "\n")
    heldout = {"dataset": {"name": "heldout", "source": {"path": "heldout.jsonl"}}}
    with place.service():
        teach(place.client(), "a", "svar")
        teach(place.client(), "b", "annat")
        place.client().call("POST", "/v1/windows/due", {"policy": POLICY})
        report = prepare(place, claim, 1, heldout=heldout)
    assert (report.samples, report.micro_steps) == (1, 1)
    assert [item.to_wire() for item in report.left_out] == [{"reason": names.LEFT_OUT_HELD_OUT, "rows": 1}]
    assert rows(claim) == [("Vad är b?", "annat")]


def test_a_window_that_is_open_or_unknown_or_away_is_told_apart(place: Place, claim: Path) -> None:
    with place.service():
        teach(place.client(), "a", "svar")
        for window, sentence in ((1, "not closed yet"), (9, "there is no window 9")):
            with pytest.raises(JobError, match=sentence) as raised:
                prepare(place, claim, window)
            assert raised.value.reason == names.DATASET_NOT_FOUND
    with pytest.raises(JobError) as raised:
        prepare(place, claim, 1)
    assert raised.value.reason == names.DATASET_UNAVAILABLE


def test_the_service_refuses_what_is_no_lesson_and_a_major_window_of_nothing(place: Place) -> None:
    with place.service():
        client = place.client()
        for path, body, status in (
            ("/v1/questions", {"question": "x"}, 400),
            ("/v1/windows", {}, 409),
            ("/v1/windows", {"start": "soon"}, 400),
        ):
            with pytest.raises(Refused) as raised:
                client.call("POST", path, body)
            assert raised.value.status == status
        with pytest.raises(Refused) as raised:
            client.call("GET", "/v1/windows", token="wrong")
        assert raised.value.status == 401
