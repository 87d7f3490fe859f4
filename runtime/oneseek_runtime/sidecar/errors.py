"""The sidecar's errors. HTTP statuses and bodies are chosen by the endpoints and `app`."""

from __future__ import annotations

from oneseek_core.errors import OneSeekError


class SettingsError(OneSeekError):
    """An environment variable is missing or invalid."""


class BadRequestError(OneSeekError):
    """The client's body cannot be used."""


class NoSuchModelError(BadRequestError):
    """The requested model is not public, whether or not the engine has it."""


class BodyTooLargeError(BadRequestError):
    """The body is over the contract's limit."""


class TooManyBodiesError(BadRequestError):
    """All bodies in memory together are over the limit."""


class ClientGoneError(OneSeekError):
    """The client has disconnected."""


class OrderInvalidError(OneSeekError):
    """The body of an operator's order is invalid."""


class OrderRefusedError(OneSeekError):
    """The pod's ConfigMap does not confirm an order to change versions."""


class NoSuccessorError(OneSeekError):
    """The pods that took over cannot be reached, or too many requests wait for them."""


class UpstreamError(OneSeekError):
    """Base of errors of engines and other services."""


class EngineUnavailableError(UpstreamError):
    """The engine cannot be reached or closed the connection."""


class EngineSlowError(EngineUnavailableError):
    """A time limit ran out, which the message names; the engine may be running."""


class EngineBusyError(UpstreamError):
    """The engine's queue is full; retrying helps."""


class EngineAnswerError(UpstreamError):
    """The engine's answer does not follow the OpenAI API."""


class QuestionRefusedError(EngineAnswerError):
    """The engine refuses the question, for example a prompt that is too long; the version is not at fault."""


class ExternalModelError(UpstreamError):
    """An external model gave no answer; the message holds neither its address nor its answer."""


class UnauthenticatedError(OneSeekError):
    """No valid token; `token_sent` tells an invalid one from none."""

    def __init__(self, message: str, *, token_sent: bool) -> None:
        super().__init__(message)
        self.token_sent = token_sent


class TooManyReviewsError(OneSeekError):
    """Too many invalid tokens from one client; retry after `wait` seconds."""

    def __init__(self, message: str, *, wait: int) -> None:
        super().__init__(message)
        self.wait = wait


class AccessDeniedError(OneSeekError):
    """The caller lacks the permission."""


class KubeError(OneSeekError):
    """Base of errors of the Kubernetes API, with its message."""


class KubeUnavailableError(KubeError):
    """The API server cannot be reached, is overloaded, or there is none."""


class KubeForbiddenError(KubeError):
    """The sidecar's own account lacks the permission."""


class KubeNotFoundError(KubeError):
    """There is no such object."""


class KubeConflictError(KubeError):
    """The object changed since it was read."""


class KubeExpiredError(KubeError):
    """The watch's resourceVersion has expired: list again."""


class AdapterRefusedError(UpstreamError):
    """The engine refuses the adapter permanently."""


class VerifierError(UpstreamError):
    """The pod's verifier gave no answer."""
