"""The ledger's figures, side by side in one run; `docs/benchmarks/ledger.{json,md}` are written by it.

Appends: 16 writers over keep-alive HTTP, each waiting for its answer before it sends the next; the records service
and plain SQLite inserts behind the same web server take turns on the same disk. Seconds a turn: ONESEEK_BENCH_SECONDS.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from oneseek_core.ledger import first_block, next_block, verify_chain
from oneseek_core.ledger_entries import query_content
from oneseek_core.merkle import Tree, leaf_hash, verify_inclusion
from oneseek_core.roles import Role
from oneseek_runtime.records.chain import load
from support.access import TOKENS
from support.asgi import REPOSITORY, free_port, wait_for_port
from support.ledgers import AT, checkpoint, transition
from support.records import Place

WRITERS = 16
ROUNDS = 5
SECONDS = float(os.environ.get("ONESEEK_BENCH_SECONDS", "3"))
ENTRIES = 1_000_000
CHAIN = 100_000
RESULTS = REPOSITORY / "docs" / "benchmarks"


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Any]]:
    """Filled by the tests, written at the end."""
    found: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Linux {platform.release().split('-')[0]}",
        "loadBefore": round(os.getloadavg()[0], 1),
        "versions": {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version},
    }
    yield found
    if not {"appends", "proofs", "verification"} <= found.keys():
        return  # a part of the bench alone leaves the page as it is
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "ledger.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    (RESULTS / "ledger.md").write_text(_page(found))


def _page(found: dict[str, Any]) -> str:
    lines = [
        "# Ledger: figures",
        "",
        (
            f"{found['date']}; {found['machine']}, load {found['loadBefore']} before the run; Python {found['versions']['python']}, "
            f"SQLite {found['versions']['sqlite']}. Made by `make bench` (`tests/bench/test_ledger_bench.py`)."
        ),
        "",
        "| what | measured | target |",
        "|---|---|---|",
    ]
    if appends := found.get("appends"):
        lines += [
            (
                f"| durable appends/s, {WRITERS} writers (median of {appends['rounds']} rounds) | "
                f"{appends['records']['median']:.0f} | |"
            ),
            f"| plain SQLite WAL FULL inserts/s, same transport | {appends['plain']['median']:.0f} | |",
            f"| ratio (median of the rounds' ratios) | {appends['ratioToPlain']:.2f} | ≥ 0.5 |",
            f"| ratio to inserts that share commits too (no chain, no tree) | {appends['ratioToGrouped']:.2f} | |",
            (
                f"| append, send to durable answer: p50 / p99 in ms | "
                f"{appends['records']['p50ms']:.2f} / {appends['records']['p99ms']:.2f} | |"
            ),
            f"| one commit with fdatasync on this disk, ms | {appends['commitMs']:.3f} | |",
        ]
    if proofs := found.get("proofs"):
        lines += [
            (
                f"| inclusion proof at {proofs['entries']:,} entries: median / p99 / worst in ms | "
                f"{proofs['medianMs']:.3f} / {proofs['p99Ms']:.3f} / {proofs['worstMs']:.3f} | ≤ 1 (median, p99) |"
            )
        ]
    if rates := found.get("verification"):
        lines += [
            (
                f"| full verification, chain and tree, entries/s by the wall clock (median of {rates['rounds']}) | "
                f"{rates['chainAndTree']:,.0f} | ≥ 100,000 |"
            ),
            f"| the same by one core's time | {rates['chainAndTreePerCpuSecond']:,.0f} | |",
            f"| the chain alone, entries/s | {rates['chain']:,.0f} | |",
        ]
    return "\n".join(lines) + "\n"


@contextmanager
def plain(folder: Path, mode: str) -> Iterator[int]:
    """The rival as a process; yields its port."""
    folder.mkdir()
    port, log = free_port(), folder / "log"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["core", "runtime"])}
    command = [sys.executable, "tests/support/plain_inserts.py", str(port), str(folder), mode]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for_port(process, port, log, within=30)
        yield port
    finally:
        process.kill()
        process.wait()


async def _writer(port: int, name: str, until: float) -> list[float]:
    """Seconds each append took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = json.dumps({"transitions": [transition("KEY-0000000000").to_wire()]}).encode()
    head = (
        f"POST /v1/transitions HTTP/1.1\r\nHost: records\r\nAuthorization: Bearer {TOKENS[Role.OPERATOR]}\r\n"
        f"Content-Type: application/json\r\nContent-Length: "
    ).encode()
    took = []
    number = 0
    while (start := time.perf_counter()) < until:
        sent = body.replace(b"KEY-0000000000", f"{name}-{number}".encode())
        writer.write(head + str(len(sent)).encode() + b"\r\n\r\n" + sent)
        answer = await reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        length = int(answer.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        took.append(time.perf_counter() - start)
        number += 1
    writer.close()
    return took


def _drive(port: int, tag: str) -> list[float]:
    async def all_writers() -> list[float]:
        until = time.perf_counter() + SECONDS
        told = await asyncio.gather(*(_writer(port, f"{tag}-{writer}", until) for writer in range(WRITERS)))
        return [one for took in told for one in took]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(all_writers())


def _commit_milliseconds(folder: Path) -> float:
    """The disk's own speed: one small durable commit, without anything around it."""
    connection = sqlite3.connect(folder / "probe.sqlite3", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE probe (body BLOB)")
    took = []
    for _ in range(200):
        start = time.perf_counter()
        connection.execute("INSERT INTO probe VALUES (?)", (b"x" * 500,))
        took.append(time.perf_counter() - start)
    connection.close()
    return statistics.median(took) * 1000


def test_durable_appends_with_16_writers(tmp_path: Path, results: dict[str, Any]) -> None:
    place = Place.make(tmp_path)
    rates: dict[str, list[float]] = {"records": [], "plain": [], "grouped": []}
    delays: dict[str, list[float]] = {name: [] for name in rates}
    with place.service(), plain(tmp_path / "plain", "plain") as one, plain(tmp_path / "grouped", "grouped") as two:
        ports = {"records": place.port, "plain": one, "grouped": two}
        for round_ in range(-1, ROUNDS):  # the first round only warms up
            order = list(ports) if round_ % 2 else list(ports)[::-1]
            for name in order:
                took = _drive(ports[name], f"{name}{round_}")
                if round_ >= 0:
                    rates[name].append(len(took) / SECONDS)
                    delays[name] += took
        stats = place.client().call("GET", "/v1/stats")
        assert place.client().call("GET", "/v1/verify")["valid"] is True
    found: dict[str, Any] = {"rounds": ROUNDS, "secondsATurn": SECONDS, "commitMs": _commit_milliseconds(tmp_path)}
    for name, each in rates.items():
        cuts = statistics.quantiles(delays[name], n=100)
        found[name] = {
            "perSecond": each, "median": statistics.median(each), "p50ms": cuts[49] * 1000, "p99ms": cuts[98] * 1000,
        }  # fmt: skip
    for rival in ("plain", "grouped"):
        ratios = [ours / theirs for ours, theirs in zip(rates["records"], rates[rival], strict=True)]
        found[f"ratioTo{rival.title()}"] = statistics.median(ratios)
    found["entriesACommit"] = (stats["totalBlocks"] - 1) / stats["commits"]
    results["appends"] = found
    assert found["ratioToPlain"] >= 0.5


def test_inclusion_proofs_at_a_million_entries(results: dict[str, Any]) -> None:
    tree = Tree()
    for number in range(ENTRIES):
        tree.append(b"%d" % number)
    dice = random.Random(1)  # noqa: S311 - which entries are asked for
    took = []
    for _ in range(2000):
        number = dice.randrange(ENTRIES)
        start = time.perf_counter()
        path = tree.inclusion(number)
        took.append((time.perf_counter() - start) * 1000)
        assert verify_inclusion(leaf_hash(b"%d" % number), number, ENTRIES, path, tree.root())
    cuts = statistics.quantiles(took, n=100)
    found = {"entries": ENTRIES, "medianMs": statistics.median(took), "p99Ms": cuts[98], "worstMs": max(took)}
    results["proofs"] = found
    assert found["p99Ms"] <= 1


def test_full_verification(results: dict[str, Any]) -> None:
    blocks = [first_block("bench", AT)]
    version = "OneSeek-7B-Zero.v1.492.sv.dsCivicID-SwedID.8f3a1c9d.2e7f4b1a"
    for number in range(1, CHAIN):
        if number % 10:
            content = query_content(f"9b2c7a52-8f3d-4f0e-9d51-{number:012d}", "Vem är du, och vem gjorde dig?", version)
            blocks.append(next_block(blocks[-1], kind="query", content=content, at=AT))
        else:
            entry = transition(f"key-{number}")
            blocks.append(next_block(blocks[-1], kind=entry.type, content=entry.content(), at=AT))
    lines = [block.line for block in blocks]
    saved = [checkpoint(blocks, CHAIN)]
    del blocks
    both, chain_alone, core = [], [], []
    for _ in range(ROUNDS):
        start, busy = time.perf_counter(), time.process_time()
        assert load(lines, saved)[1].ok
        both.append(CHAIN / (time.perf_counter() - start))
        core.append(CHAIN / (time.process_time() - busy))
        start = time.perf_counter()
        assert verify_chain(lines).ok
        chain_alone.append(CHAIN / (time.perf_counter() - start))
    found = {
        "rounds": ROUNDS, "entries": CHAIN, "chainAndTree": statistics.median(both),
        "chainAndTreePerCpuSecond": statistics.median(core), "chain": statistics.median(chain_alone),
    }  # fmt: skip
    results["verification"] = found
    # One thread that never waits: what other processes take from it is in the wall clock, but not our speed.
    assert found["chainAndTreePerCpuSecond"] >= 100_000
