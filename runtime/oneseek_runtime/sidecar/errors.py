"""What can go wrong between a client and the engine. HTTP statuses and legacy bodies belong to `endpoints` and `app`."""

from __future__ import annotations

from oneseek_core.errors import OneSeekError

__all__ = [
    "AccessDeniedError",
    "AdapterRefusedError",
    "BadRequestError",
    "BodyTooLargeError",
    "ClientGoneError",
    "EngineAnswerError",
    "EngineBusyError",
    "EngineSlowError",
    "EngineUnavailableError",
    "ExternalModelError",
    "KubeConflictError",
    "KubeError",
    "KubeExpiredError",
    "KubeForbiddenError",
    "KubeNotFoundError",
    "KubeUnavailableError",
    "NoSuccessorError",
    "NoSuchModelError",
    "OrderRefusedError",
    "QuestionRefusedError",
    "SettingsError",
    "TooManyBodiesError",
    "TooManyReviewsError",
    "UnauthenticatedError",
    "UpstreamError",
    "VerifierError",
]


class SettingsError(OneSeekError):
    """The environment does not describe a sidecar; the sentence names the variable."""


class BadRequestError(OneSeekError):
    """The client's body cannot be used; nothing was asked of the engine."""


class NoSuchModelError(BadRequestError):
    """The client names a model that does not answer the public, whether or not the engine has it."""


class BodyTooLargeError(BadRequestError):
    """The client's body is over the contract's limit."""


class TooManyBodiesError(BadRequestError):
    """All bodies that are being read at the moment are over what the pod may hold."""


class ClientGoneError(OneSeekError):
    """The client closed its connection before the answer was there; nobody reads what follows."""


class OrderRefusedError(OneSeekError):
    """An order to take a version over that the pod's own ConfigMap does not bear out."""


class NoSuccessorError(OneSeekError):
    """The version that took over cannot be reached, or too many requests wait for it; the sentence names the limit."""


class UpstreamError(OneSeekError):
    """Base of what the engine's side can do wrong."""


class EngineUnavailableError(UpstreamError):
    """The engine cannot be reached or broke the connection off."""


class EngineSlowError(EngineUnavailableError):
    """A limit of our own ran out, which the sentence names; the engine may well be there."""


class EngineBusyError(UpstreamError):
    """The engine's queue is full; asking again later helps."""


class EngineAnswerError(UpstreamError):
    """The engine answered, but not with what the OpenAI API promises."""


class QuestionRefusedError(EngineAnswerError):
    """The engine cannot answer this question, a prompt that is too long, say; nothing is wrong with the version."""


class ExternalModelError(UpstreamError):
    """A model elsewhere gave no answer; the sentence names neither its address nor what it sent."""


class UnauthenticatedError(OneSeekError):
    """The request carries no token that the API server knows; `token_sent` tells a missing one from a bad one."""

    def __init__(self, message: str, *, token_sent: bool) -> None:
        super().__init__(message)
        self.token_sent = token_sent


class TooManyReviewsError(OneSeekError):
    """Too many tokens that nobody knows came from one client; `wait` seconds, and another is asked about."""

    def __init__(self, message: str, *, wait: int) -> None:
        super().__init__(message)
        self.wait = wait


class AccessDeniedError(OneSeekError):
    """The token's owner may not do what the route does."""


class KubeError(OneSeekError):
    """Base of what the Kubernetes API can refuse; the sentence holds what it said."""


class KubeUnavailableError(KubeError):
    """The API server cannot be reached, is overloaded, or this process has no access to one."""


class KubeForbiddenError(KubeError):
    """The sidecar's own account may not do this."""


class KubeNotFoundError(KubeError):
    """There is no such object."""


class KubeConflictError(KubeError):
    """The object changed since it was read: read again."""


class KubeExpiredError(KubeError):
    """A watch cannot go on from where it stood: list again."""


class AdapterRefusedError(UpstreamError):
    """The engine will not load the adapter, however often it is asked."""


class VerifierError(UpstreamError):
    """The pod's verifier gave no answer."""
