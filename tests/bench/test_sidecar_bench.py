"""The sidecar's speed beside a plain Starlette + httpx pass-through and nginx: one run, one core, the same mock engine.

`docs/benchmarks/sidecar.{json,md}` are written by it. The servers share core 0 and take turns; engine and clients have
core 1. Other work on the machine slows wall-clock figures down, so throughput is compared by what a request costs:
requests per second of the server's own CPU time, which is what a core of its own would answer. Both are written down.

`ONESEEK_BEFORE` names another checkout, of an earlier commit: its sidecar takes turns with this one, too.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from oneseek_core import names
from oneseek_core.serving.settings import ServingSettings
from support.asgi import REPOSITORY, free_port, runtime, wait_for_port

ROUNDS = 5
SECONDS = float(os.environ.get("ONESEEK_BENCH_SECONDS", "3"))
CONNECTIONS = 16
RATE = 200  # requests a second, of each kind
STREAMS = 300
RESULTS = REPOSITORY / "docs" / "benchmarks"
SUPPORT = REPOSITORY / "tests" / "support"
PLAIN = b'{"model":"base","messages":[{"role":"user","content":"Vem \xc3\xa4r du?"}],"max_tokens":16}'
STREAMED = PLAIN[:-1] + b',"stream":true}'
TICKS = os.sysconf("SC_CLK_TCK")
BEFORE = os.environ.get("ONESEEK_BEFORE")

NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 10000000;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 64; keepalive_requests 10000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }}
  }}
}}
"""


@dataclass(frozen=True)
class Server:
    """Something that answers, and what it has cost so far."""

    name: str
    port: int
    pid: int

    def cpu(self) -> float:
        """CPU seconds of the process and its children."""
        children = subprocess.run(["pgrep", "-P", str(self.pid)], capture_output=True, text=True, check=False).stdout
        total = 0
        for pid in (self.pid, *map(int, children.split())):
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS


@contextmanager
def process(command: list[str], core: int, port: int, log: Path) -> Iterator[int]:
    with (
        log.open("wb") as output,
        subprocess.Popen(["taskset", "-c", str(core), *command], stdout=output, stderr=output) as it,
    ):
        try:
            wait_for_port(it, port, log, within=30)
            yield it.pid
        finally:
            it.terminate()


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """All of them, running."""
    folder = tmp_path_factory.mktemp("bench")
    ports = {name: free_port() for name in ("engine", "plain", "nginx", "sidecar", "before")}
    before = os.sched_getaffinity(0)
    with ExitStack() as stack:
        made: dict[str, Server] = {}

        def start(name: str, command: list[str], core: int) -> None:
            pid = stack.enter_context(process(command, core, ports[name], folder / f"{name}.log"))
            made[name] = Server(name, ports[name], pid)

        start("engine", [sys.executable, str(SUPPORT / "bench_engine.py"), str(ports["engine"])], 1)
        start("plain", [sys.executable, str(SUPPORT / "plain_proxy.py"), str(ports["plain"]), str(ports["engine"])], 0)
        if nginx := shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin"):
            (folder / "nginx.conf").write_text(NGINX.format(folder=folder, engine=ports["engine"], port=ports["nginx"]))
            start("nginx", [nginx, "-c", str(folder / "nginx.conf")], 0)
        told = ServingSettings(
            model="demo",
            namespace="team",
            family="OneSeek-7B-Zero",
            base_name="base",
            base_path="/x",
            engine_url=f"http://127.0.0.1:{ports['engine']}",
        )
        for name, checkout in {"sidecar": REPOSITORY, **({"before": Path(BEFORE)} if BEFORE else {})}.items():
            log = folder / f"{name}.log"
            environment = {
                names.SERVING_ENV: told.model_dump_json(by_alias=True),
                "ONESEEK_PORT_PUBLIC": str(ports[name]),
                "ONESEEK_PORT_INTERNAL": str(free_port()),
            }
            sidecar = stack.enter_context(runtime("sidecar", environment, log, of=checkout))
            os.sched_setaffinity(sidecar.pid, {0})
            wait_for_port(sidecar, ports[name], log, within=30)
            made[name] = Server(name, ports[name], sidecar.pid)
        os.sched_setaffinity(0, {1})
        try:
            yield made
        finally:
            os.sched_setaffinity(0, before)


