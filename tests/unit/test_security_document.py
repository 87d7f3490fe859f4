"""The table of docs/reference/attempts.md is that of the code, and the code's attempts are what the table promises."""

from __future__ import annotations

from support.tenant.attempts import ATTEMPTS
from support.tenant.table import in_document, table


def test_the_document_has_the_attempts_of_the_code() -> None:
    assert in_document() == table(), "run `PYTHONPATH=core:operator:runtime:tests python -m support.tenant.table`"


def test_no_two_attempts_have_one_name() -> None:
    names = [(attempt.who, attempt.what) for attempt in ATTEMPTS]
    assert len(set(names)) == len(names)


def test_there_are_sixty_attempts_and_twenty_that_no_audit_made() -> None:
    assert len(ATTEMPTS) >= 60
    assert sum(not attempt.finding for attempt in ATTEMPTS) >= 20


def test_each_names_who_refuses_and_how() -> None:
    assert all(attempt.refusal.by and str(attempt.refusal).strip() for attempt in ATTEMPTS)
