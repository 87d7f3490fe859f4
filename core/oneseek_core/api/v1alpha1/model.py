"""OneSeekModel: a family of versions that grow from one base model, and which of them answers.

The spec says what a team wants and is written by people and Git only; the status says what is, and is written by
the operator only.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from oneseek_core.api.base import (
    ApiModel,
    Condition,
    DigestText,
    DnaText,
    Name,
    ObjectMeta,
    Timestamp,
    cel,
    list_map,
)
from oneseek_core.api.v1alpha1.common import (
    Dataset,
    HuggingFaceSource,
    ImageReference,
    LabelText,
    PathOnClaim,
    Quantity,
    Resources,
    Scores,
    StringMap,
    Toleration,
)
from oneseek_core.ledger_entries import Transition

__all__ = ["BaseModelSource", "OneSeekModel", "OneSeekModelSpec", "OneSeekModelStatus", "Version"]


class BaseModelSource(ApiModel):
    """Where the base model comes from: exactly one of the three."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "[has(self.huggingFace), has(self.image), has(self.path)].filter(set, set).size() == 1",
                "set exactly one of huggingFace, image and path",
            )
        )
    }

    hugging_face: HuggingFaceSource | None = Field(default=None, description="Fetched from a hub.")
    image: ImageReference | None = Field(
        default=None,
        description="An image that holds the model under /models and has a `cp` (KServe's modelcar layout).",
    )
    path: PathOnClaim | None = Field(default=None, description="A folder that already lies on the claim.")


class BaseModelSpec(ApiModel):
    """The model that every version adapts."""

    name: str = Field(
        max_length=96,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="Folder name under basemodeller/, and the model's name in answers while no version is certified.",
    )
    source: BaseModelSource
    digest: DigestText | None = Field(
        default=None,
        description="Digest the imported folder must have; see status.baseModel.digest of a trusted import.",
    )


class Storage(ApiModel):
    """The claim that holds base model, staging and certified versions."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "has(self.claimName) != has(self.size)",
                "set exactly one of claimName (a claim of yours) and size (one made for the model)",
            ),
            (
                "!has(self.claimName) || !has(self.storageClassName)",
                "storageClassName goes with size; a claim of yours has its own class",
            ),
        )
    }

    claim_name: Name | None = Field(default=None, description="A PersistentVolumeClaim in the model's namespace.")
    size: Quantity | None = Field(default=None, description="Size of the claim to make, such as 20Gi.")
    storage_class_name: Name | None = Field(
        default=None, description="Class of the claim to make; the cluster's default if unset."
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany"] = Field(
        default="ReadWriteOnce", description="With ReadWriteOnce every pod of the model runs on one node."
    )
    reclaim_policy: Literal["Retain", "Delete"] = Field(
        default="Retain", description="What becomes of a claim made for the model when the model is deleted."
    )


class Engine(ApiModel):
    """What loads the weights and generates."""

    type: Literal["Transformers"] = Field(
        default="Transformers", description="OneSeek's own engine over transformers and peft."
    )
    resources: Resources = Field(default=Resources(), description="Compute resources of the engine container.")
    node_selector: StringMap = Field(default={}, max_length=16)
    tolerations: list[Toleration] = Field(default=[], max_length=16)
    runtime_class_name: Name | None = None


class RateLimits(ApiModel):
    """The legacy API's limits per client address and minute."""

    enabled: bool = Field(
        default=True, description="false: no route refuses with 429; for load tests and trusted networks."
    )


class Serving(ApiModel):
    """How a version answers."""

    replicas: int = Field(default=1, ge=0, le=100, description="Pods of the colour that serves.")
    engine: Engine = Engine()
    service_type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = Field(
        default="ClusterIP", description="Type of the Service named like the model."
    )
    rate_limits: RateLimits = RateLimits()


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


class Evaluation(ApiModel):
    """How every version of the model is measured."""

    dataset: Dataset = Field(
        description="Held-out questions: JSONL rows with question, language, mustContain and, optionally, output."
    )


class Training(ApiModel):
    """What all runs of the model share."""

    evaluation: Evaluation | None = Field(default=None, description="Unset: versions are certified without scores.")


PublicKey = Annotated[
    str, Field(max_length=1024, pattern=r"^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n?$")
]


