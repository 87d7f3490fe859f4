"""What keeps an engine from serving, and what keeps it from answering one request."""

from __future__ import annotations

from oneseek_core.errors import OneSeekError
from oneseek_core.names import ExitCode

__all__ = [
    "AdapterError",
    "EngineStartError",
    "InvalidRequestError",
    "ModelNotFoundError",
    "QueueFullError",
    "RequestError",
]


class EngineStartError(OneSeekError):
    """The engine cannot serve what the settings ask for; the sentence says why, the code ends the process."""

    def __init__(self, sentence: str, exit_code: ExitCode) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class RequestError(OneSeekError):
    """One request cannot be answered. `status`, `code` and `param` are the OpenAI API's words for it."""

    status = 400
    kind = "invalid_request_error"
    code: str | None = None
    param: str | None = None


class InvalidRequestError(RequestError):
    """The body is not what the API describes, or asks for more than the model's context holds."""

    def __init__(self, sentence: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(sentence)
        self.param, self.code = param, code


class ModelNotFoundError(RequestError):
    """`model` names neither the base nor the loaded version."""

    status = 404
    code = "model_not_found"
    param = "model"


class AdapterError(OneSeekError):
    """An adapter cannot be loaded or unloaded. Status and kind are those of vLLM's calls, whose clients we share."""

    def __init__(self, sentence: str, status: int, kind: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.kind = kind

    @classmethod
    def bad(cls, sentence: str) -> AdapterError:
        """The caller is wrong."""
        return cls(sentence, 400, "InvalidUserInput")

    @classmethod
    def missing(cls, sentence: str) -> AdapterError:
        """There is no such adapter."""
        return cls(sentence, 404, "NotFoundError")

    @classmethod
    def failed(cls, sentence: str) -> AdapterError:
        """The folder holds nothing that can be loaded."""
        return cls(sentence, 500, "InternalServerError")


class QueueFullError(RequestError):
    """Too many requests wait already."""

    status = 503
    kind = "server_error"
    code = "queue_full"