class Client:
    """One kept-alive connection."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        return self

    async def ask(self, body: bytes) -> AsyncIterator[bytes]:
        """The pieces of the answer's body."""
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        self.writer.write(head % len(body) + body)
        answer = (await self.reader.readuntil(b"\r\n\r\n")).lower()
        assert answer.startswith(b"http/1.1 200"), answer
        if b"content-length:" in answer:
            yield await self.reader.readexactly(int(answer.split(b"content-length:")[1].split(b"\r\n")[0]))
            return
        while size := int(await self.reader.readline(), 16):
            yield (await self.reader.readexactly(size + 2))[:-2]
        await self.reader.readline()

    async def whole(self, body: bytes) -> bytes:
        return b"".join([piece async for piece in self.ask(body)])

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()


def in_loop(work: Callable[[], Any]) -> Any:
    """Run a coroutine on uvloop: the client must not be the slow one."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work())


async def throughput(server: Server) -> tuple[float, float]:
    """Requests a second by the clock and by the server's CPU time, with all connections always busy."""
    clients = [await Client(server.port).open() for _ in range(CONNECTIONS)]
    counted = 0
    stop = time.monotonic() + SECONDS

    async def loop(client: Client) -> None:
        nonlocal counted
        while time.monotonic() < stop:
            await client.whole(PLAIN)
            counted += 1

    cpu, started = server.cpu(), time.monotonic()
    async with asyncio.timeout(SECONDS + 30), asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(loop(client))
    seconds, spent = time.monotonic() - started, server.cpu() - cpu
    for client in clients:
        await client.close()
    return counted / seconds, counted / spent


async def latencies(direct: Server, through: Server) -> dict[str, list[float]]:
    """Milliseconds at RATE a second each, open loop, the two kinds taking turns on the same clock."""
    found: dict[str, list[float]] = {direct.name: [], through.name: []}
    free = {server.name: [await Client(server.port).open() for _ in range(CONNECTIONS)] for server in (direct, through)}

    async def one(name: str) -> None:
        due = time.perf_counter()
        client = free[name].pop()
        await client.whole(PLAIN)
        found[name].append((time.perf_counter() - due) * 1000)
        free[name].append(client)

    tasks: set[asyncio.Task[None]] = set()
    started, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - started) < SECONDS:
        while count < passed * RATE * 2:
            name = (direct.name, through.name)[count % 2]
            if free[name]:
                tasks.add(asyncio.create_task(one(name)))
            count += 1
        await asyncio.sleep(0.0005)
    async with asyncio.timeout(30):
        await asyncio.gather(*tasks)
    for clients in free.values():
        for client in clients:
            await client.close()
    return found


async def first_chunks(direct: Server, through: Server) -> dict[str, list[float]]:
    """Milliseconds to the first piece of a stream, the two kinds taking turns."""
    found: dict[str, list[float]] = {direct.name: [], through.name: []}
    clients = {server.name: await Client(server.port).open() for server in (direct, through)}
    for number in range(STREAMS * 2):
        name = (direct.name, through.name)[number % 2]
        started, first = time.perf_counter(), 0.0
        async for _ in clients[name].ask(STREAMED):
            first = first or (time.perf_counter() - started) * 1000
        found[name].append(first)
    for client in clients.values():
        await client.close()
    return found


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[round(share * 1000) - 1]


@pytest.fixture(scope="module")
def results() -> Iterator[dict[str, Any]]:
    """Filled by the tests, written at the end."""
    found: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Linux {platform.release().split('-')[0]}",
        "loadBefore": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
    }
    yield found
    if {"throughput", "latency", "firstChunk"} <= found.keys():
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "sidecar.json").write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
        (RESULTS / "sidecar.md").write_text(_page(found))


