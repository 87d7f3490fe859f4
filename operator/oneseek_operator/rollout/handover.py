"""Which pods answer, and which pass new requests on to them. Pure.

A Service flip does not reach every node at once, and it moves no connection that is kept alive. So every pod that clients may
still reach, and that does not serve the version that took over, is ordered to hand each new request over to the pods that do.
The status names the new version only once all of them report that they do.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from oneseek_core import names
from oneseek_core.serving.handover import Handover
from oneseek_operator.actions import Delete, HandOver
from oneseek_operator.observe.model import Endpoint, Snapshot
from oneseek_operator.observe.pods import PodView

__all__ = ["Takeover", "dna_of_pod", "is_handed_over", "is_unreachable", "may_answer", "orders", "replaced", "waiting"]

UNREACHABLE_SECONDS = 10.0  # a pod that no order reaches for so long is deleted
_GRACE_SECONDS = 5  # seconds, of that deletion: no order to drain reaches it
_DEAD_SECONDS = 25.0  # seconds after the grace period: the pod's node counts as dead, and nothing waits for it
_ADDRESS_LIMIT = 8  # addresses in an order


@dataclass(frozen=True, slots=True)
class Takeover:
    """The version that is to answer, and the colour whose pods serve it.

    `colour` is None while the version that the Service selects (`left`) may not answer and no other does: new requests wait.
    `trial`: colours that are analysed and have no clients. `barred`: versions in quarantine.
    """

    dna: str | None
    colour: str | None
    left: str | None = None
    trial: frozenset[str] = frozenset()
    barred: frozenset[str] = frozenset()

    @property
    def name(self) -> str:
        """The version, as a sentence names it."""
        return self.dna or "the base model"

    def successors(self, snapshot: Snapshot) -> list[str]:
        """Addresses of the pods that serve the version."""
        if self.colour is None:
            return []
        pods = [pod for pod in snapshot.pods_of(self.colour) if pod.ip and snapshot.endpoint(pod).serves(self.dna)]
        return sorted(pod.ip for pod in pods)[:_ADDRESS_LIMIT]


def orders(snapshot: Snapshot, to: Takeover) -> list[HandOver]:
    """Orders for pods that do not follow them yet; unreachable pods are left to `replaced`."""
    addresses = to.successors(snapshot)
    found = []
    for pod in _serving_pods(snapshot):
        endpoint = snapshot.endpoint(pod)
        if endpoint.state is None or endpoint.unreachable_seconds >= UNREACHABLE_SECONDS:
            continue
        order = _order(snapshot, pod, to, addresses)
        if not is_handed_over(endpoint, order, terminating=pod.terminating):
            found.append(HandOver(pod.ip, order))
    # First the pods that pass requests on, then those that answer again: they begin once requests reach them.
    return sorted(found, key=lambda item: item.handover is None)


def _order(snapshot: Snapshot, pod: PodView, to: Takeover, addresses: Sequence[str]) -> Handover | None:
    """The order that the pod must follow; None: it answers itself."""
    state, colour = snapshot.endpoint(pod).state, pod.labels[names.LABEL_COLOUR]
    if state is None:
        return None
    # A pod of the previous release, or with another TLS setting, can only use their public port.
    same = to.colour is None or {item.speaks for item in snapshot.pods_of(to.colour)} <= {pod.speaks}
    there = list(addresses) if same else [_public(one) for one in addresses]
    order = Handover(dna=to.dna, addresses=there)
    if colour == to.colour:
        if state.dna == to.dna and (state.ready or pod.terminating):
            return None
        if not state.ready and not pod.terminating and not _wakes_with_another(snapshot, pod, to):
            return order if state.handover else None
    elif colour in to.trial and not pod.terminating:
        return order if state.handover else None
    if not addresses and state.handover is None and not _is_barred(snapshot, pod, to):
        return None  # no pod could answer in its place
    return order


def _public(ip: str) -> str:
    return f"[{ip}]:{names.PORT_PUBLIC}" if ":" in ip else f"{ip}:{names.PORT_PUBLIC}"


def _wakes_with_another(snapshot: Snapshot, pod: PodView, to: Takeover) -> bool:
    """Whether an unready pod, whose swap was interrupted, may become ready with a version in quarantine."""
    state, current = snapshot.endpoint(pod).state, snapshot.model.status.current
    swapping = state is not None and state.swap is not None and state.swap.phase != "Done"
    return swapping and current is not None and current.dna in to.barred


def _is_barred(snapshot: Snapshot, pod: PodView, to: Takeover) -> bool:
    return bool({snapshot.endpoint(pod).dna, dna_of_pod(snapshot, pod)} & to.barred)


def dna_of_pod(snapshot: Snapshot, pod: PodView) -> str | None:
    """The DNA that the pod's colour is to serve."""
    return snapshot.dna_of(pod.labels.get(names.LABEL_COLOUR))


def is_handed_over(endpoint: Endpoint, order: Handover | None, *, terminating: bool) -> bool:
    """Whether the pod reports that it follows its order."""
    state = endpoint.state
    if state is None:
        return False
    if order is None:
        return state.handover is None and (terminating or not state.draining)
    if state.handover is None:
        return state.revision == 0 and state.draining  # previous release: it can only drain
    return state.handover.dna == order.dna and sorted(state.handover.addresses) == sorted(order.addresses)


