"""The records service's settings: one JSON object in the environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, ValidationError, model_validator

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.errors import places
from oneseek_runtime.records.errors import SettingsError

__all__ = ["RECORDS_ENV", "FirestoreSettings", "RecordsSettings"]

RECORDS_ENV = "ONESEEK_RECORDS"


class FirestoreSettings(ApiModel):
    """Which Firestore database, as whom, and how long to wait for it."""

    project_id: str = Field(min_length=1, max_length=63)
    database: str = Field(default="(default)", min_length=1, max_length=63)
    credentials_file: str | None = Field(
        default=None,
        description="A service account's key (JSON), read again when it changes; without it, the pod's own identity.",
    )
    emulator_host: str | None = Field(default=None, description="host:port of an emulator; no credentials go there.")
    deadline_seconds: float = Field(default=4, gt=0, description="How long an answer of Firestore is waited for.")


class RecordsSettings(ApiModel):
    """Where the records of one model lie and who may write them."""

    model: str = Field(min_length=1, max_length=253)
    namespace: str = Field(min_length=1, max_length=63)
    data_path: str | None = Field(default=None, description="A folder on the claim; only this service writes there.")
    firestore: FirestoreSettings | None = Field(default=None, description="Where there is no such folder.")
    token_file: str = Field(description="The bearer token; read again whenever the file changes.")
    checkpoint_key_file: str | None = Field(
        default=None, description="Ed25519 private key (PEM, or the raw 32-byte seed); without it nothing is signed."
    )
    trusted_checkpoint_keys: list[str] = Field(
        default=[], max_length=16, description="Verifier keys of former signing keys: their checkpoints are accepted."
    )
    port: int = Field(default=names.PORT_RECORDS, ge=0, le=65535)
    host: str = Field(default="0.0.0.0", description="The address to listen on.")  # noqa: S104 - other pods call it
    lock_wait_seconds: float = Field(
        default=60, ge=0, description="How long a second process waits for the first to end before it gives up."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.data_path is None) == (self.firestore is None):
            raise ValueError("exactly one of dataPath and firestore must be given")
        return self

    @property
    def origin(self) -> str:
        """The ledger's name in its checkpoints, and of its signing key."""
        return f"oneseek.io/{self.namespace}/{self.model}"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> RecordsSettings:
        """Read `ONESEEK_RECORDS`.

        Raises:
            SettingsError: the variable is missing or does not fit.
        """
        text = environment.get(RECORDS_ENV)
        if not text:
            raise SettingsError(f"{RECORDS_ENV} is not set; the records service is started by the operator")
        try:
            return cls.from_wire(text)
        except ValidationError as error:
            raise SettingsError(f"{RECORDS_ENV} does not fit RecordsSettings: {places(error)}") from error
