from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.jobs.tree import TreeReport
from oneseek_core.names import ExitCode
from oneseek_runtime import __main__ as program

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def run_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, dict[str, object]]]:
    """Run the `tree` command with its job replaced by a function; gives exit code and termination message."""

    def run(job: Callable[[Mapping[str, str]], TreeReport]) -> tuple[int, dict[str, object]]:
        monkeypatch.setattr(program, "_load", lambda _entry: job)
        path = tmp_path / "termination"
        code = program.main(["tree"], {program.TERMINATION_ENV: str(path)})
        return code, json.loads(path.read_text())

    return run


def raising(error: BaseException) -> Callable[[Mapping[str, str]], TreeReport]:
    def job(_environment: Mapping[str, str]) -> TreeReport:
        raise error

    return job


Run = Callable[..., tuple[int, dict[str, object]]]


def test_a_job_that_did_its_work_leaves_its_report(run_tree: Run) -> None:
    assert run_tree(lambda _: TreeReport(current="x")) == (0, {"report": {"current": "x", "removed": []}})


def test_a_jobs_own_error_is_the_message_and_one_log_line(run_tree: Run, capsys: pytest.CaptureFixture[str]) -> None:
    code, message = run_tree(raising(JobError(names.DATASET_INVALID, "line 3: é", ExitCode.BAD_INPUT)))
    assert (code, message) == (ExitCode.BAD_INPUT, {"reason": "DatasetInvalid", "message": "line 3: é"})
    assert capsys.readouterr().err == "DatasetInvalid: line 3: é\n"


def wrapped(error: Exception) -> RuntimeError:
    outer = RuntimeError("the writer failed")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError(errno.ENOSPC, "No space left on device", "/app/models/x"), id="full"),
        pytest.param(OSError(errno.EDQUOT, "Disk quota exceeded", "/app/models/x"), id="quota"),
        pytest.param(wrapped(OSError(errno.ENOSPC, "No space left", "/app/models/x")), id="wrapped-by-a-library"),
    ],
)
def test_a_full_volume_is_storage_full_wherever_it_happens(run_tree: Run, error: Exception) -> None:
    code, message = run_tree(raising(error))
    assert code == ExitCode.STORAGE_FULL
    assert message["reason"] == names.STORAGE_FULL
    assert "/app/models/x" in str(message["message"])
    assert "use a larger claim" in str(message["message"])


def test_a_defect_leaves_its_kind_and_place_and_the_log_a_traceback(
    run_tree: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    code, message = run_tree(raising(ZeroDivisionError("division\nby zero")))
    assert (code, message["reason"]) == (ExitCode.INTERNAL, names.JOB_FAILED)
    assert re.fullmatch(
        r"the tree Job ended with ZeroDivisionError in oneseek_runtime/__main__\.py:\d+; its pod's log says more",
        str(message["message"]),
    )
    assert "Traceback" in capsys.readouterr().err


def test_a_job_told_to_stop_says_so(run_tree: Run) -> None:
    def job(_environment: Mapping[str, str]) -> TreeReport:
        os.kill(os.getpid(), signal.SIGTERM)
        return TreeReport()

    code, message = run_tree(job)
    assert code == ExitCode.INTERRUPTED
    assert "told to stop" in str(message["message"])


def test_the_signal_handler_of_before_is_back_afterwards(run_tree: Run) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run_tree(lambda _: TreeReport())
    assert signal.getsignal(signal.SIGTERM) == before


def test_without_a_place_for_the_message_it_goes_to_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "_load", lambda _entry: lambda _environment: TreeReport(current="x"))
    assert program.main(["tree"], {program.TERMINATION_ENV: str(tmp_path / "no" / "folder")}) == 0
    assert '{"report":{"current":"x","removed":[]}}' in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["dance"], ["tree", "now"]], ids=["none", "unknown", "too-many"])
def test_a_wrong_command_line_shows_the_right_one(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert program.main(arguments, {}) == ExitCode.BAD_REQUEST
    assert "|".join(program.JOBS | program.SERVERS) in capsys.readouterr().err


def test_a_server_just_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Mapping[str, str]] = []
    monkeypatch.setattr(program, "_load", lambda _entry: given.append)
    assert program.main(["sidecar"], {"A": "b"}) == 0
    assert given == [{"A": "b"}]


@pytest.mark.parametrize("command", ["prepare", "certify", "verify", "import", "tree"])
def test_jobs_of_the_slim_image_never_load_torch_and_answer_a_missing_request(tmp_path: Path, command: str) -> None:
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['oneseek_runtime', {command!r}]\n"
        "try:\n    runpy.run_module('oneseek_runtime', run_name='__main__')\n"
        "finally:\n    assert not {'torch', 'transformers', 'peft'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{REPOSITORY}/core:{REPOSITORY}/runtime",
            program.TERMINATION_ENV: str(tmp_path / "termination"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.BAD_REQUEST, done.stderr
    assert "ONESEEK_REQUEST is not set" in (tmp_path / "termination").read_text()
