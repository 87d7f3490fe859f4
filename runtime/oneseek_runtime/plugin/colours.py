"""A model's Deployments (colours) and pods, as the API server returns them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_core import names

__all__ = ["ColourView", "PodView", "colours_of"]


@dataclass(frozen=True, slots=True)
class PodView:
    """A pod; `trouble` says why it is not ready. `component` is its step or role; `started`: its container has a log."""

    name: str
    colour: str
    component: str
    started: bool
    phase: str
    ready: bool
    terminating: bool
    restarts: int
    trouble: str

    @classmethod
    def parse(cls, pod: Mapping[str, Any]) -> PodView:
        """Read a pod."""
        meta, status = pod["metadata"], pod.get("status", {})
        labels, states = meta.get("labels", {}), status.get("containerStatuses", [])
        conditions = {item["type"]: item for item in status.get("conditions", [])}
        containers = [*status.get("initContainerStatuses", []), *states]
        scheduled = conditions.get("PodScheduled", {})
        troubles = [text for item in containers if (text := _trouble(item))]
        if scheduled.get("status") == "False":
            troubles.insert(0, f"{scheduled.get('reason', '')}: {scheduled.get('message', '')}")
        return cls(
            name=meta["name"],
            colour=labels.get(names.LABEL_COLOUR, ""),
            component=labels.get(names.LABEL_COMPONENT, ""),
            # Of a container that waits for its image there is no log, and kubectl fails.
            started=any(state.get("state", {}).keys() & {"running", "terminated"} for state in states),
            phase=status.get("phase", "Unknown"),
            ready=conditions.get("Ready", {}).get("status") == "True",
            terminating="deletionTimestamp" in meta,
            restarts=sum(item.get("restartCount", 0) for item in containers),
            trouble="; ".join(troubles),
        )

    def document(self) -> dict[str, Any]:
        """As JSON."""
        found: dict[str, Any] = {"name": self.name, "phase": self.phase, "ready": self.ready, "restarts": self.restarts}
        return found | ({"terminating": True} if self.terminating else {}) | self._trouble()

    def _trouble(self) -> dict[str, Any]:
        return {"trouble": self.trouble} if self.trouble else {}


def _trouble(container: Mapping[str, Any]) -> str:
    state = container.get("state", {})
    waiting, ended = state.get("waiting", {}), state.get("terminated", {})
    if (reason := waiting.get("reason", "")) and reason not in ("PodInitializing", "ContainerCreating"):
        last = container.get("lastState", {}).get("terminated", {}).get("message") or waiting.get("message", "")
        return f"{container.get('name', '')} {reason}{f': {last.strip()}' if last else ''}"
    if ended.get("exitCode"):
        return f"{container.get('name', '')} {ended.get('reason', 'Error')}: exit code {ended['exitCode']}"
    return ""


@dataclass(frozen=True, slots=True)
class ColourView:
    """One Deployment: a version with one pod template. `dna` is None if it serves the base model."""

    name: str
    dna: str | None
    live: bool
    wanted: int
    pods: tuple[PodView, ...]

    def document(self) -> dict[str, Any]:
        """As JSON."""
        pods = [pod.document() for pod in self.pods]
        return {"name": self.name, "dna": self.dna, "live": self.live, "replicas": self.wanted, "pods": pods}


def colours_of(objects: Sequence[Mapping[str, Any]], live: str | None) -> list[ColourView]:
    """The colours among Deployments and Pods; the one that the Service selects comes first."""
    pods = [PodView.parse(item) for item in objects if item.get("kind") == "Pod"]
    found = []
    for item in objects:
        meta = item["metadata"]
        name = meta.get("labels", {}).get(names.LABEL_COLOUR)
        if item.get("kind") != "Deployment" or name is None:
            continue
        mine = tuple(sorted((pod for pod in pods if pod.colour == name), key=lambda pod: pod.name))
        dna = meta.get("annotations", {}).get(names.ANNOTATION_DNA) or None
        found.append(ColourView(name, dna, name == live, item.get("spec", {}).get("replicas", 1), mine))
    return sorted(found, key=lambda colour: (not colour.live, colour.name))
