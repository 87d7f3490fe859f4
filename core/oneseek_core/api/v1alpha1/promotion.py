"""How a version takes over, and how people ask for it: the promotion block, requests and what they leave in the status."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, DnaText, Timestamp

__all__ = ["Gate", "MinimumScores", "Probe", "Promotion", "Request", "Selection", "Watch"]


class MinimumScores(ApiModel):
    """Scores that a version must reach on the held-out set."""

    facts_contained: float | None = Field(default=None, ge=0, le=1)
    exact: float | None = Field(default=None, ge=0, le=1)


class Gate(ApiModel):
    """What a certified version must score before it may answer. It needs `training.evaluation`."""

    minimum_scores: MinimumScores = MinimumScores()
    maximum_regression: float | None = Field(
        default=None, ge=0, le=1, description="How much lower than the current version's its factsContained may be."
    )


class Probe(ApiModel):
    """A question that a new version must answer rightly before anybody else may ask it, and again while it is watched."""

    question: str = Field(min_length=1, max_length=1024)
    must_contain: list[Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        default=[],
        max_length=16,
        description="Texts that the answer must hold, whatever their case. Empty: any answer that is not empty.",
    )


class Watch(ApiModel):
    """How a version is looked after once it answers; one that fails goes back by itself."""

    seconds: int = Field(
        default=60, ge=0, le=86400, description="How long after the flip; 0: a version is not watched."
    )
    minimum_requests: int = Field(
        default=20, ge=1, le=1_000_000, description="Requests before the error rate says anything."
    )
    maximum_error_rate: float = Field(
        default=0.05, ge=0, le=1, description="Share of answers with a 5xx status above which it goes back."
    )


class Promotion(ApiModel):
    """How a new version takes over."""

    mode: Literal["Automatic", "Manual"] = Field(
        default="Automatic",
        description="Automatic: a version that passed takes over; one of a run that the operator made itself (clients asked for"
        " it) needs a gate, or a probe with mustContain, else it waits like with Manual. Manual: a version that passed waits"
        " as candidate until it is promoted by name (oneseek.io/promote).",
    )
    strategy: Literal["Auto", "BlueGreen", "Recreate", "HotSwap"] = Field(
        default="Auto",
        description="BlueGreen: the new version beside the old one, then the Service flips. HotSwap: the running engine loads"
        " the new adapter. Recreate: the old one stops first, requests fail meanwhile. Auto: BlueGreen, and where the"
        " cluster has no room for two, HotSwap (one replica), else Recreate.",
    )
    keep_warm_seconds: int = Field(
        default=300,
        ge=0,
        le=86400,
        description="Longest time the colour left behind waits for its clients' open connections before it stops.",
    )
    progress_deadline_seconds: int | None = Field(
        default=None,
        ge=10,
        le=86400,
        description="Longest time that a new version may take to prove itself; then it is rejected and the old one stays."
        " Unset: the operator's setting (900).",
    )
    gate: Gate | None = Field(default=None, description="Unset: every certified version may answer.")
    probes: list[Probe] = Field(
        default=[], max_length=8, description="Questions asked of a new version before it takes over."
    )
    watch: Watch = Watch()


class Request(ApiModel):
    """The newest request (`oneseek.io/rollback`, `promote`, ... on the object) and what became of it."""

    id: str = Field(max_length=64)
    verb: Literal["rollback", "promote", "release", "reset", "retry", "acknowledge-ledger"]
    value: str = Field(default="", max_length=253, description="What the annotation said.")
    dna: DnaText | None = Field(default=None, description="The version it was about when it was accepted.")
    requested_by: str = Field(default="", max_length=512)
    verified: bool = Field(default=False, description="An admission policy made sure that the name is the asker's own.")
    outcome: Literal["Pending", "Succeeded", "Refused", "Failed"]
    reason: str = Field(max_length=128)
    message: str = Field(default="", max_length=1024)
    created_at: Timestamp
    completed_at: Timestamp | None = None


class Selection(ApiModel):
    """A person's standing choice of version; it stands above the pin (rollback) or below it (promote)."""

    verb: Literal["rollback", "promote"]
    dna: DnaText | None = Field(default=None, description="The version chosen; absent: the base model.")
    left: DnaText | None = Field(
        default=None, description="The version a rollback left behind; releasing it ends the rollback."
    )
    version: str = Field(
        default="auto", max_length=253, description="spec.version at that time; another one in Git ends it."
    )
    major: int = Field(default=0, ge=0, description="status.counters at that time: `auto` takes only versions above.")
    micro: int = Field(default=0, ge=0)
    since: Timestamp
