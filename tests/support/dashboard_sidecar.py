"""The sidecar's own process, whose API server is where a test says: a pod finds it at a fixed place that tests cannot write.

python -m support.dashboard_sidecar     # with ONESEEK_TEST_KUBE (URL) and ONESEEK_TEST_ACCESS (folder of the token)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from oneseek_runtime.sidecar import server
from oneseek_runtime.sidecar.cluster.client import KubeClient


def _there(session: aiohttp.ClientSession, environment: Mapping[str, str], *, namespace: str, model: str) -> KubeClient:
    access = Path(environment["ONESEEK_TEST_ACCESS"])
    return KubeClient(session, environment["ONESEEK_TEST_KUBE"], namespace=namespace, model=model, access=access)


if __name__ == "__main__":
    KubeClient.in_pod = _there  # type: ignore[method-assign, assignment]
    server.run(os.environ)
