"""Images have bytecode of what their processes import: the lists in requirements/*.imports lead to all of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from oneseek_dev.layout import checkout

_RUNTIME = "oneseek_runtime"
ENTRIES = {
    "operator": ["oneseek_operator.__main__"],
    "slim": [
        f"{_RUNTIME}.{name}"
        for name in (
            "prepare.job",
            "certify.job",
            "verify.job",
            "verify.watch",
            "imports.job",
            "tree.job",
            "sidecar.server",
            "records.server",
        )
    ],
    "runtime": [
        f"{_RUNTIME}.{name}"
        for name in ("engine.basecheck.job", "engine.basecheck.check", "train.job", "evaluate.job", "engine.serving")
    ],
    "firestore": [f"{_RUNTIME}.records.{name}" for name in ("server", "firestore.connection", "firestore.windows")],
}
PROGRAM = """
import importlib, json, sys
listed, entries = map(json.loads, sys.argv[1:])
def packages():
    found = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items())}
    return {name for name, file in found.items() if "site-packages" in file and file.endswith(".py")}
for name in listed:
    importlib.import_module(name)
before = packages()
for name in entries:
    importlib.import_module(name)
print(json.dumps(sorted(packages() - before)))
"""


@pytest.mark.parametrize("image", sorted(ENTRIES))
def test_what_an_images_processes_import_has_bytecode(image: str) -> None:
    listed = (checkout() / "requirements" / f"{image}.imports").read_text().split()
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, json.dumps(listed), json.dumps(ENTRIES[image])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
