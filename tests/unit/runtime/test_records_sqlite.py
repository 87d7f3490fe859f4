from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from oneseek_core.audit import audit
from oneseek_core.checkpoint import parse_note
from oneseek_runtime.records.errors import (
    BadRequestError,
    IdempotencyConflictError,
    LockedError,
    StoreFailedError,
    UnsuitableVolumeError,
)
from oneseek_runtime.records.lock import filesystem_magic, hold_lock, refuse_network_volume
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.records.sqlite import SqliteStore
from oneseek_runtime.records.store import Entry


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path, Signer("oneseek.io/team/demo"))
    yield opened
    opened.close()


def entry(key: str, value: object = 1) -> Entry:
    return Entry(f"t:{key}", "train", {"value": value})


async def test_a_refused_request_leaves_the_others_of_its_group_untouched(store: SqliteStore) -> None:
    await store.append([entry("a")])
    told = await asyncio.gather(
        store.append([entry("b"), entry("c")]),
        store.append([entry("d"), entry("a", 2)]),
        store.append([entry("e"), entry("f", 0.5)]),
        store.append([entry("g"), entry("b")]),
        return_exceptions=True,
    )
    assert isinstance(told[1], IdempotencyConflictError)
    assert isinstance(told[2], BadRequestError)
    lines = await store.blocks(0, 100)
    assert len(lines) == store.head.size == 5
    assert audit(lines, [parse_note(store.head.note)[0]], own=parse_note(store.head.note)[0]).ok
    assert store.statistics()["kinds"] == {"genesis": 1, "train": 4}
    # Keys of refused requests are free.
    receipts, _ = await store.append([entry("d"), entry("f")])
    assert all(receipt.appended for receipt in receipts)
    assert (await store.verify()).ok


async def test_one_checkpoint_of_each_span_is_kept_and_all_of_them_hold(store: SqliteStore) -> None:
    for start in range(0, 2600, 100):
        await store.append([entry(str(start + number)) for number in range(100)])
    sizes = [parse_note(note)[0].size for note in await store.checkpoints()]
    assert sizes == [1001, 2001, 2601]
    assert (await store.verify()).ok


async def test_proofs_are_only_about_what_is_durable(store: SqliteStore) -> None:
    await store.append([entry("a")])
    for ask in (lambda: store.inclusion(0, 3), lambda: store.inclusion(2, 2), lambda: store.consistency(1, 3)):
        with pytest.raises(ValueError, match=r"not 3|no entry 2"):
            ask()


async def test_queries_of_the_first_file_format_are_listed_as_before(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path, Signer("oneseek.io/team/demo"))
    await store.append([entry("a")])
    store.close()
    with closing(sqlite3.connect(tmp_path / "records.sqlite3")) as connection:
        connection.executescript("""
            DROP TABLE documents;
            CREATE TABLE documents (number INTEGER PRIMARY KEY REFERENCES blocks, document TEXT NOT NULL);
            INSERT INTO documents VALUES (1, '{"query":{"queryId":"q1","question":"ö?"},"provenance":{"queryId":"q1"}}');
            INSERT INTO documents VALUES (2, '{"query":{"queryId":"q2"},"provenance":null}');
            PRAGMA user_version = 1;
        """)
    for _ in range(2):
        store = SqliteStore.open(tmp_path, Signer("oneseek.io/team/demo"))
        assert [one.id for one in await store.documents("oqt_queries", 9)] == ["q2", "q1"]
        assert json.loads((await store.documents("oqt_queries", 9))[1].text) == {"queryId": "q1", "question": "ö?"}
        assert [one.text for one in await store.documents("oqt_provenance", 9)] == ['{"queryId":"q1"}']
        store.close()


def test_the_lock_is_taken_before_the_file_is_opened(tmp_path: Path) -> None:
    handle = hold_lock(tmp_path, wait=0)
    with pytest.raises(LockedError, match="in use by process"):
        SqliteStore.open(tmp_path, Signer("x"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["records.lock"]
    assert handle > 0


@pytest.mark.parametrize(("magic", "name"), [(0x6969, "NFS"), (0xFF534D42, "CIFS"), (0xFE534D42, "SMB")])
def test_a_network_volume_is_refused_with_a_way_out(tmp_path: Path, magic: int, name: str) -> None:
    with pytest.raises(UnsuitableVolumeError, match=f"is on {name}, where .* use a block volume"):
        refuse_network_volume(tmp_path, lambda _: magic)


def test_local_volumes_are_told_by_their_magic(tmp_path: Path) -> None:
    assert filesystem_magic(Path("/proc")) == 0x9FA0
    refuse_network_volume(tmp_path)
    with pytest.raises(FileNotFoundError):
        filesystem_magic(tmp_path / "nowhere")


def test_every_commit_waits_for_the_disk(store: SqliteStore) -> None:
    connection = store._connection
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        store._reader.execute("DELETE FROM blocks")


async def test_a_block_that_is_changed_while_we_run_ends_appending(store: SqliteStore, tmp_path: Path) -> None:
    await store.append([entry("a"), entry("b")])
    with closing(sqlite3.connect(tmp_path / "records.sqlite3", isolation_level=None)) as other:
        other.execute("DROP TRIGGER blocks_are_never_changed")
        other.execute("UPDATE blocks SET line = replace(line, 'train', 'reset') WHERE number = 1")
    verdict = await store.verify()
    assert [(one.reason, one.first) for one in verdict.defects] == [("Hash mismatch", 1)]
    with pytest.raises(StoreFailedError, match="'t:a' was changed on the volume"):
        await store.append([entry("a")])
    assert store.failure is not None
    with pytest.raises(StoreFailedError):
        await store.append([entry("c")])
    assert store.head.size == 3
