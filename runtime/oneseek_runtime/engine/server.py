"""[I/O] The engine's process: check, load, warm up, and only then open the port.

So a probe on `/health` has one meaning: this engine has generated a token with what the settings ask for.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from oneseek_core import names
from oneseek_core.jobs.messages import failure_message
from oneseek_core.names import ExitCode
from oneseek_runtime.engine.checks import adapter_folder, base_folder
from oneseek_runtime.engine.errors import EngineStartError
from oneseek_runtime.engine.settings import EngineSettings

__all__ = ["run"]

_TERMINATION_ENV = "ONESEEK_TERMINATION_PATH"  # for tests: where the message goes instead of names.TERMINATION_PATH


def run(environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM; requests in flight finish.

    What cannot be served ends the process with a sentence (log and termination message) and a non-zero code.
    """
    # A container's first process ignores SIGTERM where it has no handler, and loading takes seconds.
    signal.signal(signal.SIGTERM, _stop)
    try:
        settings = EngineSettings.from_environment(environment)
        base, adapter = base_folder(settings.serving), adapter_folder(settings.serving)
        # torch and transformers take ten seconds of CPU time to import: a wrong folder is refused before that. A tenth
        # of it is the collector's, which looks again and again at a million objects that all stay.
        gc.disable()
        # Read when torch's OpenMP is loaded. Its threads else wait for one another by spinning: on two cores shared with
        # other busy processes a token then took over a second, and a tenth of that with threads that sleep.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        serving = importlib.import_module("oneseek_runtime.engine.serving")
        serving.serve(settings, base, adapter)
    except EngineStartError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the log is where people look first
        _leave(str(error), Path(environment.get(_TERMINATION_ENV, names.TERMINATION_PATH)))
        sys.exit(int(error.exit_code))


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(int(ExitCode.OK))


def _leave(sentence: str, path: Path) -> None:
    """The termination message; outside of a pod there is no place for it."""
    if path.parent.is_dir():
        path.write_text(failure_message(names.ENGINE_FAILED, sentence), encoding="utf-8")
