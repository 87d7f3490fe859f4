"""The operator of the test cluster as the machine sees it: its process (to kill it) and its writes (the audit log)."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

from support.kube import NAME, ROOT, Kube, wait_until

_ACCOUNT = "system:serviceaccount:oneseek-system:oneseek-operator"
_WRITES = {"create", "update", "patch", "delete", "deletecollection"}


def _pod() -> dict[str, Any]:
    pods = Kube("oneseek-system").list("pods", "app.kubernetes.io/component=operator")
    alive = [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]
    assert len(alive) == 1, [pod["metadata"]["name"] for pod in alive]
    return alive[0]


def _restarts(pod: dict[str, Any]) -> int:
    return int(pod["status"]["containerStatuses"][0]["restartCount"])


def kill() -> None:
    """SIGKILL the operator's process; returns when the kubelet has seen it end."""
    pod = _pod()
    before = _restarts(pod)
    _kill_processes(pod["metadata"]["uid"])
    wait_until(lambda: _restarts(_pod()) > before, within=60, what="the kubelet notices that the operator was killed")


def replace(within: float = 120) -> None:
    """SIGKILL the operator's process and take its pod away; returns when the next pod is ready.

    A pod of its own has no crash back-off, which grows with every kill in place.
    """
    pod = _pod()
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    _kill_processes(uid)
    Kube("oneseek-system").kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false")

    def replaced() -> bool:
        for late in _processes(uid):  # the kubelet was quicker to start it again than the pod was to go
            with suppress(ProcessLookupError):
                os.kill(late, signal.SIGKILL)
        return _is_ready(but=uid)

    wait_until(replaced, within=within, what=f"an operator's pod after {name} is ready")


def _is_ready(*, but: str) -> bool:
    pods = Kube("oneseek-system").list("pods", "app.kubernetes.io/component=operator")
    statuses = [
        pod["status"].get("containerStatuses", [])
        for pod in pods
        if pod["metadata"]["uid"] != but and "deletionTimestamp" not in pod["metadata"]
    ]
    return any(found and all(item["ready"] for item in found) for found in statuses)


def _kill_processes(uid: str) -> None:
    victims = _processes(uid)
    assert victims, "no process of the operator's pod found"
    for victim in victims:
        os.kill(victim, signal.SIGKILL)


def _processes(uid: str) -> list[int]:
    """The operator's processes in a pod."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if b"oneseek_operator" in (entry / "cmdline").read_bytes() and uid in (entry / "cgroup").read_text():
                found.append(int(entry.name))
        except (OSError, ValueError):
            continue
    return found


def wait_running(within: float = 180) -> None:
    """Until the operator is ready again (the kubelet waits longer after each crash)."""
    wait_until(
        lambda: _pod()["status"]["containerStatuses"][0]["ready"], within=within, what="the operator is ready again"
    )


def writes(namespace: str, since_line: int = 0) -> list[str]:
    """The operator's writes about a namespace, from a line of the audit log on; Leases apart."""
    found = []
    with (ROOT / ".local" / NAME / "audit.log").open() as log:
        for number, line in enumerate(log):
            if number < since_line:
                continue
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # the line being written
            about = entry.get("objectRef", {})
            if entry["user"]["username"] != _ACCOUNT or entry["verb"] not in _WRITES:
                continue
            if about.get("namespace") == namespace and about.get("resource") != "leases":
                found.append(
                    f"{entry['verb']} {about.get('resource')}/{about.get('name', '')} {about.get('subresource', '')}"
                )
    return found


def audit_lines() -> int:
    """Lines in the audit log so far."""
    with (ROOT / ".local" / NAME / "audit.log").open() as log:
        return sum(1 for _ in log)
