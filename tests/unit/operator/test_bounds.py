"""A status that always fits."""

from __future__ import annotations

import json

from oneseek_core.api.base import Condition
from oneseek_core.api.v1alpha1.common import Scores, ScoreSet
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus, Quarantined, Version, VersionRef
from oneseek_core.ledger_entries import Actor, Subject, Transition
from oneseek_operator.model.status import STATUS_LIMIT, fitted
from support.makers import DIGEST

NOW = "2026-01-01T00:00:00.000Z"


def dna(number: int) -> str:
    """A DNA of about 150 characters, each another."""
    return f"{'F' * 63}.v{number}.0.ensv.ds{'-'.join(['Conversational', 'Multilingual', 'Transparency'])}.{number:08x}.0123abcd"


def crowded() -> OneSeekModelStatus:
    """Every list full."""
    part = ScoreSet(questions=1000, facts_contained=0.123456789, exact=0.123456789, loss=1.23456789)
    scores = Scores(**part.model_dump(), by_language={"sv": part, "en": part})
    versions = [
        Version(
            dna=dna(number), digest=DIGEST, state="Current" if number == 40 else "Rejected", parent=dna(number - 1),
            run="r" * 52, scores=scores, reason="x" * 256, created_at=NOW,
        )
        for number in range(40, 8, -1)
    ]  # fmt: skip
    subject = Subject(kind="OneSeekModel", namespace="n" * 63, name="m" * 46, uid="u" * 36)
    entry = Transition(
        type="promote", idempotency_key="k" * 256, actor=Actor(name="operator", verified=True), object=subject,
        to=dna(1), dna=dna(1), digest=DIGEST, reason="r" * 256,
    )  # fmt: skip
    condition = Condition(type="Ready", status="True", reason="Serving", message="m" * 1800, last_transition_time=NOW)
    return OneSeekModelStatus(
        conditions=[condition.model_copy(update={"type": f"T{number}"}) for number in range(6)],
        current=VersionRef(dna=dna(40), digest=DIGEST, since=NOW),
        versions=versions,
        quarantine=[Quarantined(dna=dna(n), reason="FileChanged", message="m" * 120, since=NOW) for n in range(48)],
        outbox=[entry] * 20,
    )


def size(status: OneSeekModelStatus) -> int:
    """Bytes on the wire."""
    return len(json.dumps(status.to_wire()).encode())


def test_a_crowded_status_is_cut_to_what_fits_and_keeps_what_answers() -> None:
    before = crowded()
    assert size(before) > 64 * 1024
    after = fitted(before)
    assert size(after) < 64 * 1024
    assert after.versions[0].state == "Current"
    assert after.versions == before.versions[: len(after.versions)], "the oldest give way"
    assert (after.quarantine, after.outbox, after.current) == (before.quarantine, before.outbox, before.current)


def test_a_status_that_fits_is_left_alone() -> None:
    status = crowded().model_copy(update={"quarantine": [], "outbox": []})
    assert size(status) < STATUS_LIMIT
    assert fitted(status) is status


def test_cutting_twice_cuts_no_more() -> None:
    once = fitted(crowded())
    assert fitted(once) == once
