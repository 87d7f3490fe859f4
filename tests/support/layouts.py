"""Image layouts into and out of the test cluster's registry, by the launcher's own tools."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.kube import ROOT

_ENV = os.environ | {"PYTHONPATH": str(ROOT / "dev")}


def base_layout(folder: Path) -> Path:
    """The image that ours are built on, as a layout: small, and it has a `cp`."""
    _launcher("build.save_layout(base.image(), Path(sys.argv[1]))", str(folder))
    return folder


def push_layout(folder: Path, name: str, tag: str) -> str:
    """Push a layout; the reference under which pods find it."""
    said = _launcher(
        "build.push_layout(Path(sys.argv[1]), *sys.argv[2:]); print(f'{REGISTRY_NAME}/oneseek/{sys.argv[2]}:{sys.argv[3]}')",
        str(folder), name, tag,
    )  # fmt: skip
    return said.splitlines()[-1].strip()


def _launcher(statement: str, *arguments: str) -> str:
    program = f"import sys; from pathlib import Path; from oneseek_dev import base, build; from oneseek_dev.layout import REGISTRY_NAME; {statement}"
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=_ENV, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
