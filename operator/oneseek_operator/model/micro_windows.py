"""The run that a closed window of the records service asks for. Pure.

Clients post training examples; the records service collects them in windows and names the run of each. Once a window is
closed, the sidecar annotates the model with its number and the digest of its content. The run is created under that name,
owned by the model, once; then the annotation is removed, so a crash in between creates the same run again. The digest is
pinned in the run's dataset, because a records service that lost its volume counts from 1 again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_operator.actions import Event
from oneseek_operator.resources import common

__all__ = ["WindowRuns", "requested_runs"]

_KINDS = {names.WINDOW_MICRO: ("micro", "Micro"), names.WINDOW_MAJOR: ("major", "Major")}
_WINDOW = re.compile(r"([1-9][0-9]{0,8})(?:@(sha256:[0-9a-f]{64}))?")


@dataclass(frozen=True, slots=True)
class WindowRuns:
    """Manifests of runs to create, the annotations that ask for them, and Events."""

    runs: tuple[dict[str, Any], ...] = ()
    annotations: tuple[str, ...] = ()
    events: tuple[Event, ...] = ()


def requested_runs(model: OneSeekModel, there: Sequence[TrainingRun]) -> WindowRuns:
    """The runs that the model's annotations ask for, unless they are `there`."""
    runs, events = [], []
    found = tuple(key for key in _KINDS if key in model.metadata.annotations)
    for key in found:
        value = model.metadata.annotations[key]
        kind, of_type = _KINDS[key]
        if refused := _refusal(model, key, value):
            events.append(Event(names.WINDOW_REFUSED, refused, warning=True))
            continue
        number, _, digest = value.partition("@")
        name = _name(model, kind, int(number), digest, there)
        if not any(_is_run_of(run, name, int(number), digest) for run in there):
            runs.append(_run(model, name, of_type, int(number), digest))
        events.append(Event(names.WINDOW_TAKEN, f"window {number} of the records is trained by the run {name!r}"))
    return WindowRuns(tuple(runs), found, tuple(events))


def _refusal(model: OneSeekModel, key: str, value: str) -> str:
    if not _WINDOW.fullmatch(value):
        return (
            f"{key}={value[:64]!r} names no window of the records service; its value is the window's number, or"
            " NUMBER@DIGEST"
        )
    if key == names.WINDOW_MICRO and not model.spec.training.micro.enabled:
        return f"{key}={value} asks for a Micro run, but spec.training.micro.enabled is false"
    return ""


def _name(model: OneSeekModel, kind: str, number: int, digest: str, there: Sequence[TrainingRun]) -> str:
    """The run's name; another one where a run of that name learns from another window of the number."""
    name = names.window_run(model.metadata.name, kind, number)
    namesake = next((run for run in there if run.metadata.name == name), None)
    windows = [item for item in namesake.spec.datasets if item.source.records] if namesake else []
    pinned = {dataset.digest for dataset in windows}
    if not digest or pinned <= {None, digest}:
        return name
    return names.window_run(model.metadata.name, kind, number, digest)


def _is_run_of(run: TrainingRun, name: str, number: int, digest: str) -> bool:
    """Whether the window's run is there, whoever made it: a folder of manifests that is applied again brings it back."""
    windows = {item.source.records.window: item.digest for item in run.spec.datasets if item.source.records}
    return run.metadata.name == name and number in windows and windows[number] in (None, digest or windows[number])


def _run(model: OneSeekModel, name: str, of_type: str, window: int, digest: str) -> dict[str, Any]:
    dataset = {"name": f"conversation-{window}", "source": {"records": {"window": window}}}
    # A Major run starts from the base model: it trains what the model must know, too.
    known = [item.to_wire() for item in model.spec.training.datasets] if of_type == "Major" else []
    spec = {
        "modelRef": {"name": model.metadata.name},
        "type": of_type,
        "datasets": [*known, {**dataset, "digest": digest} if digest else dataset],
        **model.spec.training.defaults.to_wire(),
    }
    labels = {names.LABEL_MODEL: model.metadata.name, names.LABEL_COMPONENT: "training"}
    return {
        "apiVersion": names.API_VERSION,
        "kind": "TrainingRun",
        "metadata": common.meta(model, name, labels),
        "spec": spec,
    }
