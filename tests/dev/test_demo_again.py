"""The demo again and again, on a machine that has other work: the same end each time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.dev import ROOT

pytestmark = pytest.mark.prove

TIMES = 20 if os.environ.get("ONESEEK_PROVE_COUNT") else 2
WITHIN = 3600  # seconds, of one demo


@contextmanager
def busy_loops(count: int) -> Iterator[None]:
    """Other work: so many processes that never rest."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait(timeout=30)


def test_the_demo_ends_well_each_time_beside_two_busy_loops() -> None:
    with busy_loops(2):
        for number in range(1, TIMES + 1):
            begun = time.monotonic()
            done = subprocess.run(
                ["make", "demo", "FRESH=1"], cwd=ROOT, capture_output=True, text=True, timeout=WITHIN, check=False
            )
            assert done.returncode == 0, f"demo {number}: {(done.stdout + done.stderr)[-3000:]}"
            print(f"proved: demo {number}: exit 0 after {time.monotonic() - begun:.0f} s")
