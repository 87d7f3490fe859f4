from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from oneseek_core import names
from oneseek_core.jobs.verify import VerifyReport, VerifyRequest
from oneseek_runtime.verify import job
from oneseek_runtime.verify.watch import Watcher, create_app
from support.artifacts import environment
from support.certified import certify, shared_keys, verify_request
from support.kube import wait_until


@pytest.fixture
def serving(tmp_path: Path) -> dict[str, Any]:
    """A request whose version was verified into `target`, as when a pod has started."""
    home, certified = certify(tmp_path, keys=shared_keys())
    (tmp_path / "target").mkdir()
    version = certified.version
    request = verify_request(
        home, shared_keys(), dna=version.dna, digest=version.digest, targetPath=str(tmp_path / "target")
    )
    job.run(environment(request))
    return request


def watcher(request: dict[str, Any]) -> Watcher:
    return Watcher(VerifyRequest.model_validate(request))


def test_a_round_finds_claim_and_copy_in_order(serving: dict[str, Any]) -> None:
    report = watcher(serving).round()
    assert (report.ok, report.reason, report.dna) == (True, names.ARTIFACT_VERIFIED, serving["dna"])
    assert report.checked_at


@pytest.mark.parametrize("where", ["adapterPath", "targetPath"])
def test_a_byte_flipped_on_the_claim_or_in_the_copy_is_found(serving: dict[str, Any], where: str) -> None:
    path = Path(serving[where]) / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    report = watcher(serving).round()
    assert (report.ok, report.reason) == (False, names.FILE_CHANGED)


def test_a_file_added_to_the_copy_is_found(serving: dict[str, Any]) -> None:
    (Path(serving["targetPath"]) / "adapter_model.bin").write_text("x")
    assert watcher(serving).round().reason == names.FILE_UNKNOWN


def test_a_version_that_vanishes_is_found_and_found_again_when_it_is_back(serving: dict[str, Any]) -> None:
    watching = watcher(serving)
    home = Path(serving["adapterPath"])
    home.rename(home.with_name("moved"))
    assert watching.round().reason == names.ARTIFACT_MISSING
    home.with_name("moved").rename(home)
    assert watching.round().ok


async def test_the_verdict_is_503_until_it_is_good(serving: dict[str, Any]) -> None:
    watching = watcher(serving)
    transport = httpx.ASGITransport(create_app(watching))
    async with httpx.AsyncClient(transport=transport, base_url="http://verify") as client:
        first = await client.get("/verdict")
        assert (first.status_code, first.json()["reason"]) == (503, names.UNVERIFIED)
        watching.round()
        second = await client.get("/verdict")
        assert (second.status_code, second.json()["dna"]) == (200, serving["dna"])
        assert (await client.get("/healthz")).text == "ok"


async def test_rounds_follow_each_other_until_told_to_stop(serving: dict[str, Any]) -> None:
    stop, loop, rounds = asyncio.Event(), asyncio.get_running_loop(), []

    class Counting(Watcher):
        def round(self) -> VerifyReport:
            rounds.append(super().round().ok)
            if len(rounds) == 2:
                loop.call_soon_threadsafe(stop.set)
            return super().round()

    watching = Counting(VerifyRequest.model_validate(serving | {"intervalSeconds": 1}))
    async with asyncio.timeout(20):
        await watching.watch(stop)
    assert rounds == [True, True]


@contextmanager
def process(request: dict[str, Any], port: int) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen(
        [sys.executable, "-m", "oneseek_runtime", "watch"],
        env=environment(request | {"port": port, "intervalSeconds": 1}) | {"PATH": os.environ["PATH"]},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


def get(port: int) -> tuple[int, dict[str, Any]]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/verdict", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


def until(port: int, status: int, reason: str) -> None:
    def there() -> bool:
        found = get(port)
        return (found[0], found[1].get("reason")) == (status, reason)

    wait_until(there, within=30, what=f"the verdict {reason}")


def test_the_process_finds_a_flipped_byte_within_its_interval_and_ends_on_sigterm(
    serving: dict[str, Any],
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with process(serving, port) as running:
        until(port, 200, names.ARTIFACT_VERIFIED)
        (Path(serving["adapterPath"]) / "metadata.json").write_text("{}")
        until(port, 503, names.FILE_CHANGED)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
