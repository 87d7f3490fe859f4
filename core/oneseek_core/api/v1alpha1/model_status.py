"""The status of a OneSeekModel: which versions there are, which one answers, and what was asked of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, Condition, DigestText, DnaText, Timestamp, list_map
from oneseek_core.api.v1alpha1.common import LabelText, Scores
from oneseek_core.api.v1alpha1.promotion import Request, Selection
from oneseek_core.ledger_entries import Transition

__all__ = [
    "BaseModelStatus",
    "CandidateRef",
    "Counters",
    "ImportOutcome",
    "LedgerHead",
    "OneSeekModelStatus",
    "Quarantined",
    "StrategyUse",
    "Version",
    "VersionRef",
]


class VersionRef(ApiModel):
    """A version in a role, and since when."""

    dna: DnaText
    digest: DigestText
    since: Timestamp


class CandidateRef(VersionRef):
    """A version that is to answer next."""

    proved_at: Timestamp | None = Field(
        default=None, description="When its preview had answered every probe; only the flip is left then."
    )


class Version(ApiModel):
    """One certified version on the claim."""

    dna: DnaText
    digest: DigestText = Field(description="SHA-256 of the certified folder's manifest.")
    type: Literal["Major", "Micro"] = "Major"
    state: Literal["Certified", "Rejected", "Candidate", "Current", "Previous", "Quarantined", "Deleted"]
    parent: DnaText | None = None
    run: str | None = Field(default=None, max_length=253, description="The TrainingRun that made it.")
    unattended: bool | None = Field(
        default=None, description="True: the operator made its run itself, because clients asked for it."
    )
    scores: Scores | None = None
    reason: str | None = Field(
        default=None,
        max_length=256,
        description="Why it is in this state, where the state alone does not say.",
    )
    created_at: Timestamp
    served_at: Timestamp | None = Field(default=None, description="When it last began to answer.")


class LedgerHead(ApiModel):
    """The ledger as the operator last saw it; a shorter or other one later was cut or rewritten."""

    height: int = Field(ge=0, description="Number of blocks.")
    head: str = Field(max_length=64, description="Hash of the newest block.")
    root: str | None = Field(
        default=None,
        max_length=64,
        pattern=r"^[0-9a-f]{64}$",
        description="Root of the Merkle tree over the blocks (RFC 6962); what is found later must prove that it goes on"
        " from it.",
    )


class Quarantined(ApiModel):
    """A version that may not answer."""

    dna: DnaText
    reason: str = Field(max_length=128)
    message: str = Field(max_length=256)
    since: Timestamp


class Counters(ApiModel):
    """Version numbers given out so far; they only rise."""

    major: int = Field(default=0, ge=0)
    micro: int = Field(default=0, ge=0)


class BaseModelStatus(ApiModel):
    """The imported base model."""

    digest: DigestText
    size_bytes: int | None = Field(default=None, ge=0)


class ImportOutcome(ApiModel):
    """What became of an entry of spec.imports."""

    source: str = Field(max_length=520, description="The entry: `image REFERENCE` or `path PATH`.")
    state: Literal["Imported", "Refused"]
    dna: DnaText | None = None
    digest: DigestText | None = None
    reason: str = Field(max_length=64)
    message: str = Field(max_length=512)
    job: str = Field(max_length=64, description="Uid of the Job that found it out.")


class StrategyUse(ApiModel):
    """How the newest version takes over, or took over, and why that way."""

    name: Literal["BlueGreen", "HotSwap", "Recreate"]
    reason: str = Field(max_length=64)
    message: str = Field(default="", max_length=512)
    colour: LabelText = Field(description="The version and serving template it is about.")


class OneSeekModelStatus(ApiModel):
    """What is."""

    observed_generation: int = Field(default=-1)
    conditions: list[Condition] = Field(default=[], max_length=16, json_schema_extra=list_map("type"))
    current: VersionRef | None = Field(default=None, description="The version the Service answers with.")
    previous: VersionRef | None = Field(default=None, description="The version that answered before.")
    candidate: CandidateRef | None = Field(
        default=None, description="The version being rolled out, or waiting to be promoted."
    )
    strategy: StrategyUse | None = Field(default=None, description="How the newest version takes over.")
    versions: Annotated[list[Version], Field(default=[], max_length=32)]
    quarantine: Annotated[list[Quarantined], Field(default=[], max_length=64)]
    request: Request | None = Field(default=None, description="The newest request and its outcome; scripts wait on it.")
    manifest_request: str | None = Field(
        default=None,
        max_length=320,
        description="A request that a manifest carries; it was refused once and is passed over while it stands there.",
    )
    selection: Selection | None = Field(default=None, description="What a rollback or promotion by hand chose.")
    counters: Counters = Counters()
    base_model: BaseModelStatus | None = None
    imports: list[ImportOutcome] = Field(
        default=[], max_length=8, description="What became of the entries of spec.imports."
    )
    outbox: Annotated[
        list[Transition],
        Field(default=[], max_length=32, description="Transitions the ledger has not acknowledged yet."),
    ]
    ledger: LedgerHead | None = None
    url: str | None = Field(default=None, max_length=512, description="Base URL within the cluster.")
    colour: LabelText | None = Field(
        default=None, description="The colour that answers: the one that the Service selects, once no other does."
    )
    replicas: int = Field(default=0, ge=0)
    selector: str | None = Field(default=None, max_length=512)
