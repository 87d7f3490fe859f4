"""The records service's settings: one JSON object in the environment, read once."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, ValidationError

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_runtime.records.errors import SettingsError

__all__ = ["RECORDS_ENV", "RecordsSettings"]

RECORDS_ENV = "ONESEEK_RECORDS"


class RecordsSettings(ApiModel):
    """Where the records of one model lie and who may write them."""

    model: str = Field(min_length=1, max_length=253)
    namespace: str = Field(min_length=1, max_length=63)
    data_path: str = Field(description="A folder on the claim; only this service writes there.")
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
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise SettingsError(f"{RECORDS_ENV} does not fit RecordsSettings: {where} {first['msg']}") from error
