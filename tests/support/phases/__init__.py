"""Every phase of a OneSeekModel and a TrainingRun, as objects that the operator's own reconciles bring about.

A phase says what it means to somebody who waits; `support.readers` asks the real readers what they make of it.
"""

from __future__ import annotations

from support.phases import choices, models, runs

__all__ = ["PHASES"]

PHASES = [*models.PHASES, *choices.PHASES, *runs.PHASES]
