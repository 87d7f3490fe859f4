"""Waiting for a condition, with a deadline, and with an eye on the programs that must bring it about."""

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any

from oneseek_dev.errors import DevError
from oneseek_dev.layout import API_PORT, Cluster
from oneseek_dev.processes import Daemon

_PAUSE = 0.03


def wait_until(
    condition: Callable[[], bool], what: str, *, within: float = 300.0, alive: Iterable[Daemon] = ()
) -> None:
    """Return when the condition holds; raises DevError as soon as a needed program ended, or at the deadline.

    The deadline is for what hangs: on a machine with other work all of this takes its time.
    """
    deadline = time.monotonic() + within
    watched = list(alive)
    while not condition():
        for daemon in watched:
            daemon.assert_alive()
        if time.monotonic() > deadline:
            logs = ", ".join(str(daemon.log) for daemon in watched)
            raise DevError(f"Waited {within:.0f} s in vain for {what}. The logs are in {logs or 'the state folder'}.")
        time.sleep(_PAUSE)


def port_answers(address: str) -> bool:
    """Whether something listens at host:port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=1):
            return True
    except OSError:
        return False


def connection(cluster: Cluster, *, timeout: float = 10.0) -> http.client.HTTPSConnection:
    """A connection to the API server as its administrator."""
    context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
    context.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")
    return http.client.HTTPSConnection(cluster.node_ip, API_PORT, context=context, timeout=timeout)


def call(cluster: Cluster, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
    """One request to the API server; returns its status and what it answered (0 if nobody answered)."""
    link = connection(cluster)
    try:
        payload = None if body is None else json.dumps(body)
        link.request(method, path, payload, {"Content-Type": kind, "Accept": "application/json"})
        answer = link.getresponse()
        text = answer.read()
    except OSError:
        return 0, None
    except http.client.HTTPException:
        return 0, None
    finally:
        link.close()
    try:
        return answer.status, json.loads(text)
    except ValueError:
        return answer.status, text.decode(errors="replace")


def node_is_ready(cluster: Cluster) -> bool:
    """Whether the node says that it can run pods."""
    status, node = call(cluster, "GET", f"/api/v1/nodes/{cluster.node_name}")
    if status != 200:
        return False
    return any(item["type"] == "Ready" and item["status"] == "True" for item in node["status"].get("conditions", []))
