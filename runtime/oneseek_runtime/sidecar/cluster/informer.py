"""[I/O] An informer of the OneSeekModel and its TrainingRuns: list once, then watch.

Routes read from here, so clients cause no load on the API server. The objects may be slightly old; code that must not act on old
data reads the model itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from oneseek_runtime.log import say
from oneseek_runtime.sidecar.cluster.client import Kube, Plural
from oneseek_runtime.sidecar.errors import KubeError, KubeExpiredError

__all__ = ["Informer"]

Object = dict[str, Any]
T = TypeVar("T")

_FIRST_PAUSE = 0.5  # seconds after an error, doubled each time
_LONGEST_PAUSE = 30.0


class Informer:
    """Holds the objects; empty until `keep` has listed once."""

    def __init__(self, kube: Kube, model: str) -> None:
        self._kube = kube
        self._model = model
        self._objects: dict[Plural, dict[str, Object]] = {}
        self._changed = asyncio.Event()

    @property
    def model(self) -> Object | None:
        """The OneSeekModel; None before it was listed and after it was deleted."""
        return self._objects.get("oneseekmodels", {}).get(self._model)

    @property
    def runs(self) -> list[Object]:
        """The model's TrainingRuns, oldest first."""
        found = self._objects.get("trainingruns", {}).values()
        mine = [item for item in found if item.get("spec", {}).get("modelRef", {}).get("name") == self._model]
        return sorted(mine, key=lambda item: (item["metadata"].get("creationTimestamp", ""), item["metadata"]["name"]))

    async def until(self, look: Callable[[Informer], T | None], *, seconds: float) -> T | None:
        """Calls `look` at each change until it returns something; None after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while (found := look(self)) is None:
                    await self._changed.wait()
        except TimeoutError:
            return None
        return found

    async def keep(self) -> None:
        """List and watch both kinds until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep("oneseekmodels"))
            group.create_task(self._keep("trainingruns"))

    async def _keep(self, plural: Plural) -> None:
        version, pause = "", _FIRST_PAUSE
        while True:
            try:
                if not version:
                    version = await self._list(plural)
                async for kind, item in self._kube.watch(plural, version):
                    version = item["metadata"]["resourceVersion"]
                    self._take(plural, kind, item)
                    pause = _FIRST_PAUSE
            except KubeExpiredError:
                version = ""
            except KubeError as error:
                say("watch", of=plural, error=str(error), again_in=pause)
                await asyncio.sleep(pause)
                version, pause = "", min(pause * 2, _LONGEST_PAUSE)

    async def _list(self, plural: Plural) -> str:
        listing = await self._kube.list(plural)
        self._objects[plural] = {item["metadata"]["name"]: item for item in listing.items}
        self._notify()
        return listing.resource_version

    def _take(self, plural: Plural, kind: str, item: Object) -> None:
        name = item["metadata"].get("name", "")
        if kind == "DELETED":
            self._objects[plural].pop(name, None)
        elif kind in ("ADDED", "MODIFIED"):
            self._objects[plural][name] = item
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
