"""An attacker's hands in a pod: the agent, run by `kubectl exec` for as long as the attempts last."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support.kube import Kube
from support.tenant.attempt import Seen

__all__ = ["Hands", "hands_in"]

_AGENT = Path(__file__).with_name("agent.py").read_text()
_SECONDS = 60.0


class Hands:
    """Orders go in, what came of them comes out; bounded in time."""

    def __init__(self, process: subprocess.Popen[str], where: str) -> None:
        self._process = process
        self._where = where
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def do(self, what: str, **order: Any) -> Seen:
        """Have the agent do one thing."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"do": what, **order}) + "\n")
        self._process.stdin.flush()
        line = self._lines.get(timeout=_SECONDS)
        assert line, f"the agent in {self._where} is gone"
        found = json.loads(line)
        return Seen(found["said"], found.get("status", 0))


@contextmanager
def hands_in(kube: Kube, pod: str, container: str) -> Iterator[Hands]:
    """The agent in a container that has Python."""
    words = ["exec", "-i", pod, "-c", container, "--", "python", "-u", "-c", _AGENT]
    command = [str(kube.kubectl_path), "--kubeconfig", str(kube.kubeconfig), "-n", kube.namespace, *words]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Hands(process, f"{kube.namespace}/{pod}")
    finally:
        process.kill()
        process.communicate()
