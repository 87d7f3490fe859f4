"""`logs RUN [-f] [--step STEP]`: what a training run's pods print; with -f one step after the other until it ends."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Answers, Call
from oneseek_runtime.plugin.errors import CannotTellError, KubectlError
from oneseek_runtime.plugin.text import printable

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = "The steps are prepare, train, evaluate and certify. Training prints its progress as a line of JSON each time."

STEPS = ("prepare", "train", "evaluate", "certify")
_CONTAINER = "main"
_PAUSE = 1.0  # seconds between two looks for the next pod


def add_arguments(parser: ArgumentParser) -> None:
    """What `logs` takes."""
    parser.add_argument("run", metavar="RUN", help="name of a TrainingRun")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the run has ended, step by step")
    parser.add_argument(
        "--step",
        choices=STEPS,
        help="the pods of this step; else the newest step that has a pod (with -f: all from there)",
    )
    parser.add_argument("--tail", type=int, metavar="N", help="the last N lines of each pod; else all")


@dataclass(frozen=True, slots=True)
class _Pod:
    name: str
    step: str
    started: bool

    @classmethod
    def parse(cls, pod: Mapping[str, Any]) -> _Pod:
        meta, states = pod["metadata"], pod.get("status", {}).get("containerStatuses", [])
        # Of a container that waits for its image there is no log, and kubectl fails.
        started = any(state.get("state", {}).keys() & {"running", "terminated"} for state in states)
        return cls(meta["name"], meta.get("labels", {}).get(names.LABEL_COMPONENT, ""), started)


def run(call: Call) -> Answers:
    """Read the logs; with --follow as they are written.

    Raises CannotTellError: the run, its pods or their logs cannot be read.
    """
    found = reading.read_run(call.kubectl, call.arguments.run)
    if call.arguments.follow:
        return _follow(call, found)
    pods = [pod for pod in _pods(call, found) if pod.started]
    step = call.arguments.step or (pods[-1].step if pods else "")
    shown = [pod for pod in pods if pod.step == step]
    if not shown:
        raise CannotTellError(_none(found, call.arguments.step))
    told = {pod.name: list(call.kubectl.lines(*_command(call, found, pod, follow=False))) for pod in shown}
    document = {
        "name": found.metadata.name,
        "namespace": found.metadata.namespace,
        "step": step,
        "pods": [{"name": name, "lines": lines} for name, lines in told.items()],
    }
    text = "\n".join(printable(line.expandtabs()) for lines in told.values() for line in lines)
    return Answer(document, text, notes=tuple(f"{step}, pod {name}" for name in told) if len(told) > 1 else ())


def _follow(call: Call, found: TrainingRun) -> Iterator[Answer]:
    """The lines of one pod after the other, from the newest step on, until the run has ended and all is read."""
    read: set[str] = set()
    waited = False
    while True:
        ended = lenient.phase(found) != "UnderWay"
        pods = [pod for pod in _pods(call, found) if pod.name not in read]
        if not read and not call.arguments.step and pods:
            pods = [pod for pod in pods if pod.step == pods[-1].step]
        pods = [pod for pod in pods if call.arguments.step in (None, pod.step)]
        for pod in [pod for pod in pods if pod.started]:
            read.add(pod.name)
            yield from _lines(call, found, pod)
        if ended and not any(pod.started for pod in pods):
            if not read:
                raise CannotTellError(_none(found, call.arguments.step))
            return
        if call.arguments.step and read and not pods and _past(call, found):
            return
        if not read and not waited:
            waited = True
            sentence = f"waiting for a pod; {reading.state_of(found)}"
            yield Answer({"waiting": sentence}, f"({printable(sentence)})")
        call.clock.sleep(_PAUSE)
        found = reading.read_run(call.kubectl, found.metadata.name)


def _past(call: Call, found: TrainingRun) -> bool:
    """Whether a later step than the one asked for has a pod: then the one asked for is over."""
    wanted = STEPS.index(call.arguments.step)
    return any(pod.step in STEPS[wanted + 1 :] for pod in _pods(call, found))


def _lines(call: Call, found: TrainingRun, pod: _Pod) -> Iterator[Answer]:
    head = f"{pod.step}, pod {pod.name}"
    first: tuple[str, ...] = (head,)
    try:
        for line in call.kubectl.lines(*_command(call, found, pod, follow=True)):
            yield Answer({"step": pod.step, "pod": pod.name, "line": line}, printable(line.expandtabs()), notes=first)
            first = ()
    except KubectlError as error:  # the pod went away while it was read; the run may go on in another
        yield Answer(
            {"step": pod.step, "pod": pod.name, "error": str(error)}, f"({printable(str(error))})", notes=first
        )


def _pods(call: Call, found: TrainingRun) -> list[_Pod]:
    """The run's pods, the oldest first."""
    labels = f"--selector={names.LABEL_RUN}={names.label_value(found.metadata.name)}"
    items = call.kubectl.items("pods", f"--namespace={found.metadata.namespace}", labels)
    ordered: Sequence[Mapping[str, Any]] = sorted(items, key=lambda item: _age(item["metadata"]))
    return [_Pod.parse(item) for item in ordered]


def _age(meta: Mapping[str, Any]) -> tuple[str, int, str]:
    """Times have whole seconds: within one the steps' own order decides."""
    step = meta.get("labels", {}).get(names.LABEL_COMPONENT, "")
    return meta.get("creationTimestamp", ""), STEPS.index(step) if step in STEPS else len(STEPS), meta["name"]


def _command(call: Call, found: TrainingRun, pod: _Pod, *, follow: bool) -> list[str]:
    tail = [f"--tail={call.arguments.tail}"] if call.arguments.tail is not None else []
    more = ["--follow"] if follow else []
    return ["logs", f"--namespace={found.metadata.namespace}", f"pod/{pod.name}", "-c", _CONTAINER, *tail, *more]


def _none(found: TrainingRun, step: str | None) -> str:
    what = f"no pod of step {step}" if step else "no pod"
    return f"{found.metadata.name} has {what} whose log could be read; {reading.state_of(found)}"
