"""The records service under SIGKILL, a full volume and many writers: what it acknowledged stands, once, in one chain."""

from __future__ import annotations

import http.client
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from support.asgi import wait_for_port
from support.records import Place, Refused, by_key

WRITERS = 8
KILLS = int(os.environ.get("ONESEEK_PROVE_COUNT") or "5")


class Writers:
    """Eight clients that append until their service dies, and remember what it acknowledged."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.acknowledged: dict[str, tuple[int, str]] = {}
        self.unanswered: list[str] = []
        self.enough = threading.Event()
        self._lock = threading.Lock()

    def write(self, writer: int, round_: int, target: int) -> None:
        client = self._place.client()
        for number in range(1_000_000):
            key = f"{round_}-{writer}-{number}"
            try:
                (block,) = client.append(key)
            except (OSError, http.client.HTTPException):
                with self._lock:
                    self.unanswered.append(key)
                return
            with self._lock:
                self.acknowledged[key] = (block["blockNumber"], block["hash"])
                if len(self.acknowledged) >= target:
                    self.enough.set()


def test_no_acknowledged_entry_is_lost_when_it_is_killed_under_eight_writers(place: Place) -> None:
    writers = Writers(place)
    earlier: list[bytes] = []
    for round_ in range(KILLS):
        with place.service() as process:
            lines = place.client().audited()
            assert lines[: len(earlier)] == earlier, "the history from before the kill was changed"
            stands = by_key(lines)
            assert writers.acknowledged.items() <= stands.items()
            # A retry of what was cut off gets the block that it has, or its first.
            for key in writers.unanswered:
                (block,) = place.client().append(key)
                assert block["appended"] == (key not in stands)
                if key in stands:
                    assert (block["blockNumber"], block["hash"]) == stands[key]
                writers.acknowledged[key] = (block["blockNumber"], block["hash"])
            writers.unanswered.clear()
            earlier = place.client().copy()
            target = len(writers.acknowledged) + 40 + 17 * round_ % 50
            writers.enough.clear()
            with ThreadPoolExecutor(WRITERS) as pool:
                done = [pool.submit(writers.write, writer, round_, target) for writer in range(WRITERS)]
                assert writers.enough.wait(60)
                process.kill()
                for one in done:
                    one.result(60)
    with place.service():
        lines = place.client().audited()
        assert lines[: len(earlier)] == earlier
        assert writers.acknowledged.items() <= by_key(lines).items()
        assert len(writers.acknowledged) >= 40 * KILLS
    sys.stdout.write(f"proved: {KILLS} kills, {len(writers.acknowledged)} entries acknowledged, all there, one chain\n")


def test_many_requests_share_one_commit(place: Place) -> None:
    with place.service(), ThreadPoolExecutor(16) as pool:
        clients = [place.client() for _ in range(16)]

        def write(writer: int) -> None:
            for number in range(25):
                clients[writer].append(f"{writer}-{number}")

        for one in [pool.submit(write, writer) for writer in range(16)]:
            one.result(60)
        stats = place.client().call("GET", "/v1/stats")
        assert stats["totalBlocks"] == 401
        assert stats["commits"] < 400 / 2, stats
        assert len(by_key(place.client().audited())) == 400


def test_the_same_entry_from_many_clients_at_once_is_recorded_once(place: Place) -> None:
    with place.service(), ThreadPoolExecutor(8) as pool:
        clients = [place.client() for _ in range(8)]
        told = [one for answer in pool.map(lambda client: client.append("a", "b"), clients) for one in answer]
        assert {(one["idempotencyKey"], one["blockNumber"]) for one in told} == {("a", 1), ("b", 2)}
        assert sum(one["appended"] for one in told) == 2


@pytest.fixture
def small_volume(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    folder = tmp_path / "volume"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(place: Place) -> tuple[dict[str, tuple[int, str]], Refused, str]:
    """Append until it is refused: (what was acknowledged, the refusal, the key that it was about)."""
    client = place.client()
    acknowledged = {}
    for number in range(100_000):
        key = f"k{number}"
        try:
            (block,) = client.append(key, reason="x" * 256)
        except Refused as refused:
            return acknowledged, refused, key
        acknowledged[key] = (block["blockNumber"], block["hash"])
    raise AssertionError("the volume never became full")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small volume needs root; see the next test")
def test_a_full_volume_is_said_and_appending_goes_on_when_there_is_room(tmp_path: Path, small_volume: Path) -> None:
    ballast = small_volume / "ballast"
    ballast.write_bytes(bytes(300_000))
    place = Place.make(tmp_path, small_volume / "data")
    with place.service() as process:
        acknowledged, refused, key = fill(place)
        assert (refused.status, refused.body["reason"]) == (507, "StorageFull")
        assert refused.body["message"] == "the records volume is full; nothing was recorded; use a larger claim"
        stands = by_key(place.client().audited())
        assert stands == acknowledged
        assert place.client().call("GET", "/health") == {"status": "ok"}
        ballast.unlink()
        (block,) = place.client().append(key, reason="x" * 256)
        assert block["blockNumber"] == len(acknowledged) + 1
        process.kill()
    with place.service():
        assert by_key(place.client().audited()) == {**acknowledged, key: (block["blockNumber"], block["hash"])}


def test_a_file_that_cannot_grow_ends_appending_but_loses_nothing(on_disk: Place) -> None:
    with ExitStack() as stack:
        output = stack.enter_context(on_disk.log.open("wb"))
        process = subprocess.Popen(
            [sys.executable, "-m", "oneseek_runtime", "records"], env=on_disk.process_environment(), stdout=output
        )
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (400_000, 400_000))
        stack.callback(process.wait)
        stack.callback(process.kill)
        wait_for_port(process, on_disk.port, on_disk.log, within=30)
        acknowledged, refused, key = fill(on_disk)
        assert (refused.status, refused.body["reason"]) == (503, "StoreFailed")
        with pytest.raises(Refused) as health:
            on_disk.client().call("GET", "/health")
        assert health.value.status == 503
        on_disk.close()
    with on_disk.service():
        stands: dict[str, Any] = by_key(on_disk.client().audited())
        assert acknowledged.items() <= stands.items()
        assert set(stands) - set(acknowledged) <= {key}
        on_disk.client().append(key, reason="x" * 256)
