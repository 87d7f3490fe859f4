"""[I/O] The engine as a client of the OpenAI API.

A question waits as long as the engine lives or the client stays connected. Other limits are named in the error.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from oneseek_runtime.access import Way
from oneseek_runtime.sidecar.engine.completion import Completion, completion_of, listed_models, loaded_models
from oneseek_runtime.sidecar.engine.http_exchange import OWN_ENGINE, ConnectTimeouts, EngineConnections
from oneseek_runtime.sidecar.errors import (
    AdapterRefusedError,
    EngineAnswerError,
    EngineBusyError,
    EngineSlowError,
    EngineUnavailableError,
    QuestionRefusedError,
)

__all__ = ["OpenAIEngine"]

_MODELS_SECONDS = 3
_REMEMBERED_SECONDS = 30.0  # the last list is used while the engine is too busy to answer
_LOAD_SECONDS = 900.0
_BUSY = (429, 503)
_MISSING = 404
_ASKED_WRONGLY = (400, 413, 422)


class OpenAIEngine:
    """The engine at `url`; an async context manager that owns the connections."""

    def __init__(
        self,
        url: str,
        timeouts: ConnectTimeouts = OWN_ENGINE,
        *,
        way: Way | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connections = EngineConnections(url, timeouts, way)
        self._monotonic = monotonic
        self._listed: tuple[float, tuple[str, ...]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connections.close()

    async def complete(self, body: Mapping[str, Any]) -> Completion:
        """One chat completion. Raises UpstreamError. Cancelling closes the connection, which stops the generation."""
        return completion_of(await self._call("POST", "/v1/chat/completions", body))

    async def models(self, *, within: float | None = _MODELS_SECONDS) -> tuple[str, ...]:
        """Returns the ids of the loaded models within `within` seconds (None: no limit). Raises UpstreamError."""
        refused = None if within is None else 0.0
        try:
            async with asyncio.timeout(within):
                found = loaded_models(await self._call("GET", "/v1/models", refused=refused))
        except TimeoutError as error:
            raise EngineSlowError(f"the engine did not list its models within {within} s") from error
        except EngineUnavailableError:
            self._listed = None  # another process may listen there next
            raise
        self._listed = (self._monotonic(), found)
        return found

    async def last_models(self) -> tuple[str, ...]:
        """Like `models`; if the engine is too slow, its last list if that is recent. Raises UpstreamError."""
        try:
            return await self.models()
        except EngineSlowError:
            if self._listed is None or self._monotonic() - self._listed[0] > _REMEMBERED_SECONDS:
                raise
            return self._listed[1]

    async def model_rows(self) -> tuple[Mapping[str, Any], ...]:
        """Returns the engine's list of models without a time limit. Raises UpstreamError."""
        return listed_models(await self._call("GET", "/v1/models"))

    async def load(self, name: str, path: str) -> None:
        """Load an adapter; answers go on meanwhile. Raises AdapterRefusedError or another UpstreamError."""
        status, value = await self._change("load", {"lora_name": name, "lora_path": path})
        if status != 200:
            raise AdapterRefusedError(f"the engine does not load {name}: {_sentence(value)}")

    async def unload(self, name: str) -> None:
        """Unload an adapter; an unknown one is no error. Raises UpstreamError."""
        status, value = await self._change("unload", {"lora_name": name})
        if status not in (200, _MISSING):
            raise EngineAnswerError(f"the engine does not unload {name}: status {status}, {_sentence(value)}")

    async def _change(self, verb: str, body: Mapping[str, Any]) -> tuple[int, object]:
        self._listed = None
        try:
            async with asyncio.timeout(_LOAD_SECONDS):
                return await self._exchange("POST", f"/v1/{verb}_lora_adapter", body)
        except TimeoutError as error:
            sentence = f"the engine did not {verb} {body['lora_name']} within {_LOAD_SECONDS:.0f} s"
            raise EngineSlowError(sentence) from error

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, refused: float | None = None
    ) -> object:
        status, value = await self._exchange(method, path, body, refused=refused)
        if status != 200:
            kind = QuestionRefusedError if method == "POST" and status in _ASKED_WRONGLY else EngineAnswerError
            raise kind(f"the engine refused {method} {path} with status {status}: {_sentence(value)}")
        if value is None:
            raise EngineAnswerError(f"the engine answered {method} {path} with something that is no JSON")
        return value

    async def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, refused: float | None = None
    ) -> tuple[int, object]:
        """Returns status and body, None if it is no JSON: vLLM answers adapter calls with plain text."""
        data = b"" if body is None else json.dumps(body, separators=(",", ":")).encode()
        headers = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(data))) if data else ()
        head = self.connections.head(method.encode(), path.encode(), headers)
        status, answer = await self.connections.fetch((head, data), refused=refused)
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            value = None
        if status in _BUSY:
            raise EngineBusyError(f"the engine is busy: {_sentence(value)}")
        return status, value


def _sentence(value: object) -> str:
    """The message of OpenAI's error object; nothing else is quoted in our answers."""
    error = value.get("error") if isinstance(value, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    return message if isinstance(message, str) else "no reason given"
