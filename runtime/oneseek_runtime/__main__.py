"""`python -m oneseek_runtime COMMAND`, a name of JOBS or SERVERS: the border between code and pod.

A Job's function takes the environment and returns a report or raises; here that becomes the termination message and
the exit code which the operator reads. Which module a command needs is a string in a table, imported once it is
chosen. That is no way round the import rule (torch only below train/, evaluate/ and engine/): no module hides an import
of its own, and the commands live in two images, of which one has no torch to import.
"""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from oneseek_core import names, secret
from oneseek_core.api.base import ApiModel
from oneseek_core.errors import JobError
from oneseek_core.files import is_full
from oneseek_core.jobs.messages import failure_message, success_message
from oneseek_core.names import ExitCode

__all__ = ["main"]

Job = Callable[[Mapping[str, str]], ApiModel]

# Do one thing, leave a report, end.
JOBS = {
    "basemodel": "oneseek_runtime.engine.basecheck.job:run",
    "prepare": "oneseek_runtime.prepare.job:run",
    "train": "oneseek_runtime.train.job:run",
    "evaluate": "oneseek_runtime.evaluate.job:run",
    "certify": "oneseek_runtime.certify.job:run",
    "verify": "oneseek_runtime.verify.job:run",
    "import": "oneseek_runtime.imports.job:run",
    "tree": "oneseek_runtime.tree.job:run",
}
# Run until told to stop; they have probes instead of a termination message.
SERVERS = {
    "engine": "oneseek_runtime.engine.server:run",
    "sidecar": "oneseek_runtime.sidecar.server:run",
    "watch": "oneseek_runtime.verify.watch:run",
    "records": "oneseek_runtime.records.server:run",
}
TERMINATION_ENV = "ONESEEK_TERMINATION_PATH"  # for tests: where the message goes instead of names.TERMINATION_PATH


class _ToldToStopError(BaseException):
    """SIGTERM. No `Exception`: nothing that handles errors on the way up may keep the process alive."""


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run one command; the result is the process's exit code."""
    known = JOBS | SERVERS
    if len(arguments) != 1 or arguments[0] not in known:
        print(f"usage: python -m oneseek_runtime {'|'.join(known)}", file=sys.stderr)
        return ExitCode.BAD_REQUEST
    command = arguments[0]
    if command in SERVERS:
        _load(SERVERS[command])(environment)
        return ExitCode.OK
    message, code = _run_job(command, environment)
    _leave(message, Path(environment.get(TERMINATION_ENV, names.TERMINATION_PATH)))
    return code


def _run_job(command: str, environment: Mapping[str, str]) -> tuple[str, ExitCode]:
    """A job's termination message and exit code; whatever happens in it ends here."""
    # As a container's first process we would not even die of a signal that has no handler. Jobs that can do better
    # (train writes a checkpoint) put their own in its place.
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        report = _load(JOBS[command])(environment)
        return success_message(report), ExitCode.OK
    except JobError as error:
        return _failed(error)
    except secret.SecretError as error:
        return _failed(JobError(names.SECRET_INVALID, str(error), ExitCode.BAD_INPUT))
    except _ToldToStopError:
        sentence = f"the {command} Job was told to stop before it was done; it can be run again"
        return _failed(JobError(names.JOB_FAILED, sentence, ExitCode.INTERRUPTED))
    except Exception as error:  # noqa: BLE001 - the border: every error must become a message and an exit code
        if full := _full_volume(error):
            return _failed(JobError.storage_full(f"the {command} Job's files", str(full.filename or "no name known")))
        traceback.print_exc()
        # Not a word of the error's own: a library may quote anything in it.
        sentence = f"the {command} Job ended with {type(error).__name__} in {_place(error)}; its pod's log says more"
        return _failed(JobError(names.JOB_FAILED, sentence, ExitCode.INTERNAL))
    finally:
        signal.signal(signal.SIGTERM, previous)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not interrupt the way out
    raise _ToldToStopError


def _load(entry: str) -> Job:
    module, function = entry.split(":")
    gc.disable()  # imports make many objects and no garbage; torch and peft take a sixth longer with it
    try:
        loaded: Job = getattr(importlib.import_module(module), function)
    finally:
        gc.enable()
    return loaded


def _failed(error: JobError) -> tuple[str, ExitCode]:
    print(secret.redacted(f"{error.reason}: {error.message}"), file=sys.stderr)
    return failure_message(error.reason, error.message), error.exit_code


def _place(error: BaseException) -> str:
    """The innermost line of ours that the error went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if f"{os.sep}oneseek_" in frame.filename]
    last = (ours or frames)[-1]
    return f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.lineno}"


def _full_volume(error: BaseException | None) -> OSError | None:
    """The error that says the volume is full, wherever in the chain of causes it stands."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, OSError) and is_full(error):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


def _leave(message: str, path: Path) -> None:
    """Write the termination message; where there is no place for it (no pod) it goes to the log."""
    try:
        path.write_text(message, encoding="utf-8")
    except OSError as error:
        print(f"cannot write the termination message to {path}: {error.strerror}\n{message}", file=sys.stderr)


if __name__ == "__main__":
    secret.redact_output()
    sys.exit(main(sys.argv[1:], secret.withdraw(os.environ, names.HUB_TOKEN_ENV)))
