"""[I/O] Follows serving pods: one long poll a pod, which wakes the model when the pod's state has changed.

The reconcile that follows reads the state again; here only its revision counts. A change that is missed here is seen by the
next timed reconcile.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping

from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.errors import SidecarError
from oneseek_operator.reconcile.ports import SidecarPort

__all__ = ["Followers", "Key"]

Key = tuple[str, str, str]  # kind, namespace, name

_WAIT_SECONDS = 25.0
_BACKOFF_FIRST, _BACKOFF_LAST = 0.2, 10.0
_UNSUPPORTED_SECONDS = 300.0  # between tries with a sidecar of the previous release, which offers no changes


class Followers:
    """One task a pod, by model and address; `wake` is called when a pod's state has changed."""

    def __init__(self, wake: Callable[[Key], None]) -> None:
        self._wake = wake
        self._ports: dict[Key, SidecarPort] = {}
        self._tasks: defaultdict[Key, dict[str, asyncio.Task[None]]] = defaultdict(dict)

    def follow(self, key: Key, pods: Mapping[str, int], sidecars: SidecarPort) -> None:
        """Follow these pods of a model, and no others: the last revision by address, and the port to ask them through."""
        self._ports[key] = sidecars
        tasks = self._tasks[key]
        for ip in tasks.keys() - pods.keys():
            tasks.pop(ip).cancel()
        for ip in pods.keys() - tasks.keys():
            tasks[ip] = asyncio.create_task(self._run(key, ip, pods[ip]))

    def forget(self, key: Key) -> None:
        """Stop following the model's pods."""
        for task in self._tasks.pop(key, {}).values():
            task.cancel()
        self._ports.pop(key, None)

    async def _run(self, key: Key, ip: str, revision: int) -> None:
        failures = 0
        while True:
            try:
                state: SidecarState = await self._ports[key].changes(ip, revision, wait=_WAIT_SECONDS)
            except SidecarError as error:
                failures += 1
                wait = min(_BACKOFF_FIRST * 2**failures, _BACKOFF_LAST)
                await asyncio.sleep(_UNSUPPORTED_SECONDS if error.status in (404, 405) else wait)
                revision = 0  # a new process of the sidecar counts from 1 again
                continue
            failures = 0
            if state.revision != revision:
                revision = state.revision
                self._wake(key)
