"""The base Job as it runs in pods: the import, with the check that takes torch.

Torch is loaded when something is to be checked: a base model that is on the claim already is only hashed again.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_runtime.basemodel import job

__all__ = ["run"]

_CHECK = "oneseek_runtime.engine.basecheck.check"


def run(environment: Mapping[str, str]) -> BaseImportReport:
    """Import the base model, and prove that engine and train can use it.

    Raises:
        JobError: it cannot be had, or not be used.
    """
    return job.run(environment, job.Checks(_check_small_files, _check_weights))


def _check_small_files(folder: Path) -> None:
    importlib.import_module(_CHECK).check_small_files(folder)


def _check_weights(folder: Path) -> None:
    importlib.import_module(_CHECK).check_weights(folder)