def waiting(snapshot: Snapshot, to: Takeover, now: datetime) -> list[str]:
    """A sentence for each pod whose report is missing, before it is certain that only the version answers."""
    addresses = to.successors(snapshot)
    found = []
    for pod in _serving_pods(snapshot):
        endpoint = snapshot.endpoint(pod)
        mine = pod.labels[names.LABEL_COLOUR] == to.colour and not pod.terminating
        if endpoint.state is None:
            if _may_answer_unseen(snapshot, pod, to, now):
                found.append(f"pod {pod.name} does not answer: {endpoint.error or 'it was not asked yet'}")
        elif mine and (pod.ready or endpoint.state.ready) and not endpoint.serves(to.dna):
            found.append(f"pod {pod.name} does not answer with it yet")
        elif not is_handed_over(endpoint, _order(snapshot, pod, to, addresses), terminating=pod.terminating):
            found.append(
                f"pod {pod.name} has not said yet that it answers clients again"
                if mine
                else f"pod {pod.name} has not said yet that it hands new requests over"
            )
    if to.colour is not None and not addresses and not found:
        found.append("no pod of it answers")
    return found


def _may_answer_unseen(snapshot: Snapshot, pod: PodView, to: Takeover, now: datetime) -> bool:
    """Whether a pod that does not answer the operator may answer a client with another version."""
    endpoint, colour = snapshot.endpoint(pod), pod.labels[names.LABEL_COLOUR]
    there = snapshot.deployment_of(colour)
    if colour == to.colour and not (there and there.shape):
        return pod.ready and not pod.terminating  # it can serve nothing else, but must report it
    if colour in to.trial and not pod.terminating:
        return False
    if endpoint.refused:
        return not pod.terminating and _has_answered(pod)
    if not (pod.ready or pod.sidecar_runs):
        return False
    if pod.terminating and pod.ends_at:
        return (now - datetime.fromisoformat(pod.ends_at)).total_seconds() < _DEAD_SECONDS
    return True


def _has_answered(pod: PodView) -> bool:
    """Whether the pod's sidecar was up before; one that starts for the first time has had no client."""
    return pod.ready or any(item.name == "sidecar" and item.restarts for item in pod.containers)


def replaced(snapshot: Snapshot, to: Takeover, now: datetime) -> list[tuple[Delete, str]]:
    """Deletions of unreachable pods that may answer with another version, with a sentence each.

    At once if nothing listens: its sidecar would answer again when it is back. After a while if it is silent.
    """
    found = []
    for pod in _serving_pods(snapshot):
        endpoint = snapshot.endpoint(pod)
        if not is_unreachable(endpoint) or not _is_needed(snapshot, pod, to, now):
            continue
        if pod.terminating and _seconds_left(pod, now) <= 2 * _GRACE_SECONDS:
            continue
        why = endpoint.error or "it did not take the order"
        sentence = f"pod {pod.name} could not be told that {to.name} answers now, so it is deleted: {why}"
        found.append((Delete("Pod", pod.name, pod.uid, grace=_GRACE_SECONDS), sentence))
    return found


def _is_needed(snapshot: Snapshot, pod: PodView, to: Takeover, now: datetime) -> bool:
    mine = pod.labels[names.LABEL_COLOUR] == to.colour
    if snapshot.endpoint(pod).state is None:
        endpoint = snapshot.endpoint(pod)
        return _may_answer_unseen(snapshot, pod, to, now) and not (mine and (endpoint.refused or endpoint.alien))
    return not is_handed_over(
        snapshot.endpoint(pod), _order(snapshot, pod, to, to.successors(snapshot)), terminating=pod.terminating
    )


def is_unreachable(endpoint: Endpoint) -> bool:
    """Whether a pod has been silent, or taken no order, for too long, or nothing listens there."""
    return endpoint.unreachable_seconds >= UNREACHABLE_SECONDS or (endpoint.state is None and endpoint.refused)


def _seconds_left(pod: PodView, now: datetime) -> float:
    return (datetime.fromisoformat(pod.ends_at) - now).total_seconds() if pod.ends_at else 0.0


def may_answer(snapshot: Snapshot, to: Takeover, dna: str, now: datetime) -> bool:
    """Whether an unreachable pod may answer a client with this version."""
    return any(
        dna in (dna_of_pod(snapshot, pod), snapshot.endpoint(pod).dna) and _is_loose(snapshot, pod, to, now)
        for pod in _serving_pods(snapshot)
    )


def _is_loose(snapshot: Snapshot, pod: PodView, to: Takeover, now: datetime) -> bool:
    endpoint = snapshot.endpoint(pod)
    if endpoint.state is None:
        return _may_answer_unseen(snapshot, pod, to, now)
    order = _order(snapshot, pod, to, to.successors(snapshot))
    return is_unreachable(endpoint) and not is_handed_over(endpoint, order, terminating=pod.terminating)


def _serving_pods(snapshot: Snapshot) -> Collection[PodView]:
    return [pod for pod in snapshot.pods if pod.labels.get(names.LABEL_COLOUR) and pod.ip and pod.phase == "Running"]
