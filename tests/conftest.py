"""For all tests: what stands above pytest's closing line.

What was skipped for want of the Firestore emulator is counted, for what `make test` says before its last stage; the last
stage of `make test` says how long each took.
"""

from __future__ import annotations

import os
import time

import pytest
from oneseek_dev import stages

from support import firestore


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Reports of all workers arrive here."""
    skipped = terminalreporter.stats.get("skipped", [])
    if names := [report.nodeid for report in skipped if firestore.MISSING in str(report.longrepr)]:
        firestore.count_skipped(names)
    if (found := stages.read(dict(os.environ))) is not None:
        terminalreporter.section("seconds of each stage")
        for line in stages.table(found, time.time()):
            terminalreporter.line(line)
