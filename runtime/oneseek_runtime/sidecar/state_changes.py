"""When a sidecar's state last changed: the revision that GET /internal/changes waits for.

Nothing is watched while nobody waits: each answer compares the state with the one before, and who changes something
rings. What only others know (the engine, the connections) is looked at once a second while somebody waits.
"""

from __future__ import annotations

import asyncio
import time

from oneseek_core.serving.sidecar import SidecarState

__all__ = ["Changes", "Signal"]


class Signal:
    """Wakes all who wait at that moment; who comes later waits for the next time."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return at the next ring, or after so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return


class Changes(Signal):
    """Numbers states. The first number is the time, so that those of an earlier process are never met again."""

    def __init__(self) -> None:
        super().__init__()
        self._revision = int(time.time() * 1000)
        self._before: tuple[object, ...] | None = None
        self.waiting = 0
        """How many wait for a change."""

    def number(self, state: SidecarState, *, terminating: bool) -> SidecarState:
        """The state with its revision: a new one where something changed that is worth telling."""
        seen = (*_observable(state), terminating)
        if self._before is not None and seen != self._before:
            self._revision += 1
        self._before = seen
        return state.model_copy(update={"revision": self._revision})


def _observable(state: SidecarState) -> tuple[object, ...]:
    """What is worth telling. Counters and times of looks are not."""
    analysis, verdict, swap = state.analysis, state.verdict, state.swap
    return (
        state.dna,
        state.ready,
        state.handover,
        state.draining and not state.open_connections,
        analysis and (analysis.digest, analysis.phase),
        verdict and (verdict.ok, verdict.reason, verdict.dna),
        swap and (swap.dna, swap.serial, swap.phase, swap.refused, swap.kept),
    )