def _page(found: dict[str, Any]) -> str:
    speed, late, first = found["throughput"], found["latency"], found["firstChunk"]
    rows = [
        f"| {name} | {values['perSecond']:,.0f} | {values['perCpuSecond']:,.0f} |"
        for name, values in speed.items()
        if isinstance(values, dict)
    ]
    ratios = [f"| requests/s, sidecar to Starlette + httpx | {speed['toPlain']:.1f} | ≥ 3 |"]
    if "toNginx" in speed:
        ratios.append(f"| requests/s, sidecar to nginx | {speed['toNginx']:.2f} | ≥ 0.15 |")
    if BEFORE and "toBefore" in speed:
        commit = subprocess.check_output(["git", "-C", BEFORE, "rev-parse", "--short", "HEAD"], text=True).strip()
        ratios.append(
            f"| requests per CPU second, to the sidecar of {commit}, median of pairs | {speed['toBefore']:.3f} | ≥ 0.97 |"
        )
    return "\n".join(
        [
            "# The sidecar's speed",
            "",
            (
                f"{found['date']}; {found['machine']}, load {found['loadBefore']} before the run; Python {found['python']}. Made by"
                f" `make bench` (`tests/bench/test_sidecar_bench.py`): medians of {ROUNDS} interleaved rounds, {CONNECTIONS}"
                " connections, `/v1/chat/completions`, access log on. Per CPU second is what the servers are compared by."
            ),
            "",
            "| server | requests/s | requests per CPU second |",
            "|---|---|---|",
            *rows,
            "",
            "| what | measured | target |",
            "|---|---|---|",
            *ratios,
            f"| added latency at {RATE} requests/s, p50 | {late['addedP50']:.2f} ms | ≤ 1 ms |",
            f"| added latency at {RATE} requests/s, p99 | {late['addedP99']:.2f} ms | ≤ 4 ms |",
            f"| first streamed chunk later than direct, median | {first['addedP50']:.2f} ms | ≤ 2 ms |",
            f"| first streamed chunk later than direct, p99 | {first['addedP99']:.2f} ms | |",
            "",
        ]
    )


def test_requests_a_second(servers: dict[str, Server], results: dict[str, Any]) -> None:
    compared = [servers[name] for name in ("plain", "nginx", "sidecar", "before") if name in servers]
    rounds: dict[str, list[tuple[float, float]]] = {server.name: [] for server in compared}
    for _ in range(ROUNDS):
        for server in compared:
            rounds[server.name].append(in_loop(lambda server=server: throughput(server)))
    found: dict[str, Any] = {
        name: {
            "perSecond": statistics.median(pair[0] for pair in pairs),
            "perCpuSecond": statistics.median(pair[1] for pair in pairs),
        }
        for name, pairs in rounds.items()
    }
    mine = found["sidecar"]["perCpuSecond"]
    found["toPlain"] = mine / found["plain"]["perCpuSecond"]
    if "nginx" in found:
        found["toNginx"] = mine / found["nginx"]["perCpuSecond"]
    if "before" in found:
        ratios = [now[1] / then[1] for now, then in zip(rounds["sidecar"], rounds["before"], strict=True)]
        found["toBefore"] = statistics.median(ratios)
    results["throughput"] = found
    print(json.dumps(found))
    assert found["toPlain"] >= 3
    assert found.get("toNginx", 1) >= 0.15


def test_added_latency(servers: dict[str, Server], results: dict[str, Any]) -> None:
    both: dict[str, list[float]] = {"engine": [], "sidecar": []}
    for _ in range(ROUNDS):
        for name, values in in_loop(lambda: latencies(servers["engine"], servers["sidecar"])).items():
            both[name] += values
    results["latency"] = _added(both)
    print(json.dumps(results["latency"]))
    assert results["latency"]["addedP50"] <= 1
    assert results["latency"]["addedP99"] <= 4


def test_first_streamed_chunk(servers: dict[str, Server], results: dict[str, Any]) -> None:
    both: dict[str, list[float]] = in_loop(lambda: first_chunks(servers["engine"], servers["sidecar"]))
    results["firstChunk"] = _added(both)
    print(json.dumps(results["firstChunk"]))
    assert results["firstChunk"]["addedP50"] <= 2


def _added(both: dict[str, list[float]]) -> dict[str, float]:
    at = {
        f"{name}P{share * 100:.0f}": percentile(values, share) for name, values in both.items() for share in (0.5, 0.99)
    }
    return {
        **at,
        "requests": len(both["sidecar"]),
        "addedP50": at["sidecarP50"] - at["engineP50"],
        "addedP99": at["sidecarP99"] - at["engineP99"],
    }
