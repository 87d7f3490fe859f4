"""For all tests: what was skipped for want of the Firestore emulator is counted, for what `make test` says before its last stage."""

from __future__ import annotations

import pytest

from support import firestore


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Reports of all workers arrive here."""
    skipped = terminalreporter.stats.get("skipped", [])
    if names := [report.nodeid for report in skipped if firestore.MISSING in str(report.longrepr)]:
        firestore.count_skipped(names)
