"""metadata.json: the one file of a certified folder that every reader, old and new, starts from.

Field names are the old trainers' (they are the contract with old readers); `provenance` is ours.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from oneseek_core.api.base import ApiModel
from oneseek_core.digest import canonical_json
from oneseek_core.errors import ArtifactError, places

__all__ = ["ArtifactMetadata", "Provenance"]


class Provenance(ApiModel):
    """Which run made the version, from what. Like the rest of the file it keeps keys of later versions."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    namespace: str
    run: str
    run_uid: str
    spec_digest: str
    model: str
    base_model_digest: str
    data_digest: str
    datasets: list[dict[str, Any]] = []
    parent: str | None = None


class ArtifactMetadata(ApiModel):
    """The parsed metadata.json. Unknown keys are kept: reading and writing again loses nothing."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True)

    version: str
    dna: str
    created_at: str
    base_model: str = Field(min_length=1)
    language: str
    datasets: list[str] = []
    training_type: str = "dna-v2"
    samples_processed: int = 0
    metrics: dict[str, float | None] = {}
    provenance: Provenance | None = None

    @classmethod
    def from_bytes(cls, data: bytes) -> ArtifactMetadata:
        """Read metadata.json.

        Raises:
            ArtifactError: it is no JSON object or lacks a field that readers need.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            raise ArtifactError(f"metadata.json cannot be used: {places(error)}") from error

    def canonical_bytes(self) -> bytes:
        """The file's bytes: equal metadata gives equal bytes."""
        return canonical_json(self.model_dump(mode="json", by_alias=True, exclude_none=False)) + b"\n"
