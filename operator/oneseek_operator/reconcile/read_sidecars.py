"""Asks the sidecars of serving pods for their state, and the Service for the version that answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from oneseek_core import names
from oneseek_core.jobs.verify import VerifyReport
from oneseek_operator.errors import SidecarError
from oneseek_operator.observe.model import Endpoint, ServiceAnswer, Snapshot
from oneseek_operator.observe.pods import PodView
from oneseek_operator.reconcile.concurrency import gather
from oneseek_operator.reconcile.pod_contacts import PodContacts
from oneseek_operator.reconcile.ports import SidecarPort

__all__ = ["ask_service", "ask_sidecars"]

_TERMINATING_SECONDS = 1.0  # timeout for a pod that may be gone


async def ask_sidecars(
    ours: Sequence[PodView], sidecars: SidecarPort, contacts: PodContacts, now: datetime
) -> dict[str, Endpoint]:
    """The answer of each serving pod, by name, all asked concurrently; a pod whose sidecar does not run is not asked."""
    asked = [
        pod
        for pod in ours
        if pod.labels.get(names.LABEL_COLOUR)
        and pod.ip
        and pod.phase == "Running"
        and (pod.ready or pod.sidecar_runs or pod.terminating)
    ]
    answers = await gather([_ask(pod, sidecars) for pod in asked])
    if not contacts.believes_refusals(now):
        answers = [replace(answer, refused=False) for answer in answers]
    contacts.forget_all_but(asked)
    found = {}
    for pod, answer in zip(asked, answers, strict=True):
        seconds = contacts.seconds(pod, now, silent=answer.state is None and not answer.refused)
        found[pod.name] = replace(answer, unreachable_seconds=seconds)
    return found


async def _ask(pod: PodView, sidecars: SidecarPort) -> Endpoint:
    try:
        async with asyncio.timeout(_TERMINATING_SECONDS if pod.terminating else None):
            state = await sidecars.state(pod.ip)
    except TimeoutError:
        text = f"it did not answer within {_TERMINATING_SECONDS:g} s"
        return Endpoint(error=text, verdict=await _verdict(pod, sidecars))
    except SidecarError as error:
        verdict = await _verdict(pod, sidecars)
        return Endpoint(error=str(error), refused=error.refused, alien=error.alien, verdict=verdict)
    of_before = pod.speaks == "before" and state.verdict is None and not state.revision and not pod.terminating
    return Endpoint(state=state, verdict=await _verdict(pod, sidecars) if of_before else state.verdict)


async def _verdict(pod: PodView, sidecars: SidecarPort) -> VerifyReport | None:
    """The report of a verifier of the previous release, which answers itself; None if it does not: that refuses nothing."""
    if pod.speaks != "before":
        return None
    try:
        async with asyncio.timeout(_TERMINATING_SECONDS):
            return await sidecars.verdict(pod.ip)
    except (SidecarError, TimeoutError):
        return None


async def ask_service(snapshot: Snapshot, sidecars: SidecarPort) -> ServiceAnswer:
    """What answers a fresh connection through the Service, as clients make them."""
    meta, address = snapshot.model.metadata, snapshot.service.ip if snapshot.service else ""
    try:
        return ServiceAnswer(await sidecars.served(address or f"{meta.name}.{meta.namespace}.svc"))
    except SidecarError as error:
        return ServiceAnswer(error=str(error))
