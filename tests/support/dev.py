"""The launcher, as tests use it: the URL of a Service, and programs inside the cluster's network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.kube import NAME, ROOT

_ENV = os.environ | {"PYTHONPATH": str(ROOT / "dev")}
_DEV = [sys.executable, "-m", "oneseek_dev", "--name", NAME]


def url_of(namespace: str, service: str) -> str:
    """Where this machine reaches a NodePort Service."""
    done = subprocess.run(
        [*_DEV, "url", f"{namespace}/{service}"],
        cwd=ROOT,
        env=_ENV,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return done.stdout.strip()


def ask(url: str, question: str, **options: Any) -> dict[str, Any]:
    """One question over the legacy API."""
    body = json.dumps({"question": question, "options": options}).encode()
    request = urllib.request.Request(f"{url}/api/oqt/query", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, Any] = json.load(response)
        answer["header"] = response.headers.get("X-OneSeek-DNA", "")
    return answer


def read(url: str, path: str) -> dict[str, Any]:
    """One GET."""
    with urllib.request.urlopen(url + path, timeout=60) as response:
        found: dict[str, Any] = json.load(response)
    return found


def proxy_pid() -> int:
    """The process of the test cluster's kube-proxy."""
    sys.path.insert(0, str(ROOT / "dev"))
    from oneseek_dev.layout import Cluster  # noqa: PLC0415 - the launcher's package is on the path only here
    from oneseek_dev.processes import Daemon  # noqa: PLC0415

    pid = Daemon("kube-proxy", Cluster(ROOT, NAME).state).pid()
    assert pid, "kube-proxy does not run: these tests need the embedded cluster"
    return pid


@contextmanager
def frozen_proxy() -> Iterator[None]:
    """The node's proxy hears of nothing for as long as the block runs."""
    pid = proxy_pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


class Load:
    """A running load; its result once it is stopped."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}


@contextmanager
def load(url: str, folder: Path, *, rate: float, body: str = "", path: str = "/api/oqt/query") -> Iterator[Load]:
    """Requests against a Service from inside the cluster's network, for as long as the block runs."""
    stop = folder / "stop"
    command = [*_DEV, "exec", "--", sys.executable, str(ROOT / "tests/support/load.py"), "--url", url + path]
    command += ["--rate", str(rate), "--until", str(stop), "--body", body]
    process = subprocess.Popen(command, cwd=ROOT, env=_ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    running = Load()
    try:
        yield running
    finally:
        stop.touch()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    running.result = json.loads(out)
