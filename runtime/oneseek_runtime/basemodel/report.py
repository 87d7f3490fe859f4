"""[I/O] What the base Job reports: the base model, and what a model of the same name left on the claim before."""

from __future__ import annotations

from pathlib import Path

from oneseek_core import names
from oneseek_core.digest import manifest_digest
from oneseek_core.dna import Dna
from oneseek_core.errors import DnaError
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.jobs.messages import success_message
from oneseek_runtime.basemodel.fetch import FileTable
from oneseek_runtime.certified import certified_versions

__all__ = ["fitted", "report_of"]

_MOST_VERSIONS = 10


def report_of(root: Path, table: FileTable) -> BaseImportReport:
    """The report on a claim whose base model has these files."""
    certified = root / names.CERTIFIED_DIR
    found = [item.version for item in certified_versions(certified)]
    return fitted(
        BaseImportReport(
            digest=manifest_digest(table),
            size_bytes=sum(size for _, size in table.values()),
            files=len(table),
            versions=found[:_MOST_VERSIONS],
            current=_current(certified, {version.dna for version in found}),
        )
    )


def fitted(report: BaseImportReport) -> BaseImportReport:
    """The report without as many of the oldest versions as it takes to fit into a termination message."""
    while report.versions and len(success_message(report).encode()) > names.TERMINATION_LIMIT:
        report = report.model_copy(update={"versions": report.versions[:-1]})
    return report


def _current(certified: Path, known: set[str]) -> str | None:
    """The newest version that a CURRENT link points at (a claim may carry links of several families)."""
    targets = {link.readlink().name for link in certified.glob("*-CURRENT") if link.is_symlink()}
    return max(targets & known, key=_age, default=None)


def _age(name: str) -> tuple[int, int]:
    try:
        return Dna.parse(name).order
    except DnaError:
        return (-1, -1)
