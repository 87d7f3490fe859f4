"""What tenants, strangers and parts that were taken over try, on a real cluster: nothing of it succeeds (docs/reference/attempts.md)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.tenant.attempt import Attempt
from support.tenant.attempts import ATTEMPTS
from support.tenant.place import Place
from support.tenant.settling import settled
from support.tenant.table import write


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One model for all attempts."""
    with settled() as place:
        yield place


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: f"{attempt.who.name.lower()}: {attempt.what}")
def test_it_is_refused_and_changes_nothing(place: Place, attempt: Attempt) -> None:
    seen = attempt.call(place, attempt.who)
    differs, changed = attempt.refusal.differs(seen), place.changed(attempt.may_change)
    leaked = [f"{secret[:6]}…" for secret in place.secrets if secret in seen.said]
    assert not leaked, f"a secret stands in what was said: {leaked}"
    assert not differs, differs
    assert not changed, changed
    place.refused.add(attempt.what)


def test_every_attempt_was_made_and_refused_and_the_document_says_so(place: Place) -> None:
    missing = [attempt.what for attempt in ATTEMPTS if attempt.what not in place.refused]
    assert not missing, f"not refused as the table says, or not tried: {missing}"
    assert place.ready(), "the model answers in the end"
    write()
