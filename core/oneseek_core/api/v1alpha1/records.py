"""spec.records of a OneSeekModel: where queries, provenance and the ledger are kept."""

from __future__ import annotations

from pydantic import Field

from oneseek_core.api.base import ApiModel, Name, cel
from oneseek_core.api.v1alpha1.common import Quantity

__all__ = ["EmbeddedRecords", "FirestoreRecords", "Records"]


class EmbeddedRecords(ApiModel):
    """Records in a small service of the model's own."""

    size: Quantity = Field(default="1Gi", description="Size of its claim.")
    storage_class_name: Name | None = None


class FirestoreRecords(ApiModel):
    """Records in a Firestore database of a Google Cloud project; this model's alone."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(
            (
                "has(self.credentialsSecret) != has(self.emulatorHost)",
                "set exactly one of credentialsSecret (a service account's key) and emulatorHost (for tests)",
            )
        )
    }

    project_id: str = Field(
        alias="projectID",
        max_length=63,
        pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$",
        description="Id of the Google Cloud project. Immutable.",
    )
    database: str = Field(
        default="(default)",
        max_length=63,
        pattern=r"^(\(default\)|[a-z][a-z0-9-]{2,61}[a-z0-9])$",
        description="The database, in Native mode; it holds the records of no other model. Immutable.",
    )
    credentials_secret: Name | None = Field(
        default=None,
        description="Secret whose key credentials.json is a service account's key with roles/datastore.user; read anew when"
        " it changes.",
    )
    emulator_host: str | None = Field(
        default=None,
        max_length=260,
        pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$",
        description="host:port of the Firestore emulator, for development and tests: what it holds is lost when it ends.",
    )


class Records(ApiModel):
    """Where queries, provenance and the ledger are kept: in a volume of the model's own, unless firestore is set."""

    model_config = ApiModel.model_config | {
        "json_schema_extra": cel(("!has(self.embedded) || !has(self.firestore)", "set one of embedded and firestore"))
    }

    embedded: EmbeddedRecords | None = None
    firestore: FirestoreRecords | None = None

    @property
    def volume(self) -> EmbeddedRecords:
        """The claim of records that lie on one."""
        return self.embedded or EmbeddedRecords()
