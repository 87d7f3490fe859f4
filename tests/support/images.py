"""Full references of the images that the launcher built."""

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
    command = [sys.executable, "-m", "oneseek_dev", "--name", NAME, "images", "--print"]
    env = os.environ | {"PYTHONPATH": str(ROOT / "dev")}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found
