"""[I/O] An informer of the OneSeekModel and its TrainingRuns: list once, then watch.

Objects are read leniently, because operator and sidecar may be of different releases for a moment. Routes read from here,
so clients cause no load on the API server. The objects may be slightly old; code that must not act on old data reads the
model itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.cluster.client import Kube, Plural
from oneseek_runtime.sidecar.errors import KubeError, KubeExpiredError

__all__ = ["Informer"]

T = TypeVar("T")

_FIRST_PAUSE = 0.5  # seconds after an error, doubled each time
_LONGEST_PAUSE = 30.0


class Informer:
    """Holds the objects; empty until `run` has listed once."""

    def __init__(self, kube: Kube, model: str) -> None:
        self._kube = kube
        self._model = model
        self._models: dict[str, OneSeekModel] = {}
        self._runs: dict[str, TrainingRun] = {}
        self._changed = asyncio.Event()

    @property
    def model(self) -> OneSeekModel | None:
        """The OneSeekModel; None before it was listed and after it was deleted."""
        return self._models.get(self._model)

    @property
    def runs(self) -> list[TrainingRun]:
        """The model's TrainingRuns, oldest first."""
        mine = [run for run in self._runs.values() if run.spec.model_ref.name == self._model]
        return sorted(mine, key=lambda run: (run.metadata.creation_timestamp, run.metadata.name))

    async def until(self, look: Callable[[Informer], T | None], *, seconds: float) -> T | None:
        """Calls `look` at each change until it returns something; None after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while (found := look(self)) is None:
                    await self._changed.wait()
        except TimeoutError:
            return None
        return found

    async def run(self) -> None:
        """List and watch both kinds until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._run("oneseekmodels"))
            group.create_task(self._run("trainingruns"))

    async def _run(self, plural: Plural) -> None:
        version, pause = "", _FIRST_PAUSE
        while True:
            try:
                if not version:
                    version = await self._list(plural)
                async for kind, item in self._kube.watch(plural, version):
                    version = item["metadata"]["resourceVersion"]
                    self._apply(plural, kind, item)
                    pause = _FIRST_PAUSE
            except KubeExpiredError:
                version = ""
            except KubeError as error:
                say("watch", of=plural, error=str(error), again_in=pause)
                await asyncio.sleep(pause)
                version, pause = "", min(pause * 2, _LONGEST_PAUSE)

    async def _list(self, plural: Plural) -> str:
        listing = await self._kube.list(plural)
        self._held(plural).clear()
        for item in listing.items:
            self._put(plural, item)
        self._notify()
        return listing.resource_version

    def _held(self, plural: Plural) -> dict[str, Any]:
        return self._models if plural == "oneseekmodels" else self._runs

    def _put(self, plural: Plural, item: Mapping[str, Any]) -> None:
        kind = OneSeekModel if plural == "oneseekmodels" else TrainingRun
        self._held(plural)[item["metadata"]["name"]] = lenient.read(kind, item)

    def _apply(self, plural: Plural, kind: str, item: Mapping[str, Any]) -> None:
        if kind == "DELETED":
            self._held(plural).pop(item["metadata"].get("name", ""), None)
        elif kind in ("ADDED", "MODIFIED"):
            self._put(plural, item)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
