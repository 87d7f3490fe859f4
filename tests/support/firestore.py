"""The Firestore emulator of the Google Cloud SDK, for tests: found, started once, a project of its own for each test.

It is the real server code for documents, transactions and preconditions; it checks no credentials and loses everything
when it ends. It is not in Debian's archive, so nothing here installs it.
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.asgi import free_port

__all__ = ["Emulator", "command", "emulator"]

_JAR = Path("platform/cloud-firestore-emulator/cloud-firestore-emulator.jar")
_MAIN = "com.google.cloud.datastore.emulator.firestore.CloudFirestore"
_USUAL = Path("/usr/lib/google-cloud-sdk")
_SMALL = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Duser.language=en")
_MISSING = (
    "the Firestore emulator is not installed, so records on Firestore cannot be tested here: add Google's apt repository "
    "(https://cloud.google.com/sdk/docs/install#deb) and `apt-get install google-cloud-cli-firestore-emulator`, which "
    "brings gcloud and Java; or `gcloud components install cloud-firestore-emulator` and a Java runtime"
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

    Fails the test, rather than skips it, where there is none: a green run must mean that it was tried.
    """
    found = _found()
    if found is None:
        pytest.fail(_MISSING, pytrace=False)
    java, jar = found
    return [java, *_SMALL, "-cp", str(jar), _MAIN, "start", f"--host={host}", f"--port={port}"]


def _found() -> tuple[str, Path] | None:
    """(Java, the emulator), where both are installed."""
    gcloud, java = shutil.which("gcloud"), shutil.which("java")
    roots = [Path(gcloud).resolve().parents[1]] if gcloud else []
    jar = next((root / _JAR for root in [*roots, _USUAL] if (root / _JAR).exists()), None)
    return (java, jar) if java and jar else None


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


def main() -> None:
    """Say at the start of a long test run what would fail at its end."""
    if _found() is None:
        sys.stderr.write(f"\n*** The tests of records in Firestore WILL FAIL: {_MISSING}. ***\n\n")


if __name__ == "__main__":
    main()
