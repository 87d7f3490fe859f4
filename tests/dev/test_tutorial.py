"""The tutorial, word for word: each of its commands runs on the local cluster, in one shell, and none fails."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from support.dev import ROOT
from support.tutorial import script, steps, where_it_ended

pytestmark = pytest.mark.prove
WITHIN = 3 * 3600  # seconds: three runs are trained, and a first `make cluster` builds a Kubernetes


@pytest.fixture(autouse=True)
def nothing_of_before() -> None:
    """What a run before left in the tutorial's namespace is gone."""
    kubeconfig = ROOT / ".local/kubeconfig"
    if kubeconfig.exists():
        words = [
            "--kubeconfig",
            str(kubeconfig),
            "delete",
            "namespace",
            "tutorial",
            "--ignore-not-found",
            "--timeout=5m",
        ]
        subprocess.run([str(ROOT / ".local/bin/kubectl"), *words], capture_output=True, timeout=360, check=False)


def test_every_command_of_the_tutorial_succeeds() -> None:
    found = steps()
    begun = time.monotonic()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "KUBECONFIG", "MFLAGS"))
    }
    done = subprocess.run(
        ["bash", "-c", script(found)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=WITHIN,
        check=False,
    )
    assert done.returncode == 0, f"at {where_it_ended(done.stdout)}: {done.stdout[-3000:]}"
    print(f"proved: the tutorial's {len(found)} blocks ran word for word in {time.monotonic() - begun:.0f} s")
