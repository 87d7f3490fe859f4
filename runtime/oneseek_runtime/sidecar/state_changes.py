"""Revision numbers of the sidecar's state, for GET /internal/changes.

The state is compared with the one before at each answer; whoever changes it notifies. The engine and the connections are polled once
a second while somebody waits.
"""

from __future__ import annotations

import asyncio
import time

from oneseek_core.serving.sidecar import SidecarState

__all__ = ["Changes", "Signal"]


class Signal:
    """Wakes all current waiters."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def notify(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return at the next notification or after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return


class Changes(Signal):
    """Numbers states. The first number is the time, so numbers of earlier processes do not recur."""

    def __init__(self) -> None:
        super().__init__()
        self._revision = int(time.time() * 1000)
        self._before: tuple[object, ...] | None = None
        self.waiting = 0  # requests that wait for a change

    def number(self, state: SidecarState, *, terminating: bool) -> SidecarState:
        """Returns the state with its revision, which rises at each relevant change."""
        seen = (*_observable(state), terminating)
        if self._before is not None and seen != self._before:
            self._revision += 1
        self._before = seen
        return state.model_copy(update={"revision": self._revision})


def _observable(state: SidecarState) -> tuple[object, ...]:
    """The relevant fields; counters and times are not."""
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
