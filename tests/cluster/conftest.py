"""The test cluster with the operator installed by its chart, and a namespace per test module."""

from __future__ import annotations

import subprocess
import sys
import os
from collections.abc import Iterator

import pytest

from support.images import images
from support.kube import NAME, ROOT, Kube, scratch_namespace

HUB = "http://hub.oneseek-hub.svc.cluster.local:8000"


@pytest.fixture(scope="session", autouse=True)
def operator() -> None:
    """The operator of this checkout, installed as users install it."""
    images()
    command = [sys.executable, "-m", "oneseek_dev.install", "--name", NAME, "--set", f"huggingFace.endpoint={HUB}"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "dev")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def kube(request: pytest.FixtureRequest) -> Iterator[Kube]:
    """A namespace of its own for a module's tests."""
    prefix = request.module.__name__.rsplit(".", 1)[-1].removeprefix("test_").replace("_", "-")[:30]
    with scratch_namespace(prefix) as kube:
        yield kube
