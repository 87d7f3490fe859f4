"""Which event wakes which loop. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import kopf

from oneseek_core import names
from oneseek_operator.deps import Deps
from oneseek_operator.handlers.daemons import end_unkept, end_unkept_run, note_gone

__all__ = ["model_changed", "register", "run_changed"]

_CHILDREN = (
    ("batch", "v1", "jobs"),
    ("apps", "v1", "deployments"),
    ("apps", "v1", "statefulsets"),
    ("", "v1", "pods"),
    ("", "v1", "services"),
)


def register(registry: kopf.OperatorRegistry) -> None:
    """Add the event handlers to a registry."""
    kopf.on.event(names.GROUP, names.VERSION, names.MODELS, registry=registry)(model_changed)
    kopf.on.event(names.GROUP, names.VERSION, names.TRAINING_RUNS, registry=registry)(run_changed)
    for group, version, plural in _CHILDREN:
        watch = kopf.on.event(group, version, plural, labels={names.LABEL_MODEL: kopf.PRESENT}, registry=registry)
        watch(child_changed)


async def model_changed(*, namespace: str | None, name: str, body: kopf.Body, type: str, memo: Any, **_: Any) -> None:  # noqa: A002 - Kopf's name
    """A model wakes itself and the runs that wait for it; one that was deleted while no operator ran is seen off."""
    deps: Deps = memo.deps
    namespace = namespace or ""
    if type != "DELETED":
        await end_unkept(namespace, name, body, deps)
    else:
        note_gone("OneSeekModel", namespace, name, body, deps)
    deps.wakeups.wake("OneSeekModel", namespace, name)
    for key in deps.runs_of_model.get((namespace, name), ()):
        deps.wakeups.wake("TrainingRun", namespace, key)


async def run_changed(*, namespace: str | None, name: str, body: kopf.Body, type: str, memo: Any, **_: Any) -> None:  # noqa: A002 - Kopf's name
    """A run wakes itself, its model (it may be certified) and the model's other runs (one may be next)."""
    deps: Deps = memo.deps
    namespace = namespace or ""
    model = str(body.get("spec", {}).get("modelRef", {}).get("name", ""))
    runs = deps.runs_of_model[(namespace, model)]
    runs.add(name)
    if type == "DELETED":
        note_gone("TrainingRun", namespace, name, body, deps)
        runs.discard(name)
        if not runs:
            del deps.runs_of_model[(namespace, model)]
    deps.wakeups.wake("OneSeekModel", namespace, model)
    for other in {name, *runs}:
        deps.wakeups.wake("TrainingRun", namespace, other)
    if type != "DELETED":
        await end_unkept_run(namespace, name, body, deps)


async def child_changed(*, namespace: str | None, labels: Mapping[str, str], memo: Any, **_: Any) -> None:
    """A Job, Deployment, pod or Service wakes the model or the run it is labelled with."""
    deps: Deps = memo.deps
    namespace = namespace or ""
    if run := labels.get(names.LABEL_RUN):
        deps.wakeups.wake("TrainingRun", namespace, run)
    else:
        deps.wakeups.wake("OneSeekModel", namespace, labels[names.LABEL_MODEL])
