"""Google's Firestore emulator, for tests: found or fetched, started once, a project of its own for each test.

It is the real server code for documents, transactions and preconditions; it checks no credentials and loses everything
when it ends. The machine's own (the Google Cloud SDK's) is used, else the one that `oneseek_dev.firestore` fetches.
Where neither can be had, the tests that need it are skipped, and `make test` says so in its last lines.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from oneseek_dev import firestore
from oneseek_dev.errors import DevError

from support.asgi import free_port

__all__ = ["Emulator", "command", "emulator"]

_JAR = Path("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_USUAL = Path("/usr/lib/google-cloud-sdk")
_SMALL = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.language=en")
_SKIPPED = Path(__file__).resolve().parents[2] / ".local" / "skipped-without-firestore"
MISSING = (
    "no Firestore emulator: none is installed and none could be fetched (`make emulator-check` says why). Google's apt "
    "repository has it (https://cloud.google.com/sdk/docs/install#deb): google-cloud-cli-firestore-emulator"
)
_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Emulator:
    """One that runs."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def project(self) -> str:
        """A project that nobody wrote to."""
        return f"test-{os.getpid()}-{next(_NUMBERS)}"


def command(port: int, host: str = "127.0.0.1") -> list[str]:
    """What starts it; the jar itself, because gcloud's own launcher takes seconds more.

    Skips the test where there is none.
    """
    words = _found()
    if words is None:
        pytest.skip(MISSING)
    return [*words, f"--host={host}", f"--port={port}"]


def _found() -> list[str] | None:
    """What starts the emulator without its address, where it is installed or fetched."""
    gcloud, java = shutil.which("gcloud"), shutil.which("java")
    if java is None:
        return None
    roots = [Path(gcloud).resolve().parents[1]] if gcloud else []
    for root in [*roots, _USUAL]:
        if (root / _JAR).exists():
            return [java, *_SMALL, "-cp", str(root / _JAR), _MAIN, "start"]
    fetched = firestore.jar()
    return [java, *_SMALL, "-jar", str(fetched)] if fetched.exists() else None


@contextmanager
def emulator(folder: Path, port: int = 0) -> Iterator[Emulator]:
    """One that answers, in a process group of its own; ended with it."""
    chosen = port or free_port()
    log = folder / "emulator.log"
    with log.open("ab") as output:
        process = subprocess.Popen(command(chosen), stdout=output, stderr=output, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, f"the emulator ended: {log.read_text()}"
            assert time.monotonic() < deadline, f"the emulator does not answer: {log.read_text()}"
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{chosen}", timeout=5):
                break
            time.sleep(0.1)
        yield Emulator(chosen, process)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def check() -> None:
    """Have it for the tests that come; say it now, rather than at their end, where it cannot be had."""
    _SKIPPED.unlink(missing_ok=True)
    if _found() is not None:
        return
    try:
        firestore.get()
    except DevError as error:
        sys.stderr.write(f"\n*** The tests of records in Firestore will be skipped: {error} ***\n\n")


def count_skipped(names: Sequence[str]) -> None:
    """Keep for the summary which tests of this pytest were skipped without an emulator."""
    _SKIPPED.parent.mkdir(exist_ok=True)
    with _SKIPPED.open("a") as kept:
        kept.writelines(f"{name}\n" for name in names)


def summary() -> None:
    """What `make test` says before its last stage, whose closing line is the run's."""
    skipped = len(_SKIPPED.read_text().splitlines()) if _SKIPPED.exists() else 0
    if skipped:
        sys.stderr.write(f"\n*** {skipped} tests were skipped: {MISSING} ***\n")
    else:
        sys.stderr.write("\nNo test was skipped for want of the Firestore emulator.\n")


if __name__ == "__main__":
    summary() if sys.argv[1:] == ["summary"] else check()
