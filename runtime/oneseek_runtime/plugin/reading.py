"""[I/O] What several verbs read of the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.plugin.colours import PodView
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.kubectl import Kubectl

__all__ = [
    "MODELS",
    "RUNS",
    "as_kind",
    "is_path",
    "of_model",
    "read_file",
    "read_model",
    "read_models",
    "read_run",
    "read_runs",
    "running_pods",
    "state_of",
]

MODELS: Final = "oneseekmodels.oneseek.io"
RUNS: Final = "trainingruns.oneseek.io"
_KINDS = ("osm", "oneseekmodel", "oneseekmodels", MODELS)


def is_path(text: str) -> bool:
    """Whether an argument that is a model or a path is a path. `osm/NAME` always is a model.

    A path has a slash, a capital letter (every DNA has; no object's name does) or a ledger's ending, or is there.
    """
    kind, slash, _ = text.partition("/")
    if slash:
        return kind.lower() not in _KINDS
    return text in (".", "..", "-") or text != text.lower() or text.endswith((".jsonl", ".json")) or Path(text).exists()


def read_model(kubectl: Kubectl, name: str) -> OneSeekModel:
    """The model; `osm/NAME` is its name, too. Raises CannotTellError: it is not there or cannot be read."""
    return lenient.read(OneSeekModel, kubectl.get(MODELS, name.rpartition("/")[2]))


def read_run(kubectl: Kubectl, name: str) -> TrainingRun:
    """The run. Raises as `read_model`."""
    return lenient.read(TrainingRun, kubectl.get(RUNS, name.rpartition("/")[2]))


def read_models(kubectl: Kubectl, *more: str) -> list[OneSeekModel]:
    """All models that the flags reach, by namespace and name. Raises as `read_model`."""
    found = [lenient.read(OneSeekModel, item) for item in kubectl.items(MODELS, *more)]
    return sorted(found, key=lambda model: (model.metadata.namespace, model.metadata.name))


def read_runs(kubectl: Kubectl, *more: str) -> list[TrainingRun]:
    """All runs that the flags reach, the newest first. Raises as `read_model`."""
    found = [lenient.read(TrainingRun, item) for item in kubectl.items(RUNS, *more)]
    return sorted(found, key=lambda run: (run.metadata.creation_timestamp, run.metadata.name), reverse=True)


def of_model(runs: Iterable[TrainingRun], model: OneSeekModel) -> list[TrainingRun]:
    """A model's runs among `runs`."""
    meta = model.metadata
    wanted = (meta.name, meta.namespace)
    return [run for run in runs if (run.spec.model_ref.name, run.metadata.namespace) == wanted]


def as_kind(resource: str, item: Mapping[str, Any]) -> lenient.Object:
    """An object of either resource."""
    return lenient.read(OneSeekModel if resource == MODELS else TrainingRun, item)


def state_of(found: lenient.Object) -> str:
    """The Ready condition as a person reads it: reason and message."""
    told = lenient.ready(found)
    return f"{told.reason}: {told.message}"


def running_pods(kubectl: Kubectl, model: OneSeekModel) -> list[str]:
    """The names of the running pods of the colour that answers, at least one.

    Raises CannotTellError: there is none, or pods cannot be read.
    """
    name, colour = model.metadata.name, model.status.colour
    labels = f"{names.LABEL_MODEL}={name},{names.LABEL_COLOUR}={colour}"
    found = kubectl.items("pods", f"--namespace={model.metadata.namespace}", f"--selector={labels}") if colour else []
    running = [pod.name for pod in map(PodView.parse, found) if pod.phase == "Running" and not pod.terminating]
    if not running:
        raise CannotTellError(f"no pod of {name} is running; {state_of(model)}")
    return running


def read_file(path: str) -> bytes:
    """A file's bytes; `-` is stdin. Raises CannotTellError: it cannot be read."""
    try:
        return Path("/dev/stdin").read_bytes() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CannotTellError(f"{path} cannot be read: {error.strerror}") from error
