"""Ending programs: asked first, killed where they do not listen, and named where the kernel does not end them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
from oneseek_dev import processes
from oneseek_dev.errors import DevError

DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"


@pytest.fixture
def deaf() -> Iterator[subprocess.Popen[bytes]]:
    """A program that does not listen to SIGTERM."""
    with subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        program.stdout.readline()  # from here on it is deaf
        yield program
        program.kill()


def test_a_program_that_does_not_listen_is_killed(deaf: subprocess.Popen[bytes]) -> None:
    processes.end_processes({deaf.pid: processes.start_time(deaf.pid)}, within=0.1)
    assert deaf.wait(timeout=10) == -signal.SIGKILL


def test_a_process_that_the_kernel_does_not_end_is_named_and_not_waited_for_for_ever(
    deaf: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    send = os.kill

    def held(pid: int, which: int) -> None:
        """As the kernel does while a process waits for a disk: the signal is taken, and nothing happens."""
        if which != signal.SIGKILL:
            send(pid, which)

    monkeypatch.setattr(processes.os, "kill", held)
    started = processes.start_time(deaf.pid)
    with pytest.raises(DevError, match=rf"SIGKILL has not ended process {deaf.pid} \(python") as told:
        processes.end_processes({deaf.pid: started}, within=0.1, killed_within=0.2)
    assert f"/proc/{deaf.pid}/stack" in str(told.value)
    assert processes.start_time(deaf.pid) == started
