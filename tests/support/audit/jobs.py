"""What a Job's process says of a Secret that it was given as a hub's token."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from oneseek_core import names
from support import hub
from support.artifacts import RUN, SPEC_DIGEST
from support.asgi import REPOSITORY
from support.audit.attempts import RefusedError
from support.certified import shared_keys


async def make(folder: Path, attempt: Callable[[str, Coroutine[Any, Any, str]], Coroutine[Any, Any, None]]) -> None:
    await attempt("error-text", error_text(folder))


async def error_text(folder: Path) -> str:
    """A TrainingRun whose dataset names MODEL-signing-keys/signing.key as its `tokenSecret`."""
    key = (shared_keys().private / "signing.key").read_text()
    (folder / "claim" / ".staging").mkdir(parents=True)
    source = {"huggingFace": {"repo": "owner/rows", "file": "rows.jsonl", "tokenSecret": {"name": "any"}}}
    asked = {
        "run": RUN,
        "specDigest": SPEC_DIGEST,
        "modelsRoot": str(folder / "claim"),
        "datasets": [{"dataset": {"name": "rows", "source": source}}],
        "language": "auto",
    }
    (folder / "hub" / "datasets" / "owner" / "rows").mkdir(parents=True)
    with hub.running(folder / "hub") as server:
        message = _prepare(folder, asked, server.endpoint, key)
    recovered = message.replace("\\n", "\n")
    if key.strip() in recovered:
        return f"the whole key stands in the run's error: {message.partition('-----')[0]}…"
    if any(line in recovered for line in key.splitlines()[1:-1]):
        return "a part of the key stands in the run's error"
    raise RefusedError(message)


def _prepare(folder: Path, asked: object, endpoint: str, token: str) -> str:
    """The termination message of a prepare Job's process, which becomes the run's condition and Event."""
    subprocess.run(
        [sys.executable, "-m", "oneseek_runtime", "prepare"],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPOSITORY}/core:{REPOSITORY}/runtime",
            "ONESEEK_TERMINATION_PATH": str(folder / "termination"),
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(folder / "hf"),
            "HF_TOKEN": token,
            names.REQUEST_ENV: json.dumps(asked),
        },
        capture_output=True,
        check=False,
        timeout=120,
    )
    return str(json.loads((folder / "termination").read_text())["message"])
