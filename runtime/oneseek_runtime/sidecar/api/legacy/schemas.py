"""The bodies of `/api/admin/models*`, `/api/chat` and the old ML service. Field names are the contract's."""

# ruff: noqa: N815

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field

from oneseek_runtime.sidecar.api.schemas import Answer, OpenAnswer, RequestBody, T, Whole, left_out


class AdminModel(OpenAnswer):
    """A certified version."""

    id: str
    version: str
    dna: str
    directoryName: str | None
    createdAt: str
    isCurrent: bool
    isCertified: bool
    isMerged: bool


class AdminModels(Answer):
    """The certified versions."""

    models: list[AdminModel]


class LoadableModel(OpenAnswer):
    """A model that can answer."""

    id: str
    name: str
    path: str
    displayName: str
    isCertified: bool
    isMerged: bool


class AvailableModels(Answer):
    """The base model and the certified versions."""

    models: list[LoadableModel]
    modelsPath: str


class BaseModel(Answer):
    """The base model."""

    name: str
    path: str
    type: str
    parameters: str | None


class BaseModels(Answer):
    """The one base model."""

    models: list[BaseModel]


class MetadataAnswer(OpenAnswer):
    """metadata.json as it was certified."""

    dna: str
    version: str


class CharacterRow(Answer):
    """A character."""

    id: str
    name: str
    description: str
    personality_type: str
    icon: str


class Characters(Answer):
    """The characters."""

    characters: list[CharacterRow]


class Character(CharacterRow):
    """All of a character."""

    version: str
    created_at: T
    greeting: str
    traits: list[str]
    capabilities: list[str]
    system_prompt: str


class CharacterAnswer(Answer):
    """One character."""

    character: Character


class InferenceAsked(RequestBody):
    """A text to answer."""

    text: str = Field(min_length=1, max_length=10_000)
    max_length: Whole = Field(default=512, ge=1, le=2048)
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=0.9, ge=0, le=1)


class Inference(Answer):
    """The answer; `model` is what made it."""

    response: str
    model: str
    tokens: int
    latency_ms: float


class InvalidField(OpenAnswer):
    """A field that is not as it must be."""

    loc: list[str | int]
    msg: str
    type: str


class InvalidInference(Answer):
    """Every field that is not as it must be."""

    detail: list[InvalidField]


class Gone(Answer):
    """Why there is no answer."""

    detail: str
    error: NotRequired[Annotated[str, left_out("")]]


class ServiceRoot(Answer):
    """The service answers; null: no model does."""

    status: Literal["running"]
    active_model_path: str | None
    endpoints: list[str]


class InferenceStatus(Answer):
    """Whether questions are answered."""

    status: Literal["available", "unavailable"]
    model: str | None
    message: str


class ModelsStatus(Answer):
    """What is loaded; the engine does not tell on which device."""

    device: str | None
    cuda_available: bool | None
    models: dict[str, dict[str, Any]]