class Certification(ApiModel):
    """How versions are signed, and whose signatures are believed."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "!has(self.signingKeySecret) || (has(self.trustedKeys) && self.trustedKeys.size() > 0)",
                "signingKeySecret needs trustedKeys: the public half of your key, so that pods can verify without it",
            )
        )
    }

    signing_key_secret: Name | None = Field(
        default=None,
        description="Secret with signing.key (EC P-256, PEM) and ledger.key (Ed25519, PEM); made for the model if unset.",
    )
    trusted_keys: list[PublicKey] = Field(
        default=[], max_length=8, description="Public keys, PEM, that are believed beside the one made for the model."
    )
    verify_interval_seconds: int = Field(
        default=300, ge=5, le=86400, description="How often a serving version is verified again."
    )


class Retention(ApiModel):
    """How many versions stay on the claim."""

    keep_versions: int | None = Field(
        default=None,
        ge=1,
        le=32,
        description="Newest versions to keep; older ones are deleted, but never what answers, answered before or is on its way,"
        " nor a parent of those. Unset: all stay.",
    )


class Promotion(ApiModel):
    """How a new version takes over."""

    keep_warm_seconds: int = Field(
        default=300,
        ge=0,
        le=86400,
        description="Longest time the colour left behind waits for its clients' open connections before it stops.",
    )
    gate: Gate | None = Field(default=None, description="Unset: every certified version may answer.")


class EmbeddedRecords(ApiModel):
    """Records in a small service of the model's own."""

    size: Quantity = Field(default="1Gi", description="Size of its claim.")
    storage_class_name: Name | None = None


class Records(ApiModel):
    """Where queries, provenance and the ledger are kept."""

    embedded: EmbeddedRecords = EmbeddedRecords()


class OneSeekModelSpec(ApiModel):
    """What a team wants of a model."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                (
                    "!has(self.promotion) || !has(self.promotion.gate)"
                    " || (has(self.training) && has(self.training.evaluation))"
                ),
                "promotion.gate needs training.evaluation.dataset: without a held-out set there are no scores to judge",
            )
        )
    }

    family: str = Field(
        default="OneSeek-7B-Zero",
        max_length=63,
        pattern=r"^[A-Za-z][A-Za-z0-9_-]*$",
        description="First part of every DNA. Immutable.",
        json_schema_extra=cel(
            ("self == oldSelf", "family is immutable: it is part of every DNA; make another OneSeekModel")
        ),
    )
    base_model: BaseModelSpec = Field(
        json_schema_extra=cel(
            (
                "self == oldSelf",
                "baseModel is immutable: every version is an adapter of it; make another OneSeekModel",
            )
        )
    )
    storage: Storage = Field(
        json_schema_extra=cel(
            ("self == oldSelf", "storage is immutable: the versions lie there; make another OneSeekModel")
        )
    )
    training: Training = Training()
    certification: Certification = Certification()
    promotion: Promotion = Promotion()
    records: Records = Records()
    retention: Retention = Retention()
    serving: Serving = Serving()


class VersionRef(ApiModel):
    """A version in a role, and since when."""

    dna: DnaText
    digest: DigestText
    since: Timestamp


class Version(ApiModel):
    """One certified version on the claim."""

    dna: DnaText
    digest: DigestText = Field(description="SHA-256 of the certified folder's manifest.")
    type: Literal["Major"] = "Major"
    state: Literal["Certified", "Rejected", "Candidate", "Current", "Previous", "Quarantined", "Deleted"]
    parent: DnaText | None = None
    run: str | None = Field(default=None, max_length=253, description="The TrainingRun that made it.")
    scores: Scores | None = None
    reason: str | None = Field(
        default=None,
        max_length=256,
        description="Why it is in this state, where the state alone does not say.",
    )
    created_at: Timestamp


class LedgerHead(ApiModel):
    """The ledger as the operator last saw it; a shorter or other one later was cut or rewritten."""

    height: int = Field(ge=0, description="Number of blocks.")
    head: str = Field(max_length=64, description="Hash of the newest block.")


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


class OneSeekModelStatus(ApiModel):
    """What is."""

    observed_generation: int = Field(default=-1)
    conditions: list[Condition] = Field(default=[], max_length=16, json_schema_extra=list_map("type"))
    current: VersionRef | None = Field(default=None, description="The version the Service answers with.")
    previous: VersionRef | None = Field(default=None, description="The version that answered before.")
    candidate: VersionRef | None = Field(default=None, description="The version being rolled out.")
    versions: Annotated[list[Version], Field(default=[], max_length=32)]
    quarantine: Annotated[list[Quarantined], Field(default=[], max_length=64)]
    counters: Counters = Counters()
    base_model: BaseModelStatus | None = None
    outbox: Annotated[
        list[Transition],
        Field(default=[], max_length=32, description="Transitions the ledger has not acknowledged yet."),
    ]
    ledger: LedgerHead | None = None
    url: str | None = Field(default=None, max_length=512, description="Base URL within the cluster.")
    colour: LabelText | None = Field(default=None, description="The colour the Service selects.")
    replicas: int = Field(default=0, ge=0)
    selector: str | None = Field(default=None, max_length=512)


class OneSeekModel(ApiModel):
    """One family of versions and the one that answers."""

    model_config = ApiModel.model_config | {"extra": "ignore"}

    metadata: ObjectMeta
    spec: OneSeekModelSpec
    status: OneSeekModelStatus = OneSeekModelStatus()
