"""Objects recorded in every phase: what people and other programs read of us changes only where somebody means it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from oneseek_core import names
from oneseek_operator.conditions import Verdict
from oneseek_operator.observe.pod_failures import Problem, lasts, with_problem
from support.phases import PHASES
from support.phases.phase import Means, Phase
from support.readers import GOLDEN, golden, load, recorded

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.slug)
def test_every_phase_reads_as_it_was_recorded(phase: Phase) -> None:
    assert golden(phase).exists(), "a new phase: run `make readers` and commit what it writes"
    made = recorded(phase)
    assert made == golden(phase).read_text(), "what readers see has changed: if it is meant, run `make readers`"


def test_no_recording_is_left_of_a_phase_that_is_gone() -> None:
    assert sorted(path.stem for path in GOLDEN.glob("*.yaml")) == sorted(phase.slug for phase in PHASES)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.slug)
def test_abnormal_conditions_stand_only_where_they_are_true_and_never_both(phase: Phase) -> None:
    conditions = load(phase)["status"].get("conditions", [])
    status = {item["type"]: item["status"] for item in conditions}
    assert len(status) == len(conditions)
    assert status.get(names.RECONCILING) in (None, "True")
    assert status.get(names.STALLED) in (None, "True")
    assert not (names.RECONCILING in status and names.STALLED in status), "one sentence, not two that differ"


@pytest.mark.parametrize(
    "phase", [item for item in PHASES if item.means is Means.NEEDS_A_PERSON], ids=lambda phase: phase.slug
)
def test_what_needs_a_person_says_so_in_a_sentence(phase: Phase) -> None:
    stalled = [item for item in load(phase)["status"]["conditions"] if item["type"] == names.STALLED]
    assert stalled
    assert len(stalled[0]["message"].split()) >= 6


def test_a_pod_that_does_not_start_is_called_stalled_only_after_a_while_and_is_looked_at_then() -> None:
    working = Verdict("Working", names.TRAINING, "training")
    made = NOW - timedelta(minutes=1)
    problem = Problem(names.UNSCHEDULABLE, "no node takes it", since=made.isoformat())
    verdict, again = with_problem(problem, working, NOW)
    assert (verdict.state, verdict.reason) == ("Working", names.UNSCHEDULABLE)
    assert again is not None
    then = NOW + timedelta(seconds=again)
    assert with_problem(problem, working, then)[0].state == "Failed"
    assert with_problem(None, working, then)[0] == working, "and it goes on once the pod starts"
    assert not lasts(Problem(names.JOB_FAILED, "it ended"), then)
