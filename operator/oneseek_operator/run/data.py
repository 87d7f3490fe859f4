"""The outcome of a run's rows, counted by the Jobs that read and trained them, for the status and an Event. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from oneseek_core import names
from oneseek_core.api.v1alpha1.training_run import DataCounts, RowCount
from oneseek_core.jobs.prepare import PrepareReport
from oneseek_core.jobs.train import TrainReport
from oneseek_operator.actions import Event
from oneseek_operator.observe.run import rows_text

__all__ = ["prepared_data", "rows_events", "trained_data"]


def prepared_data(report: PrepareReport) -> DataCounts:
    """The counts once the data is checked."""
    left_out = sum(item.rows for item in report.left_out)
    return DataCounts(rows=report.samples + left_out, left_out=_sorted(report.left_out))


def trained_data(prepared: DataCounts | None, report: TrainReport) -> DataCounts:
    """The counts once training is done. A run that the previous release prepared has none before."""
    before = prepared.left_out if prepared else []
    left_out = _sorted([*before, *report.left_out])
    rows = report.samples + sum(item.rows for item in left_out)
    return DataCounts(rows=rows, trained=report.samples, cut=report.cut, left_out=left_out)


def _sorted(counts: Iterable[RowCount]) -> list[RowCount]:
    summed: Counter[str] = Counter()
    for item in counts:
        summed[item.reason] += item.rows
    return [RowCount(reason=reason, rows=rows) for reason, rows in sorted(summed.items())]


def rows_events(data: DataCounts, maximum_length: int) -> tuple[Event, ...]:
    """An Event if a row was not trained as it stands."""
    if not (text := rows_text(data)):
        return ()
    sentence = f"{data.trained} rows trained{text} at maximumLength={maximum_length}; see status.data"
    return (Event(names.ROWS_LEFT_OUT, sentence, warning=True),)
