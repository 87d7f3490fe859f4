"""[I/O] The engine as an OpenAI client; it never learns which engine answers.

One pooled session: connections are kept alive for less time than any engine of ours keeps them, so that a request never
meets a connection that the other side is just closing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Protocol, Self

import aiohttp

from oneseek_runtime.sidecar.errors import (
    AdapterRefusedError,
    EngineAnswerError,
    EngineBusyError,
    EngineUnavailableError,
)
from oneseek_runtime.sidecar.passthrough.exchange import EngineConnections
from oneseek_runtime.sidecar.translate import Completion, completion_of, listed_models, loaded_models

__all__ = ["Engine", "OpenAIEngine"]

_GENERATION_SECONDS = 600.0
_MODELS_SECONDS = 3.0
_LOAD_SECONDS = 900.0
_CONNECT_SECONDS = 2.0
_KEEP_ALIVE_SECONDS = 4.0  # below uvicorn's and vLLM's default of 5
_BUSY = (429, 503)
_MISSING = 404


class Engine(Protocol):
    """What the sidecar needs of an engine."""

    connections: EngineConnections

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        """Generate one answer; raises UpstreamError."""

    async def models(self) -> tuple[str, ...]:
        """Names of the loaded models; raises UpstreamError."""

    async def model_rows(self) -> tuple[Mapping[str, Any], ...]:
        """The loaded models as the engine describes them; raises UpstreamError."""


class OpenAIEngine:
    """The engine at `url`; an async context manager that owns the connections.

    `connections` are for what is passed through as bytes; what we ask ourselves goes through a client library.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self.connections = EngineConnections(url)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connections.close()
        if self._session is not None:
            await self._session.close()

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        """One chat completion, whole.

        Raises:
            UpstreamError: see its kinds. Cancelling the call closes the connection, which stops the generation.
        """
        return completion_of(await self._call("POST", "/v1/chat/completions", _GENERATION_SECONDS, body))

    async def models(self) -> tuple[str, ...]:
        """The ids that the engine lists as loaded.

        Raises:
            UpstreamError: see its kinds.
        """
        return loaded_models(await self._call("GET", "/v1/models", _MODELS_SECONDS))

    async def model_rows(self) -> tuple[Mapping[str, Any], ...]:
        """What the engine lists as loaded, entry by entry.

        Raises:
            UpstreamError: see its kinds.
        """
        return listed_models(await self._call("GET", "/v1/models", _MODELS_SECONDS))

    async def load(self, name: str, path: str) -> None:
        """Load an adapter under a name; answers go on meanwhile.

        Raises:
            AdapterRefusedError: it cannot be loaded.
            UpstreamError: there is no answer; see its kinds.
        """
        status, value = await self._exchange(
            "POST", "/v1/load_lora_adapter", _LOAD_SECONDS, {"lora_name": name, "lora_path": path}
        )
        if status != 200:
            raise AdapterRefusedError(f"the engine does not load {name}: {_sentence(value)}")

    async def unload(self, name: str) -> None:
        """Unload an adapter; one that is gone already is fine.

        Raises:
            UpstreamError: see its kinds.
        """
        path = "/v1/unload_lora_adapter"
        status, value = await self._exchange("POST", path, _LOAD_SECONDS, {"lora_name": name})
        if status not in (200, _MISSING):
            raise EngineAnswerError(f"the engine refused POST {path} with status {status}: {_sentence(value)}")

    async def _call(self, method: str, path: str, seconds: float, body: Mapping[str, Any] | None = None) -> object:
        status, value = await self._exchange(method, path, seconds, body)
        if status != 200:
            raise EngineAnswerError(f"the engine refused {method} {path} with status {status}: {_sentence(value)}")
        return value

    async def _exchange(
        self, method: str, path: str, seconds: float, body: Mapping[str, Any] | None
    ) -> tuple[int, object]:
        """Status and body; vLLM's calls for adapters answer with a plain text where all is well."""
        if self._session is None:
            raise EngineUnavailableError("the connection to the engine is not open")
        timeout = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        try:
            async with self._session.request(method, self._url + path, json=body, timeout=timeout) as response:
                status = response.status
                value: object = None
                if not (status == 200 and path.endswith("_lora_adapter")):
                    value = await response.json(content_type=None)
        except TimeoutError as error:
            raise EngineUnavailableError(f"the engine did not answer within {seconds:.0f} s") from error
        except aiohttp.ClientError as error:
            raise EngineUnavailableError(f"the engine cannot be reached: {error}") from error
        except ValueError as error:
            raise EngineAnswerError(f"the engine answered {method} {path} with something that is no JSON") from error
        if status in _BUSY:
            raise EngineBusyError(f"the engine is busy: {_sentence(value)}")
        return status, value


def _sentence(value: object) -> str:
    """The message in OpenAI's error object, else nothing: a foreign page must not end up in our answers."""
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else "no reason given"
