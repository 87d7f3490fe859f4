from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from oneseek_runtime.records.errors import FullError, StoreFailedError
from oneseek_runtime.records.store import Entry, Head, Receipt
from oneseek_runtime.records.writer import GroupWriter, Outcome

HEAD = Head(1, "", b"", "", "", "", signed=False)


class Disk:
    """Commits groups once it is let to, and remembers them."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.free = threading.Event()
        self.error: Exception | None = None

    def commit(self, group: list[Sequence[Entry]]) -> list[Outcome]:
        self.free.wait(10)
        self.groups.append([entry.key for entries in group for entry in entries])
        if self.error:
            return [self.error for _ in group]
        return [([Receipt(0, entry.key, appended=True) for entry in entries], HEAD) for entries in group]


def entry(key: object) -> Entry:
    return Entry(str(key), "train", {})


async def test_what_waits_while_the_disk_is_busy_is_one_commit_in_its_order() -> None:
    disk = Disk()
    writer = GroupWriter(disk.commit)
    asked = [asyncio.create_task(writer.append([entry(number)])) for number in range(20)]
    await asyncio.sleep(0)
    disk.free.set()
    told = await asyncio.gather(*asked)
    assert [receipts[0].hash for receipts, _ in told] == [str(number) for number in range(20)]
    assert [key for group in disk.groups for key in group] == [str(number) for number in range(20)]
    assert len(disk.groups) <= 2  # the first may have gone alone
    writer.close()


async def test_nobody_is_answered_before_the_commit() -> None:
    disk = Disk()
    writer = GroupWriter(disk.commit)
    asked = asyncio.create_task(writer.append([entry(1)]))
    done, _ = await asyncio.wait([asked], timeout=0.05)
    assert not done
    disk.free.set()
    await asked
    writer.close()


async def test_a_failed_commit_fails_every_request_in_it_and_the_next_may_succeed() -> None:
    disk = Disk()
    disk.error = FullError("full")
    disk.free.set()
    writer = GroupWriter(disk.commit)
    with pytest.raises(FullError, match="full"):
        await writer.append([entry(1)])
    disk.error = None
    await writer.append([entry(1)])
    writer.close()


async def test_closing_commits_what_waits_and_accepts_nothing_more() -> None:
    disk = Disk()
    writer = GroupWriter(disk.commit)
    asked = [asyncio.create_task(writer.append([entry(number)])) for number in range(3)]
    await asyncio.sleep(0)
    disk.free.set()
    await asyncio.to_thread(writer.close)
    await asyncio.gather(*asked)
    with pytest.raises(StoreFailedError, match="being closed"):
        await writer.append([entry(4)])


async def test_a_client_that_left_is_recorded_and_disturbs_nobody() -> None:
    disk = Disk()
    writer = GroupWriter(disk.commit)
    left = asyncio.create_task(writer.append([entry("left")]))
    stays = asyncio.create_task(writer.append([entry("stays")]))
    await asyncio.sleep(0)
    left.cancel()
    disk.free.set()
    await stays
    assert sorted(key for group in disk.groups for key in group) == ["left", "stays"]
    writer.close()
