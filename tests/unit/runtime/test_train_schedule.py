"""Rates, stopping, the curve."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core.api.v1alpha1.training_run import AutoStop
from oneseek_runtime.train.schedule import Curve, Plan, learning_rate, stop_reason


def test_the_rate_rises_shortly_and_falls_to_a_tenth():
    plan = Plan(epochs=10, steps_per_epoch=10, peak_rate=1.0)
    rates = [learning_rate(step, plan) for step in range(plan.steps)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert rates[5:] == sorted(rates[5:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.001)


def test_a_run_of_one_step_trains_at_the_peak():
    assert learning_rate(0, Plan(epochs=1, steps_per_epoch=1, peak_rate=0.5)) == 0.5


SETTINGS = AutoStop(threshold=0.1, patience=2, minimum_steps=0)


@pytest.mark.parametrize(
    ("losses", "stops"),
    [
        ([3.0], False),
        ([3.0, 3.0], False),
        ([3.0, 2.95, 2.95], True),
        ([3.0, 2.95, 2.8], False),  # a fall of 0.15 below the lowest before it
        ([3.0, 2.0, 2.5, 1.95], True),  # rising and coming back is no progress
        ([3.0, 2.0, 1.0, 0.5], False),
    ],
)
def test_auto_stop_counts_epochs_without_a_fall(losses, stops):
    assert bool(stop_reason(losses, 100, SETTINGS)) is stops


def test_auto_stop_waits_for_its_minimum_and_is_off_without_settings():
    losses = [3.0, 3.0, 3.0]
    assert stop_reason(losses, 9, SETTINGS.model_copy(update={"minimum_steps": 10})) is None
    assert stop_reason(losses, 10, None) is None


def test_the_reason_is_a_sentence_with_figures():
    reason = stop_reason([3.0, 2.95, 2.96], 10, SETTINGS)
    assert reason == (
        "the mean training loss did not fall by 0.1 or more in 2 epochs in a row (lowest 2.9500, last 2.9600)"
    )


@given(st.lists(st.floats(0, 10), max_size=700))
def test_the_curve_is_bounded_and_keeps_the_mean(losses):
    curve = Curve()
    for step, loss in enumerate(losses, start=1):
        curve.add(step, loss)
    assert len(curve.points) < 64
    assert [step for step, _ in curve.points] == [curve.width * (i + 1) for i in range(len(curve.points))]
    covered = losses[: len(curve.points) * curve.width]
    assert sum(loss for _, loss in curve.points) * curve.width == pytest.approx(sum(covered))
