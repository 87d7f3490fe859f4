"""What can go wrong between a client and the engine. HTTP statuses and legacy bodies belong to `endpoints` and `app`."""

from __future__ import annotations

from oneseek_core.errors import OneSeekError

__all__ = [
    "BadRequestError",
    "BodyTooLargeError",
    "ClientGoneError",
    "EngineAnswerError",
    "EngineBusyError",
    "EngineUnavailableError",
    "SettingsError",
    "UpstreamError",
]


class SettingsError(OneSeekError):
    """The environment does not describe a sidecar; the sentence names the variable."""


class BadRequestError(OneSeekError):
    """The client's body is no JSON; nothing was asked of the engine."""


class BodyTooLargeError(BadRequestError):
    """The client's body is over the contract's limit."""


class ClientGoneError(OneSeekError):
    """The client closed its connection before the answer was there; nobody reads what follows."""


class UpstreamError(OneSeekError):
    """Base of what the engine's side can do wrong."""


class EngineUnavailableError(UpstreamError):
    """The engine cannot be reached or broke the connection off."""


class EngineBusyError(UpstreamError):
    """The engine's queue is full; asking again later helps."""


class EngineAnswerError(UpstreamError):
    """The engine answered, but not with what the OpenAI API promises."""
