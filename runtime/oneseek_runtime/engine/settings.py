"""The engine's settings: the environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.errors import places
from oneseek_core.names import ExitCode
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.engine.errors import EngineStartError

__all__ = ["EngineSettings"]

_PRECISIONS: dict[str, Literal["auto", "bf16", "fp32"]] = {"auto": "auto", "bf16": "bf16", "fp32": "fp32"}


@dataclass(frozen=True)
class EngineSettings:
    """How one engine runs."""

    serving: ServingSettings
    host: str = "0.0.0.0"  # noqa: S104 - the kubelet's startup probe comes to the pod's address
    port: int = names.PORT_ENGINE
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    queue_limit: int = 128

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> EngineSettings:
        """Read `ONESEEK_SERVING` (its engineUrl names the port), `ONESEEK_PRECISION`, `ONESEEK_ENGINE_QUEUE`.

        Raises:
            EngineStartError: a variable is missing or makes no sense.
        """
        text = environment.get(names.SERVING_ENV)
        if not text:
            raise _bad(f"{names.SERVING_ENV} is not set; the engine is started by the operator")
        try:
            serving = ServingSettings.from_wire(text)
            port = urlsplit(serving.engine_url).port or names.PORT_ENGINE
        except ValidationError as error:
            raise _bad(f"{names.SERVING_ENV} does not fit ServingSettings: {places(error)}") from error
        except ValueError as error:
            raise _bad(f"{names.SERVING_ENV}: engineUrl has no usable port") from error
        precision = _PRECISIONS.get(environment.get("ONESEEK_PRECISION", "auto"))
        queue = environment.get("ONESEEK_ENGINE_QUEUE", "128")
        if precision is None:
            raise _bad("ONESEEK_PRECISION must be auto, bf16 or fp32")
        if not queue.isdecimal() or int(queue) < 1:
            raise _bad(f"ONESEEK_ENGINE_QUEUE is {queue!r}; it must be a positive whole number")
        return cls(serving, environment.get("ONESEEK_HOST", cls.host), port, precision, int(queue))


def _bad(sentence: str) -> EngineStartError:
    return EngineStartError(sentence, ExitCode.BAD_REQUEST)
