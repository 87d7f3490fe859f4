"""Hears from pods: one long poll a serving pod, that wakes the model whenever the pod's state has changed.

What is in the state is read again by the reconcile that follows; here only its revision counts. The looks on a timer
stay, so a change that is missed here is merely seen later.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Mapping

from oneseek_core.serving.sidecar import SidecarState
from oneseek_operator.errors import SidecarError
from oneseek_operator.reconcile.ports import SidecarPort
from oneseek_operator.wakeups import Key, Wakeups

__all__ = ["Followers"]

log = logging.getLogger(__name__)

_WAIT_SECONDS = 25.0
_BACKOFF_FIRST, _BACKOFF_LAST = 0.2, 10.0
_PAUSE_FIRST, _PAUSE_LAST = 0.01, 1.0  # between answers that come in quick succession
_UNKNOWN_SECONDS = 300.0  # a sidecar of the release before tells of no changes


class Followers:
    """One task a pod, by model and address."""

    def __init__(self, wakeups: Wakeups) -> None:
        self._wakeups = wakeups
        self._ways: dict[Key, SidecarPort] = {}
        self._tasks: defaultdict[Key, dict[str, asyncio.Task[None]]] = defaultdict(dict)

    def follow(self, key: Key, pods: Mapping[str, int], sidecars: SidecarPort) -> None:
        """Follow these pods of a model, and no others: addresses, with the revision seen last, and the way to them now."""
        self._ways[key] = sidecars
        tasks = self._tasks[key]
        for ip in tasks.keys() - pods.keys():
            tasks.pop(ip).cancel()
        for ip in pods.keys() - tasks.keys():
            tasks[ip] = asyncio.create_task(self._run(key, ip, pods[ip]))

    def forget(self, key: Key) -> None:
        """The model is gone, or somebody else's."""
        for task in self._tasks.pop(key, {}).values():
            task.cancel()
        self._ways.pop(key, None)

    async def _run(self, key: Key, ip: str, revision: int) -> None:
        failures, pause = 0, 0.0
        while True:
            began = time.monotonic()
            try:
                state: SidecarState = await self._ways[key].changes(ip, revision, wait=_WAIT_SECONDS)
            except SidecarError as error:
                failures += 1
                wait = min(_BACKOFF_FIRST * 2**failures, _BACKOFF_LAST)
                await asyncio.sleep(_UNKNOWN_SECONDS if error.status in (404, 405) else wait)
                revision = 0  # another process of the sidecar counts anew
                continue
            failures = 0
            if state.revision != revision:
                revision = state.revision
                self._wakeups.wake(*key)
            # A pod that answers at once, again and again, would have the operator do nothing else.
            quick = time.monotonic() - began < _PAUSE_LAST
            pause = min(max(2 * pause, _PAUSE_FIRST), _PAUSE_LAST) if quick else 0.0
            await asyncio.sleep(pause)
