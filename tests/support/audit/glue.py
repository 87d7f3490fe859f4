"""What has another name in commit 69e4700 than now: one import, and the way to the operator's HTTP client."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

__all__ = ["CLUSTER", "sidecar_client"]

NOW = importlib.util.find_spec("oneseek_operator.clients") is not None
CLUSTER: Any = importlib.import_module(
    "oneseek_operator.clients.kubernetes" if NOW else "oneseek_operator.cluster.client"
).Cluster


@asynccontextmanager
async def sidecar_client(ip: str, port: int) -> AsyncIterator[Any]:
    """The operator's client of sidecars; its `state(ip)` asks the pod at that address and port."""
    if NOW:
        pods = importlib.import_module("oneseek_operator.clients.pod_http")
        http = pods.PodHttpClient.connect()
        client = importlib.import_module("oneseek_operator.clients.sidecar").ModelSidecars
        try:
            yield client(http, {ip: pods.Peer(ip, port, f"at {ip}")})
        finally:
            await http.close()
    else:
        module = importlib.import_module("oneseek_operator.sidecars")
        module.Sidecars._call.__kwdefaults__["port"] = port
        async with aiohttp.ClientSession() as session:
            yield module.Sidecars(session)
