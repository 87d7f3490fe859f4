"""What both kinds of object have in common, read leniently. Pure.

Not the API's own types: those refuse unknown fields and values, and a plugin is often older than the cluster it looks
at. What is missing here is empty or None, never a guess.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.alias_generators import to_camel

from oneseek_core import names
from oneseek_runtime.plugin.errors import CannotTellError

__all__ = ["ConditionView", "ObjectView", "RequestView", "StatusView", "View"]


class View(BaseModel):
    """Base of the views: camelCase on the wire, what is unknown is passed over."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True)

    @classmethod
    def parse(cls, found: Mapping[str, Any]) -> Self:
        """Read an object as the API server returns it.

        Raises:
            CannotTellError: a field is of another type than in every version of the API.
        """
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            about = found.get("metadata", {}).get("name", "?")
            raise CannotTellError(
                f"{about}: {where} cannot be read ({first['msg']}); is the plugin too old?"
            ) from error

    def document(self) -> dict[str, Any]:
        """The view as JSON, without what is not known."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class MetaView(View):
    """Metadata."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    annotations: dict[str, str] = {}


class ConditionView(View):
    """A condition."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    last_transition_time: str = ""


class RequestView(View):
    """The newest request and what became of it."""

    id: str = ""
    verb: str = ""
    value: str = ""
    dna: str | None = None
    requested_by: str = ""
    outcome: str = ""
    reason: str = ""
    message: str = ""
    created_at: str = ""
    completed_at: str | None = None

    @property
    def pending(self) -> bool:
        """Whether it is under way."""
        return self.outcome == "Pending"


class StatusView(View):
    """What both kinds' statuses have."""

    observed_generation: int = -1
    conditions: list[ConditionView] = []
    request: RequestView | None = None


class ObjectView(View, ABC):
    """What both kinds have."""

    metadata: MetaView

    def find(self, kind: str) -> ConditionView | None:
        """The condition of a type."""
        return next((item for item in self._status().conditions if item.type == kind), None)

    @abstractmethod
    def _status(self) -> StatusView: ...

    @property
    def request(self) -> RequestView | None:
        """The newest request on the object."""
        return self._status().request

    @property
    def seen(self) -> bool:
        """Whether the status is about the spec as it stands; until then it says nothing of it."""
        return self._status().observed_generation >= self.metadata.generation

    @property
    def ready(self) -> ConditionView:
        """The Ready condition; Unknown where the operator has not looked at the spec yet."""
        if self.metadata.deletion_timestamp:
            return ConditionView(type=names.READY, status="False", reason="Deleting", message="it is being deleted")
        told = self.find(names.READY)
        if told is None or not self.seen:
            unseen = "the operator has not looked at this spec yet"
            return ConditionView(type=names.READY, status="Unknown", reason="NotObserved", message=unseen)
        return told
