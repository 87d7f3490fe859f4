"""The base Job as it runs in pods: the import, with the check that takes torch."""

from __future__ import annotations

from collections.abc import Mapping

from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_runtime.basemodel import job
from oneseek_runtime.engine.basecheck.check import check_small_files, check_weights

__all__ = ["run"]


def run(environment: Mapping[str, str]) -> BaseImportReport:
    """Import the base model, and prove that engine and train can use it.

    Raises:
        JobError: it cannot be had, or not be used.
    """
    return job.run(environment, job.Checks(check_small_files, check_weights))
