"""The bodies of `/api/models/*`. Field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from oneseek_runtime.sidecar.api.schemas import Answer, Asked, T

__all__ = [
    "ActiveExport",
    "ActiveExportAsked",
    "CertifiedAnswer",
    "CurrentAnswer",
    "ExportAsked",
    "Exports",
    "Failed",
    "Manifests",
    "MergeAsked",
    "MergedVersions",
    "NotFound",
    "QuickMergeAsked",
    "ResetAnswer",
    "SetCurrentAnswer",
    "SetCurrentAsked",
]


class CertifiedModel(Answer):
    """A certified folder; what its metadata does not say is left out."""

    name: str
    displayName: str
    path: str
    version: str
    dna: str
    createdAt: str
    baseModel: str = ""
    language: str = ""
    datasets: list[str] = []
    trainingType: str = ""
    samplesProcessed: int = 0
    metrics: dict[str, Any] = {}
    isCertified: Literal[True]
    isTrained: Literal[True]
    isMerged: bool = True
    mergeType: Any = None
    sourceVersion: Any = None
    majorVersion: int
    minorVersion: int


class CertifiedAnswer(Answer):
    """Every certified folder, newest version first."""

    success: Literal[True]
    models: list[CertifiedModel]
    count: int


class CurrentAnswer(Answer):
    """Where CURRENT points; without one `currentModel` is null and `message` says so."""

    success: Literal[True]
    currentModel: str | None
    symlinkPath: str = ""
    target: str = ""
    note: str = ""
    message: str = ""


class SetCurrentAsked(Asked):
    """Which version is to answer."""

    modelId: str = Field(min_length=1, description="The DNA of a certified version.")


class SetCurrentAnswer(Answer):
    """It answers (200), or is on its way (202)."""

    success: Literal[True]
    message: str
    modelId: str
    modelPath: str
    symlinkPath: str
    note: str


class NotFound(Answer):
    """No certified version has that name."""

    error: str
    modelId: str
    expectedPath: str = ""
    checkedPaths: list[str] = []
    triedFiles: list[str] = []
    note: str


class Failed(Answer):
    """It was refused (409) or could not be done, and why; without a usable token `success` is false instead."""

    success: bool = False
    error: str
    details: str = ""


class ResetDetails(Answer):
    """What was emptied, and what stays."""

    certifiedDir: str
    basemodellerDir: str
    timestamp: T
    action: str
    preserved: str


class ResetNote(Answer):
    """Who asked, when."""

    timestamp: T
    user: str
    message: str


class ResetAnswer(Answer):
    """It is done (200), or under way (202)."""

    success: Literal[True]
    message: str
    details: ResetDetails
    ledger: ResetNote


class MergeAsked(Asked):
    """What would be merged."""

    baseModel: str = Field(min_length=1)
    adapters: list[str] = Field(min_length=1)


class QuickMergeAsked(Asked):
    """What would be merged."""

    modelId: str = Field(min_length=1)
    mergeType: Literal["micro", "major"]


class ExportAsked(Asked):
    """What would be exported."""

    modelPath: str = Field(min_length=1)


class ActiveExportAsked(Asked):
    """What would serve."""

    ggufName: str = Field(min_length=1)


class Manifests(Answer):
    """Merge manifests that an older service left."""

    success: Literal[True]
    manifests: list[dict[str, Any]]
    count: int


class MergedVersion(Answer):
    """A merged folder."""

    name: str
    path: str
    version: str


class MergedVersions(Answer):
    """Merged folders that an older service left."""

    success: Literal[True]
    versions: list[MergedVersion]
    count: int


class Exports(Answer):
    """GGUF exports."""

    success: Literal[True]
    exports: list[dict[str, Any]]
    count: int
    quantizationTypes: list[str]


class ActiveExport(Answer):
    """The GGUF export that serves."""

    success: Literal[True]
    activeGguf: str | None
