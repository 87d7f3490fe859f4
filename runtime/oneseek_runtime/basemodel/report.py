"""[I/O] What the base Job reports: the base model, and what a model of the same name left on the claim before."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from oneseek_core import names
from oneseek_core.api.v1alpha1.model_status import Quarantined
from oneseek_core.digest import manifest_digest
from oneseek_core.dna import Dna
from oneseek_core.errors import DnaError
from oneseek_core.jobs.basemodel import BaseImportReport
from oneseek_core.jobs.common import CertifiedVersion
from oneseek_core.jobs.messages import success_message
from oneseek_runtime.artifact.folders import certified_versions
from oneseek_runtime.basemodel.fetch import FileTable

__all__ = ["fitted", "report_of"]

_MOST_VERSIONS = 10
_LONGEST = 96  # characters of a quarantine's message: the report must fit into a termination message


def report_of(root: Path, table: FileTable) -> BaseImportReport:
    """The report on a claim whose base model has these files."""
    certified = root / names.CERTIFIED_DIR
    found = [item.version for item in certified_versions(certified)]
    current = _current(certified, {version.dna for version in found})
    newest = [item for place, item in enumerate(found) if place < _MOST_VERSIONS or item.dna == current]
    return fitted(
        BaseImportReport(
            digest=manifest_digest(table),
            size_bytes=sum(size for _, size in table.values()),
            files=len(table),
            versions=newest,
            current=current,
            quarantine=_quarantine(certified),
        )
    )


def fitted(report: BaseImportReport) -> BaseImportReport:
    """The report without as many of the oldest versions as it takes to fit into a termination message.

    What answered last is kept, and a version is never told without its quarantine.
    """
    report = _about(report, report.versions)
    while report.versions and len(success_message(report).encode()) > names.TERMINATION_LIMIT:
        oldest = next((item for item in reversed(report.versions) if item.dna != report.current), report.versions[-1])
        report = _about(report, [item for item in report.versions if item is not oldest])
    return report


def _about(report: BaseImportReport, versions: list[CertifiedVersion]) -> BaseImportReport:
    told = {item.dna for item in versions}
    held = [item for item in report.quarantine if item.dna in told]
    return report.model_copy(update={"versions": versions, "quarantine": held})


def _quarantine(certified: Path) -> list[Quarantined]:
    """What a model of this claim left written of versions that may not answer; what cannot be read says nothing."""
    try:
        found = TypeAdapter(list[Quarantined]).validate_json((certified / names.QUARANTINE_FILE).read_bytes())
    except (OSError, ValueError):
        return []
    return [item.model_copy(update={"message": item.message[:_LONGEST]}) for item in found]


def _current(certified: Path, known: set[str]) -> str | None:
    """The newest version that a CURRENT link points at (a claim may carry links of several families)."""
    targets = {link.readlink().name for link in certified.glob("*-CURRENT") if link.is_symlink()}
    return max(targets & known, key=_age, default=None)


def _age(name: str) -> tuple[int, int]:
    try:
        return Dna.parse(name).order
    except DnaError:
        return (-1, -1)
