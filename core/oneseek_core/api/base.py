"""What all API types share: camelCase on the wire, unknown fields refused, values frozen after parsing."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["SUBDOMAIN", "ApiModel", "Condition", "DigestText", "DnaText", "ObjectMeta", "cel", "list_map"]


class ApiModel(BaseModel):
    """Base of every type that crosses a border as JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,  # JSON has neither; the API server would refuse the whole status for one
    )

    def to_wire(self) -> dict[str, Any]:
        """The JSON object, without what is unset: an unmeasured value is absent, never null."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @classmethod
    def from_wire(cls, data: str | bytes | bytearray) -> Self:
        """Parse JSON that another component sent, which may be of the release before or after: unknown fields are ignored.

        Raises:
            ValidationError: no JSON, or a field that is known has a value that is not.
        """
        return cls.model_validate_json(data, extra="ignore")


def cel(*rules: tuple[str, str]) -> dict[str, Any]:
    """Validation rules for a schema: (CEL expression, the sentence a person reads when it is broken)."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in rules]}


def list_map(*keys: str) -> dict[str, Any]:
    """A list whose items are told apart by keys, so that two writers can own different items."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


DigestText = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
DnaText = Annotated[str, Field(max_length=253)]
_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN = f"{_LABEL}([.]{_LABEL})*"
Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",  # of the release before: what is stored stays readable
        min_length=1,
        max_length=253,
        json_schema_extra={"pattern": f"^{SUBDOMAIN}$"},
    ),
]
RelativePath = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_. -]*(/[A-Za-z0-9_][A-Za-z0-9_. -]*)*$", max_length=512)
]
"""A path below the claim: no leading slash, no part that starts with a dot (so none that climbs out)."""
ReasonText = Annotated[str, Field(pattern=r"^[A-Za-z0-9]*$", max_length=128)]
"""A reason that another component gave: it becomes a condition's, which the API server takes in this form alone."""
Timestamp = Annotated[str, Field(json_schema_extra={"format": "date-time"}, max_length=40)]


class Condition(ApiModel):
    """A standard Kubernetes condition."""

    type: str = Field(max_length=316)
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(max_length=1024, min_length=1)
    message: str = Field(max_length=4096)
    last_transition_time: Timestamp
    observed_generation: int = Field(default=0, ge=0)


class ObjectMeta(BaseModel):
    """The parts of an object's metadata that decisions read; the rest is the API server's business."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    name: str
    namespace: str
    uid: str
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    annotations: dict[str, str] = {}
    managed_fields: list[dict[str, Any]] = []
    owner_references: list[dict[str, Any]] = []
