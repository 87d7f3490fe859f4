"""The bodies of `/api/models/*`: their shapes and how they are built. Pure; field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NotRequired, cast

from pydantic import Field

from oneseek_core import names
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.sidecar.api.schemas import Answer, RequestBody, T, left_out
from oneseek_runtime.sidecar.certified_folders import CertifiedFolder
from oneseek_runtime.sidecar.cluster.requests import Outcome
from oneseek_runtime.sidecar.http.responses import timestamp

__all__ = [
    "RESET_FAILED",
    "RESET_WORD_MISSING",
    "SET_CURRENT_FAILED",
    "CertifiedAnswer",
    "CurrentAnswer",
    "Failed",
    "FoundVersion",
    "NotFound",
    "ResetAnswer",
    "SetCurrentAnswer",
    "SetCurrentAsked",
    "certified_model",
    "failed",
    "find",
    "not_found",
    "parse_model_id",
    "reset_answer",
    "set_current_answer",
]

SET_CURRENT_FAILED = "Failed to set current model"
RESET_FAILED = "Failed to reset models"
RESET_WORD_MISSING = (
    'a reset deletes every certified version and needs the word: post {"confirm":"RESET"}, or an empty body to'
    " /api/models/reset?confirm=RESET"
)
_ECHO = 253  # characters of a client's id in an answer: the maximum length of a DNA


class CertifiedModel(Answer):
    """A certified folder; what its metadata does not say is left out."""

    name: str
    displayName: str
    path: str
    version: str
    dna: str
    createdAt: str
    baseModel: NotRequired[Annotated[str, left_out("")]]
    language: NotRequired[Annotated[str, left_out("")]]
    datasets: NotRequired[Annotated[list[str], left_out([])]]
    trainingType: NotRequired[Annotated[str, left_out("")]]
    samplesProcessed: NotRequired[Annotated[int, left_out(0)]]
    metrics: NotRequired[Annotated[dict[str, Any], left_out({})]]
    isCertified: Literal[True]
    isTrained: Literal[True]
    isMerged: NotRequired[Annotated[bool, left_out(True)]]
    mergeType: NotRequired[Annotated[Any, left_out(None)]]
    sourceVersion: NotRequired[Annotated[Any, left_out(None)]]
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
    symlinkPath: NotRequired[Annotated[str, left_out("")]]
    target: NotRequired[Annotated[str, left_out("")]]
    note: NotRequired[Annotated[str, left_out("")]]
    message: NotRequired[Annotated[str, left_out("")]]


class SetCurrentAsked(RequestBody):
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
    expectedPath: NotRequired[Annotated[str, left_out("")]]
    checkedPaths: NotRequired[Annotated[list[str], left_out([])]]
    triedFiles: NotRequired[Annotated[list[str], left_out([])]]
    note: str


class Failed(Answer):
    """It was refused (409) or could not be done, and why; without a usable token `success` is false instead."""

    success: NotRequired[Annotated[bool, left_out(False)]]
    error: str
    details: NotRequired[Annotated[str, left_out("")]]


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


def certified_model(folder: CertifiedFolder, now: str) -> CertifiedModel:
    """One row of `GET /api/models/certified`; `now` replaces an unknown creation time (contract)."""
    name, metadata = folder.name, folder.metadata
    samples, metrics = metadata.get("samplesProcessed"), metadata.get("metrics")
    row: dict[str, Any] = {
        "name": name,
        "displayName": f"{name.split('.v', 1)[0]} v{folder.major}.{folder.minor}" if folder.numbered else name,
        "path": str(folder.path),
        "version": folder.text("version", name),
        "dna": folder.dna,
        "createdAt": folder.created_at or now,
    }
    if folder.readable:
        row |= {
            "baseModel": folder.text("baseModel", "Unknown"),
            "language": folder.language,
            "datasets": [str(dataset) for dataset in folder.values("datasets")],
            "trainingType": folder.text("trainingType", "dna-v2"),
            "samplesProcessed": samples if isinstance(samples, int) else 0,
            "metrics": metrics if isinstance(metrics, dict) else {},
        }
    row |= {"isCertified": True, "isTrained": True}
    if folder.merged:
        row |= {"isMerged": True, **{key: metadata[key] for key in ("mergeType", "sourceVersion") if key in metadata}}
    return cast("CertifiedModel", row | {"majorVersion": folder.major, "minorVersion": folder.minor})


@dataclass(frozen=True, slots=True)
class FoundVersion:
    """A version's DNA and its folder's path."""

    dna: str
    path: str


def parse_model_id(body: Mapping[str, Any]) -> str | None:
    """Returns the id in a set-current body; None if missing."""
    value = body.get("modelId")
    return value if isinstance(value, str) and value else None


def find(model_id: str, folders: Sequence[CertifiedFolder], family: str) -> FoundVersion | None:
    """Finds the folder of an id: certified, then merged, then merged with that prefix.

    Only listed names are compared, so no id becomes a path.
    """
    if not _is_dna(model_id, family):
        return None
    certified = [item for item in folders if not item.merged and item.name == model_id]
    merged = [item for item in folders if item.merged and item.name == model_id]
    begins = [item for item in folders if item.merged and item.name.startswith(model_id)]
    found = next(iter([*certified, *merged, *begins]), None)
    return FoundVersion(found.name, str(found.path)) if found else None


def _is_dna(model_id: str, family: str) -> bool:
    return re.match(rf"{re.escape(family)}\.v\d+\.\d+", model_id) is not None


def not_found(model_id: str, serving: ServingSettings) -> NotFound:
    """The 404 body of an id without a certified version."""
    shown = model_id[:_ECHO]
    note = "Only certified versions can be made current; GET /api/models/certified lists them"
    root = serving.certified_path
    places = [f"{root}/{shown}", f"{root}/merged/{shown}"]
    if _is_dna(model_id, serving.family):
        return {
            "error": "Model directory not found",
            "modelId": shown,
            "expectedPath": places[0],
            "checkedPaths": places,
            "note": note,
        }
    tried = [f"{place}/metadata.json" for place in places]
    return {"error": "Model version metadata not found", "modelId": shown, "triedFiles": tried, "note": note}


def set_current_answer(
    named: FoundVersion, outcome: Outcome, serving: ServingSettings
) -> tuple[int, SetCurrentAnswer | Failed]:
    """Status and body for the outcome of set-current."""
    already = outcome.state != "Pending" and outcome.reason == names.ALREADY_CURRENT
    if outcome.state == "Succeeded" or already:
        status, message = 200, f"Current model set to {named.dna}"
        note = "It answers already; nothing had to change" if already else "It answers now; no client restarts"
    elif outcome.state == "Pending":
        status, message = 202, f"{named.dna} is on its way to become the current model"
        note = _follow(serving)
    else:
        return _refused(outcome, SET_CURRENT_FAILED)
    link = f"{serving.certified_path}/{serving.family}-CURRENT"
    return status, {
        "success": True,
        "message": message,
        "modelId": named.dna,
        "modelPath": named.path,
        "symlinkPath": link,
        "note": note,
    }


def reset_answer(
    outcome: Outcome, serving: ServingSettings, user: str, now: datetime
) -> tuple[int, ResetAnswer | Failed]:
    """Status and body for the outcome of reset."""
    if outcome.state == "Succeeded":
        status, message = 200, "All certified models are removed; the base model answers"
        action = "Full reset completed"
    elif outcome.state == "Pending":
        status, message, action = 202, f"The reset is under way. {_follow(serving)}", "Full reset under way"
    else:
        return _refused(outcome, RESET_FAILED)
    when = timestamp(now)
    root = PurePosixPath(serving.certified_path)
    details: ResetDetails = {
        "certifiedDir": str(root),
        "basemodellerDir": str(root.parent / names.BASE_DIR),
        "timestamp": when,
        "action": action,
        "preserved": "Base models, the ledger and the reset log",
    }
    ledger: ResetNote = {"timestamp": when, "user": user, "message": f"Full reset by {user} on {when}"}
    return status, {"success": True, "message": message, "details": details, "ledger": ledger}


def _follow(serving: ServingSettings) -> str:
    return (
        f"Follow it with `kubectl get oneseekmodel {serving.model} -n {serving.namespace}"
        " -o jsonpath={.status.request}`"
    )


def _refused(outcome: Outcome, failure: str) -> tuple[int, Failed]:
    """409 if the operator refused the request, 500 if it failed."""
    if outcome.state == "Refused":
        return 409, {"error": outcome.message or outcome.reason, "details": outcome.reason}
    return 500, failed(failure, outcome.message or outcome.reason)


def failed(failure: str, details: str) -> Failed:
    """The contract's error body."""
    return {"error": failure, "details": details}
