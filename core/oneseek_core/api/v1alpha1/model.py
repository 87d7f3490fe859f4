"""OneSeekModel: a family of versions that grow from one base model, and which of them answers.

The spec says what a team wants and is written by people and Git only; the status says what is, and is written by
the operator only.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, DigestText, Name, ObjectMeta, cel
from oneseek_core.api.v1alpha1.common import HuggingFaceSource, ImageReference, PathOnClaim, Quantity
from oneseek_core.api.v1alpha1.model_status import OneSeekModelStatus
from oneseek_core.api.v1alpha1.promotion import Promotion
from oneseek_core.api.v1alpha1.records import Records
from oneseek_core.api.v1alpha1.serving import Serving
from oneseek_core.api.v1alpha1.training import Training
from oneseek_core.api.v1alpha1.versions import Certification, Import, Retention

__all__ = ["BaseModelSource", "BaseModelSpec", "OneSeekModel", "OneSeekModelSpec", "Storage"]


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
    version: str = Field(
        default="auto",
        max_length=253,
        pattern=r"^(auto|[A-Za-z][A-Za-z0-9_-]*\.v[0-9]+\.[0-9]+\..+)$",
        description="The pin, for Git: the DNA that answers. auto: the newest certified version that passes.",
    )
    suspend: bool = Field(
        default=False, description="Scale to zero and start nothing; the version that answered is kept."
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
    imports: list[Import] = Field(
        default=[], max_length=8, description="Certified versions to bring in from another cluster or folder."
    )
    records: Records = Field(
        default=Records(),
        json_schema_extra=cel(
            (
                (
                    "has(self.firestore) == has(oldSelf.firestore) && (!has(self.firestore)"
                    " || (self.firestore.projectID == oldSelf.firestore.projectID"
                    " && self.firestore.database == oldSelf.firestore.database))"
                ),
                "records stay where they are, for the ledger lies there; make another OneSeekModel",
            )
        ),
    )
    retention: Retention = Retention()
    serving: Serving = Serving()


class OneSeekModel(ApiModel):
    """One family of versions and the one that answers."""

    model_config = ApiModel.model_config | {"extra": "ignore"}

    metadata: ObjectMeta
    spec: OneSeekModelSpec
    status: OneSeekModelStatus = OneSeekModelStatus()
