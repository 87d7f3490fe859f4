"""Full references of the images that the test cluster's operator was installed with."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys

from support.kube import NAME, ROOT


@functools.cache
def images() -> dict[str, str]:
    """Image name -> reference."""
    recorded = ROOT / ".local" / NAME / "images.json"
    assert recorded.exists(), "the operator is not installed: run `make cluster-test`, which installs it"
    found: dict[str, str] = json.loads(recorded.read_text())
    return found


@functools.cache
def built(name: str) -> str:
    """Reference of an image that only tests use, within reach of the cluster."""
    done = subprocess.run(
        [sys.executable, "-m", "oneseek_dev", "--name", NAME, "images", name],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "dev")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    reference: str = json.loads(done.stdout)[name]
    return reference
