"""`status MODEL [-w]`: one model as a tree: conditions, what serves, versions, runs, quarantine, ledger.

Watching reads again every two seconds instead of holding watches open: four kinds in one picture, no reconnecting, and
a cluster that is away for a minute is a line below the tree.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.common import Scores
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_core.api.v1alpha1.training_run import TrainingRun
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Answers, Call
from oneseek_runtime.plugin.colours import ColourView, PodView, colours_of
from oneseek_runtime.plugin.errors import KubectlError, NotFoundError
from oneseek_runtime.plugin.text import Node, bar, number, short, tree
from oneseek_runtime.plugin.times import age, duration

__all__ = ["add_arguments", "render", "run"]

_PAUSE = 2.0  # seconds between two looks
_RUNS_SHOWN = 5  # that have ended; those under way are all shown


def add_arguments(parser: ArgumentParser) -> None:
    """What `status` takes."""
    parser.add_argument("model", metavar="MODEL", help="name of a OneSeekModel")
    parser.add_argument(
        "-w",
        "--watch",
        action="store_true",
        help="keep looking until Ctrl-C: redrawn in place on a terminal, elsewhere printed again whenever it has changed"
        " (-o json: a line each time)",
    )


def run(call: Call) -> Answers:
    """Read the model, its runs and its pods; with --watch again and again.

    Raises CannotTellError: the model or its runs cannot be read.
    """
    return _watch(call) if call.arguments.watch else _look(call)


def _watch(call: Call) -> Iterator[Answer]:
    """What it is like now, again and again; a model that goes away ends it, a cluster that is away does not."""
    seen: Answer | None = None
    while True:
        try:
            seen = replace(_look(replace(call, now=call.clock.now())), live=True)
            yield seen
        except NotFoundError:
            raise
        except KubectlError as error:
            if seen is None:
                raise
            yield replace(seen, notes=(f"as it was {_PAUSE:.0f} s or longer ago; it cannot be read: {error}",))
        call.clock.sleep(_PAUSE)


def _look(call: Call) -> Answer:
    """The tree now. Who may not see pods gets the rest, and a note."""
    model = reading.read_model(call.kubectl, call.arguments.model)
    runs = reading.of_model(reading.read_runs(call.kubectl), model)
    notes: tuple[str, ...] = ()
    colours: list[ColourView] = []
    try:
        label = f"--selector={names.LABEL_MODEL}={model.metadata.name}"
        colours = colours_of(call.kubectl.items("deployments,pods", label), model.status.colour)
    except KubectlError as error:
        notes = (f"the pods cannot be shown: {error}",)
    return Answer(_document(model, runs, colours), render(model, runs, colours, call.now), notes=notes)


def render(model: OneSeekModel, runs: Sequence[TrainingRun], colours: Sequence[ColourView], now: datetime) -> str:
    """The tree."""
    ready, status = lenient.ready(model), model.status
    root = Node(f"{model.metadata.name} ({model.metadata.namespace})   Ready={ready.status} {ready.reason}")
    if ready.message:
        root.add(ready.message)
    if status.url:
        root.add(f"answers at {status.url}")
    _asked(root, model, now)
    _conditions(root, model, now)
    _serving(root, model, colours)
    _versions(root, model, now)
    _runs(root, runs, now)
    if status.quarantine:
        branch = root.add("quarantine")
        for item in status.quarantine:
            branch.add(f"{item.dna}   {item.reason}   {age(item.since, now)}").add(item.message)
    if status.ledger or status.outbox:
        waiting = f", {len(status.outbox)} transitions wait for it" if status.outbox else ""
        height = f"{status.ledger.height} blocks, head {status.ledger.head[:12]}" if status.ledger else "not seen yet"
        root.add(f"ledger   {height}{waiting}")
    return tree(root)


def _asked(root: Node, model: OneSeekModel, now: datetime) -> None:
    """The newest request and what people have chosen: what explains an answer that Git did not ask for."""
    if told := model.status.request:
        who = told.requested_by or "somebody"
        about = f" ({told.dna})" if told.dna and told.dna != told.value else ""
        when = age(told.completed_at or told.created_at, now)
        reason = f" {told.reason}" if told.reason != told.outcome else ""
        branch = root.add(f"request   {told.verb} {told.value}{about}   {told.outcome}{reason}   {when}   by {who}")
        if told.message:
            branch.add(told.message)
    if model.spec.version != "auto":
        root.add(f"pinned by spec.version to {model.spec.version}")
    if chosen := model.status.selection:
        verb = "rolled back" if chosen.verb == "rollback" else "promoted"
        root.add(f"{verb} by hand to {chosen.dna or 'the base model'}   {age(chosen.since, now)}")


def _conditions(root: Node, model: OneSeekModel, now: datetime) -> None:
    branch = root.add("conditions")
    for item in model.status.conditions:
        if item.type != names.READY or not lenient.is_observed(model):
            line = f"{item.type}={item.status} {item.reason}   {age(item.last_transition_time, now)}"
            branch.add(f"{line}   {item.message}" if item.status != "True" or item.type in _TOLD else line)
    if not branch.below:
        root.below.remove(branch)


_TOLD = (names.RECONCILING, names.STALLED)  # True is news here; for every other condition it is as it ought to be


def _serving(root: Node, model: OneSeekModel, colours: Sequence[ColourView]) -> None:
    for colour in colours:
        role = "live colour" if colour.live else "colour"
        serves = colour.dna or f"base model {model.spec.base_model.name}"
        ready = sum(pod.ready for pod in colour.pods)
        branch = root.add(f"{role} {colour.name}   {serves}   {ready}/{colour.wanted} ready")
        for pod in colour.pods:
            branch.add(_pod(pod))


def _pod(pod: PodView) -> str:
    state = "Terminating" if pod.terminating else pod.phase
    parts = [f"pod {pod.name}", state, "ready" if pod.ready else "not ready"]
    if pod.restarts:
        parts.append(f"{pod.restarts} restarts")
    return "   ".join([*parts, *([pod.trouble] if pod.trouble else [])])


_MARKS = {names.STATE_CURRENT: "●", names.STATE_CANDIDATE: "◐", names.STATE_QUARANTINED: "✕", names.STATE_REJECTED: "✕"}


def _versions(root: Node, model: OneSeekModel, now: datetime) -> None:
    branch = root.add("versions")
    for version in sorted(model.status.versions, key=lambda item: item.created_at, reverse=True):
        mark = _MARKS.get(version.state, "○")
        node = branch.add(f"{mark} {version.dna}   {version.state}   {age(version.created_at, now)}")
        if version.reason:
            node.add(version.reason)
        if version.scores:
            _scores(node, version.scores)
        node.add("   ".join(_origin(version, model)))
    base, status = model.spec.base_model, model.status
    mark = "○" if status.current or not status.colour else "●"
    digest = short(status.base_model.digest) if status.base_model and status.base_model.digest else "not imported yet"
    branch.add(f"{mark} {base.name}   base model   {digest}")


def _origin(version: Version, model: OneSeekModel) -> list[str]:
    parent = version.parent or f"base model {model.spec.base_model.name}"
    run = [f"by run {version.run}"] if version.run else []
    return [f"from {parent}", *run, f"manifest {short(version.digest)}"]


def _scores(node: Node, scores: Scores) -> None:
    for label, told in (("scores", scores), *sorted(scores.by_language.items())):
        values = f"facts {number(told.facts_contained)}   exact {number(told.exact)}   loss {number(told.loss)}"
        node.add(f"{label}   {values}   over {told.questions} questions")


def _runs(root: Node, runs: Sequence[TrainingRun], now: datetime) -> None:
    if not runs:
        return
    branch = root.add("runs")
    going = [item for item in runs if lenient.phase(item) == "UnderWay"]
    ended = [item for item in runs if lenient.phase(item) != "UnderWay"]
    for item in [*going, *ended[:_RUNS_SHOWN]]:
        ready = lenient.ready(item)
        node = branch.add(f"{item.metadata.name}   {ready.reason}   {age(item.metadata.creation_timestamp, now)}")
        if lenient.phase(item) == "UnderWay" and item.spec.suspend:
            node.add(f"paused; `kubectl oneseek resume {item.metadata.name}` lets it go on")
        if lenient.phase(item) == "UnderWay" and (told := item.status.progress):
            speed = f"   {told.tokens_per_second:.0f} tokens/s" if told.tokens_per_second is not None else ""
            left = f"   {duration(told.eta_seconds)} left" if told.eta_seconds is not None else ""
            node.add(f"{bar(told.percent)}   step {told.step}/{told.steps}   loss {number(told.loss)}{speed}{left}")
        if item.status.dna:
            node.add(item.status.dna)
        elif ready.message and not (ready.reason == names.TRAINING and item.status.progress):
            node.add(ready.message)
    if len(ended) > _RUNS_SHOWN:
        branch.add(f"{len(ended) - _RUNS_SHOWN} older ones")


def _document(model: OneSeekModel, runs: Sequence[TrainingRun], colours: Sequence[ColourView]) -> dict[str, Any]:
    return {
        "name": model.metadata.name,
        "namespace": model.metadata.namespace,
        "ready": lenient.document(lenient.ready(model)),
        "baseModel": model.spec.base_model.name,
        "status": lenient.document(model.status),
        "colours": [colour.document() for colour in colours],
        "runs": [
            {"name": run.metadata.name, "phase": lenient.phase(run), "status": lenient.document(run.status)}
            for run in runs
        ],
    }
