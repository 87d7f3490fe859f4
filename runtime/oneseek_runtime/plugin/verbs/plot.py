"""`plot RUN`: a training run's loss curve, in the terminal, from its status."""

from __future__ import annotations

import shutil
from argparse import ArgumentParser
from collections.abc import Sequence

from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.training_run import LossPoint, TrainingRun
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call
from oneseek_runtime.plugin.curve import draw
from oneseek_runtime.plugin.errors import CannotTellError
from oneseek_runtime.plugin.text import number, printable

__all__ = ["add_arguments", "run"]

_TALLEST = 24  # lines; taller shows no more


def add_arguments(parser: ArgumentParser) -> None:
    """What `plot` takes."""
    parser.add_argument("run", metavar="RUN", help="name of a TrainingRun")
    parser.add_argument("--width", type=int, metavar="COLUMNS", help="width in characters; else the terminal's")
    parser.add_argument("--height", type=int, metavar="LINES", help="height in lines; else the terminal's, up to 24")


def run(call: Call) -> Answer:
    """Read the run and draw. Raises CannotTellError: it cannot be read, or has no loss yet."""
    found = reading.read_run(call.kubectl, call.arguments.run)
    losses = [point for point in found.status.losses if point.loss is not None]
    if not losses:
        raise CannotTellError(f"{found.metadata.name} has no losses yet; {reading.state_of(found)}")
    size = shutil.get_terminal_size()
    width = call.arguments.width or size.columns
    height = call.arguments.height or min(size.lines - 4, _TALLEST)
    curve = draw([(point.step, point.loss) for point in losses], width=width, height=height)
    document = {
        "name": found.metadata.name,
        "namespace": found.metadata.namespace,
        "losses": [lenient.document(point) for point in losses],
    }
    return Answer(document, f"{printable(_headline(found, losses))}\n{curve}")


def _headline(found: TrainingRun, losses: Sequence[LossPoint]) -> str:
    status = found.status
    least = min(losses, key=lambda point: point.loss)
    parts = [
        f"{found.metadata.name}   {lenient.ready(found).reason}",
        f"loss {number(losses[0].loss)} → {number(losses[-1].loss)}",
        f"least {number(least.loss)} at step {least.step}",
        f"step {losses[-1].step}" + (f"/{status.progress.steps}" if status.progress else ""),
    ]
    if status.auto_stopped:
        parts.append(f"stopped at step {status.auto_stopped.step}: {status.auto_stopped.reason}")
    return "   ".join(parts)
