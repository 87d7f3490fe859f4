"""What a process remembers of a model's pods between reconciles, because no object says it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from oneseek_operator.observe.pods import PodView

__all__ = ["PodContacts"]

# A network that enforces policies may need so long to hear of the operator's own new pod. Less than UNREACHABLE_SECONDS.
_UNKNOWN_SECONDS = 8.0


class PodContacts:
    """Since when pods have not answered, or have taken no order; and which pods are the model's own.

    `own`: uids of pods whose controllers were the model's while they existed.
    """

    def __init__(self) -> None:
        self._silent: dict[str, datetime] = {}
        self._deaf: dict[str, datetime] = {}
        self._began: datetime | None = None
        self.own: set[str] = set()

    def believes_refusals(self, now: datetime) -> bool:
        """Whether a refused connection means that nothing listens there; not in the first seconds of the process."""
        self._began = self._began or now
        return (now - self._began).total_seconds() >= _UNKNOWN_SECONDS

    def seconds(self, pod: PodView, now: datetime, *, silent: bool) -> float:
        """For how many seconds no order could reach the pod; `silent`: it does not answer now."""
        if silent:
            self._silent.setdefault(pod.uid, now)
        else:
            self._silent.pop(pod.uid, None)
        since = [found[pod.uid] for found in (self._silent, self._deaf) if pod.uid in found]
        return (now - min(since)).total_seconds() if since else 0.0

    def order_failed(self, pod: PodView, now: datetime) -> None:
        """The pod answers, but an order did not reach it."""
        self._deaf.setdefault(pod.uid, now)

    def order_delivered(self, pod: PodView) -> None:
        """An order reached the pod."""
        self._deaf.pop(pod.uid, None)

    def forget_all_but(self, pods: Collection[PodView]) -> None:
        """Forget pods that are gone."""
        there = {pod.uid for pod in pods}
        for found in (self._silent, self._deaf):
            for uid in found.keys() - there:
                del found[uid]
