"""[I/O] What several verbs read of the cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from oneseek_core import names
from oneseek_runtime.plugin.answers import Call
from oneseek_runtime.plugin.colours import PodView
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.kubectl import Kubectl
from oneseek_runtime.plugin.views import ModelView, RunView

__all__ = [
    "MODELS",
    "RUNS",
    "is_path",
    "model_name",
    "read_file",
    "read_model",
    "read_models",
    "read_run",
    "read_runs",
    "running_pods",
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


def model_name(text: str) -> str:
    """The model's name without its kind."""
    return text.rpartition("/")[2]


def read_model(kubectl: Kubectl, name: str) -> ModelView:
    """The model.

    Raises:
        CannotTellError: it is not there or cannot be read.
    """
    return ModelView.parse(kubectl.get(MODELS, model_name(name)))


def read_run(kubectl: Kubectl, name: str) -> RunView:
    """The run.

    Raises:
        CannotTellError: it is not there or cannot be read.
    """
    return RunView.parse(kubectl.get(RUNS, model_name(name)))


def read_models(call: Call, *more: str) -> list[ModelView]:
    """All models that the flags reach, by namespace and name.

    Raises:
        CannotTellError: they cannot be read.
    """
    found = [ModelView.parse(item) for item in call.kubectl.items(MODELS, *more)]
    return sorted(found, key=lambda model: (model.metadata.namespace, model.metadata.name))


def read_runs(kubectl: Kubectl, *more: str) -> list[RunView]:
    """All runs that the flags reach.

    Raises:
        CannotTellError: they cannot be read.
    """
    return [RunView.parse(item) for item in kubectl.items(RUNS, *more)]


def running_pods(kubectl: Kubectl, model: ModelView) -> list[str]:
    """The names of the running pods of the colour that answers, at least one.

    Raises:
        CannotTellError: there is none, or pods cannot be read.
    """
    name, colour = model.metadata.name, model.status.colour
    labels = f"{names.LABEL_MODEL}={name},{names.LABEL_COLOUR}={colour}"
    found = kubectl.items("pods", f"--namespace={model.metadata.namespace}", f"--selector={labels}") if colour else []
    running = [pod.name for pod in map(PodView.parse, found) if pod.phase == "Running" and not pod.terminating]
    if not running:
        raise CannotTellError(f"no pod of {name} is running; {model.ready.reason}: {model.ready.message}")
    return running


def read_file(path: str) -> bytes:
    """A file's bytes; `-` is stdin.

    Raises:
        CannotTellError: it cannot be read.
    """
    try:
        return Path("/dev/stdin").read_bytes() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise CannotTellError(f"{path} cannot be read: {error.strerror}") from error
