"""What is entered into the ledger, and by whom: the operator's transitions and the sidecars' queries.

Each entry has a key of its own (idempotency key, query id), so that sending it again cannot record it twice. A
block's content always has the same keys in the same order; only values that every reader hashes alike are in it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from oneseek_core.api.base import ApiModel, Timestamp

__all__ = ["Actor", "Subject", "Trained", "Transition", "query_content"]

QUERY = "query"  # the block type of an answered question
TRAINING = "training"  # the block type of a training that clients asked for
_QUESTION_CHARACTERS = 100


class Actor(ApiModel):
    """Who wanted it. Verified: an admission policy made sure that the name is the caller's."""

    name: str = Field(max_length=1024)
    verified: bool


class Subject(ApiModel):
    """The object it was done to; the uid tells it from another of the same name later."""

    kind: str = Field(max_length=63)
    namespace: str = Field(max_length=63)
    name: str = Field(max_length=253)
    uid: str = Field(max_length=64)


class Transition(ApiModel):
    """One step in a model's life, as the operator reports it. The same idempotency key is the same step."""

    type: Literal[
        "train",
        "evaluate",
        "certify",
        "import",
        "reject",
        "promote",
        "rollback",
        "quarantine",
        "release",
        "reset",
        "delete",
        "acknowledge",
    ]
    idempotency_key: str = Field(min_length=1, max_length=256)
    actor: Actor
    object: Subject
    from_: str | None = Field(default=None, alias="from", max_length=253)
    to: str | None = Field(default=None, max_length=253)
    dna: str | None = Field(default=None, max_length=253)
    digest: str | None = Field(default=None, max_length=71)
    reason: str = Field(max_length=256)
    timestamp: Timestamp | None = Field(default=None, description="When it happened; absent: when it is recorded.")

    def content(self) -> dict[str, Any]:
        """What the block holds: every key always, in one order; null is "none"."""
        content = self.model_dump(mode="json", by_alias=True, exclude={"type", "timestamp"})
        return {key: content[key] for key in _TRANSITION_KEYS}


_TRANSITION_KEYS = ("idempotencyKey", "actor", "object", "from", "to", "dna", "digest", "reason")


class Trained(ApiModel):
    """A training that clients asked for, as old readers of its block know it."""

    training_id: str = Field(min_length=1, max_length=128)
    training_type: Literal["micro", "batch"]
    samples_processed: int = Field(ge=0)
    new_version: str = Field(max_length=253)

    def content(self) -> dict[str, Any]:
        """What the block holds."""
        content = self.model_dump(mode="json", by_alias=True)
        return {key: content[key] for key in ("trainingId", "trainingType", "samplesProcessed", "newVersion")}


def query_content(query_id: str, question: str, model_version: str | None) -> dict[str, Any]:
    """A `query` block's content as old readers know it: the question cut after 100 characters."""
    cut = question if len(question) <= _QUESTION_CHARACTERS else question[:_QUESTION_CHARACTERS] + "..."
    return {"queryId": query_id, "question": cut, "modelVersion": model_version}
