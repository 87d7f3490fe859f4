"""The real huggingface_hub client against a small hub on this machine."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import manifest_digest
from oneseek_core.errors import JobError
from oneseek_core.files import digest_tree
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.names import ExitCode
from oneseek_runtime import hub as client
from oneseek_runtime.basemodel import job
from oneseek_runtime.basemodel.folder import wanted_files
from support import hub
from support.artifacts import MODEL, environment, model_folder, tree_of


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = model_folder(tmp_path / "hub" / "models" / "owner" / "tiny")
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    (folder / "modeling_tiny.py").write_text("raise SystemExit")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "config.json").write_text("{}")
    return folder


@pytest.fixture
def server(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[hub.Server]:
    monkeypatch.setattr(client, "_WAITS", (0.0, 0.0))
    with hub.running(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    (tmp_path / "claim").mkdir()
    return tmp_path / "claim"


def fetch(claim: Path, endpoint: str, *, token: str | None = None, **source: Any) -> BaseImportReport:
    asked = {
        "model": MODEL,
        "modelsRoot": str(claim),
        "baseName": "tiny",
        "source": {"huggingFace": {"repo": "owner/tiny"} | source},
    }
    return job.run(environment(asked, HF_ENDPOINT=endpoint, **({"HF_TOKEN": token} if token else {})))


def refusal(claim: Path, endpoint: str, **more: Any) -> JobError:
    with pytest.raises(JobError) as raised:
        fetch(claim, endpoint, **more)
    assert raised.value.reason == names.BASE_UNAVAILABLE
    assert list((claim / "basemodeller").iterdir()) == []
    return raised.value


def test_a_repository_is_fetched_without_pickles_and_code(claim: Path, server: hub.Server, repository: Path) -> None:
    report = fetch(claim, server.endpoint)
    found = tree_of(claim / "basemodeller" / "tiny")
    assert set(found) == {"config.json", "model.safetensors", "tokenizer.json", names.BASE_MANIFEST}
    assert found["model.safetensors"] == (repository / "model.safetensors").read_bytes()
    wanted = {name: row for name, row in digest_tree(repository).items() if name in wanted_files([name])}
    assert report.digest == manifest_digest(wanted)
    assert not [line for line in server.seen if ".bin" in line or ".py" in line or "onnx" in line]


def test_files_are_fetched_at_the_commit_that_the_revision_named(
    claim: Path, server: hub.Server, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commit = hub.Repository(repository).commit
    fetch(claim, server.endpoint, revision="main")
    assert f'"commit": "{commit}"' in capsys.readouterr().out
    assert f"GET /owner/tiny/resolve/{commit}/config.json" in server.seen
    assert not [line for line in server.seen if "/resolve/main/" in line]


def test_a_pinned_commit_is_fetched(claim: Path, server: hub.Server, repository: Path) -> None:
    assert fetch(claim, server.endpoint, revision=hub.Repository(repository).commit).files == 3


def test_what_was_fetched_once_is_not_fetched_again(claim: Path, server: hub.Server) -> None:
    first = fetch(claim, server.endpoint)
    server.seen.clear()
    assert fetch(claim, server.endpoint) == first
    assert server.seen == []


def test_a_private_repository_needs_its_token(claim: Path, server: hub.Server, repository: Path) -> None:
    (repository / ".token").write_text("hf_right")
    error = refusal(claim, server.endpoint)
    assert error.exit_code == ExitCode.BAD_INPUT
    assert f"{server.endpoint} knows no owner/tiny, or it is private" in error.message
    assert "tokenSecret" in error.message
    assert refusal(claim, server.endpoint, token="hf_wrong").exit_code == ExitCode.BAD_INPUT
    assert fetch(claim, server.endpoint, token="hf_right").files == 3


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        pytest.param({"repo": "owner/none"}, "knows no owner/none, or it is private: check the name", id="repository"),
        pytest.param({"revision": "v9"}, "owner/tiny at v9 does not exist on", id="revision"),
    ],
)
def test_what_the_hub_does_not_have_is_said_once_and_not_retried(
    claim: Path, server: hub.Server, source: dict[str, str], sentence: str
) -> None:
    error = refusal(claim, server.endpoint, **source)
    assert sentence in error.message
    assert error.exit_code == ExitCode.BAD_INPUT
    assert len(server.seen) == 1


def closed_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_an_unreachable_hub_may_be_tried_again_later(claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    endpoint = f"http://127.0.0.1:{closed_port()}"
    error = refusal(claim, endpoint)
    assert error.exit_code == ExitCode.UNAVAILABLE
    assert f"{endpoint} cannot be reached for owner/tiny at main" in error.message
    assert "huggingFace.endpoint" in error.message
    assert waited == [2.0, 4.0]


def test_an_address_that_does_not_exist_is_unreachable(claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_WAITS", ())
    assert refusal(claim, "http://hub.invalid").exit_code == ExitCode.UNAVAILABLE


def test_a_silent_hub_is_given_up(claim: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_WAITS", ())
    monkeypatch.setattr(client, "_TIMEOUT", 0.1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        error = refusal(claim, f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert error.exit_code == ExitCode.UNAVAILABLE
    assert re.search(r"timed out: nothing came for [0-9.]+ s", error.message)


@pytest.mark.parametrize(
    ("status", "body", "code", "sentence"),
    [
        pytest.param(503, b"", ExitCode.UNAVAILABLE, "cannot be reached for owner/tiny at main (HTTP 503)", id="down"),
        pytest.param(403, b"", ExitCode.BAD_INPUT, "refuses access to owner/tiny at main (HTTP 403)", id="forbidden"),
        pytest.param(
            404,
            b"",
            ExitCode.BAD_INPUT,
            "answers HTTP 404 for owner/tiny at main: check the name",
            id="not-found-by-a-plain-mirror",
        ),
        pytest.param(
            200, b"<html>log in", ExitCode.BAD_INPUT, "does not answer like a Hugging Face hub", id="login-page"
        ),
        pytest.param(200, b'{"id": "x"}', ExitCode.BAD_INPUT, "names no commit", id="no-commit"),
    ],
)
def test_answers_of_servers_that_do_not_serve_are_told_apart(
    *,
    claim: Path,
    server: hub.Server,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: bytes,
    code: int,
    sentence: str,
) -> None:
    monkeypatch.setattr(hub.HubHandler, "answer", lambda self: self.send(status, body, {}))
    error = refusal(claim, server.endpoint)
    assert error.exit_code == code
    assert sentence in error.message


def test_a_file_that_vanishes_between_listing_and_download_is_named(
    claim: Path, server: hub.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hub.HubHandler.answer_file

    def losing(self: hub.HubHandler, parts: list[str]) -> None:
        if parts[-1] == "model.safetensors":
            raise hub.RefusedError(hub.HTTPStatus.NOT_FOUND, "EntryNotFound")
        real(self, parts)

    monkeypatch.setattr(hub.HubHandler, "answer_file", losing)
    assert "holds no file model.safetensors" in refusal(claim, server.endpoint).message


def test_the_hub_runs_alone_with_the_standard_library_only(tmp_path: Path, repository: Path) -> None:
    command = [sys.executable, "-I", "-S", str(Path(hub.__file__)), "--root", str(tmp_path / "hub"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"]})
    try:
        assert process.stdout is not None
        port = process.stdout.readline().rsplit(":", maxsplit=1)[1].strip()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/owner/tiny/resolve/main/config.json", timeout=5
        ) as answer:
            assert answer.headers["X-Repo-Commit"] == hub.Repository(repository).commit
    finally:
        process.kill()
        process.communicate()
