"""[I/O] Models outside the cluster, behind any OpenAI-compatible API that the spec names.

Errors name neither the address nor the content of an unexpected answer: questions are open to everybody. The log does.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from oneseek_core.network import failure
from oneseek_core.secret import SecretError, read_word
from oneseek_core.serving.settings import ExternalEndpoint
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.errors import ExternalModelError
from oneseek_runtime.sidecar.http.rate_limit import SlidingWindow

__all__ = ["ExternalAnswer", "ExternalModels"]

_ANSWER_BYTES = 1024 * 1024
_OK = 200
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class ExternalAnswer:
    """An answer; `tokens` as counted by the endpoint, None if it does not say."""

    text: str
    tokens: int | None


class ExternalModels:
    """The configured endpoints, called through `session`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        endpoints: Sequence[ExternalEndpoint],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self.endpoints = tuple(endpoints)
        self._hours = {one.name: SlidingWindow(one.maximum_per_hour, clock, _HOUR) for one in self.endpoints}

    async def complete(self, endpoint: ExternalEndpoint, body: Mapping[str, Any]) -> ExternalAnswer:
        """One chat completion within the endpoint's timeout. Raises ExternalModelError, whose message may be shown to clients."""
        if wait := self._hours[endpoint.name].admit("").wait:
            raise ExternalModelError(
                f"the {endpoint.maximum_per_hour} questions that may go there in an hour are asked; the next one may in"
                f" {math.ceil(wait / 60)} min (serving.externalModels[].maximumPerHour)"
            )
        try:
            async with asyncio.timeout(endpoint.timeout_seconds):
                data = await self._exchange(endpoint, {**body, "model": endpoint.model})
        except TimeoutError as error:
            raise ExternalModelError(f"no answer within {endpoint.timeout_seconds} s") from error
        except (aiohttp.ClientError, OSError) as error:
            say("externalModel", name=endpoint.name, reason=f"{type(error).__name__}, {failure(error)}")
            raise ExternalModelError("it cannot be reached") from error
        return _answer_of(data)

    async def _exchange(self, endpoint: ExternalEndpoint, body: Mapping[str, Any]) -> bytes:
        headers = {}
        if endpoint.key_path is not None:
            headers["Authorization"] = f"Bearer {await asyncio.to_thread(_key, endpoint.key_path)}"
        async with self._session.post(
            endpoint.url.rstrip("/") + "/chat/completions",
            json=body,
            headers=headers,
            allow_redirects=False,  # the key must not be sent to another address
            timeout=aiohttp.ClientTimeout(total=None),  # `complete` applies the endpoint's timeout
        ) as response:
            if response.status != _OK:
                raise ExternalModelError(f"it answered with status {response.status}")
            data = bytearray()
            async for chunk in response.content.iter_any():
                data += chunk
                if len(data) > _ANSWER_BYTES:
                    raise ExternalModelError("its answer is longer than 1 MiB")
            return bytes(data)


def _key(path: str) -> str:
    """Reads the key from the mounted Secret."""
    try:
        return read_word(Path(path), "its key (serving.externalModels[].keySecret)")
    except SecretError as error:
        raise ExternalModelError(str(error)) from error


def _answer_of(data: bytes) -> ExternalAnswer:
    try:
        body = json.loads(data)
        text = body["choices"][0]["message"]["content"]
        tokens = (body.get("usage") or {}).get("completion_tokens")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise ExternalModelError("its answer is no chat completion") from error
    if not isinstance(text, str):
        raise ExternalModelError("its answer holds no text")
    counted = isinstance(tokens, int) and not isinstance(tokens, bool) and tokens >= 0
    return ExternalAnswer(text.strip(), tokens if counted else None)
