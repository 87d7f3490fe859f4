"""`diff MODEL DNA [DNA]`: two versions side by side: scores by language, data and digests, parameters, parents, ages."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import Version
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.colours import PodView
from oneseek_runtime.plugin.comparing import Row, Sources, compare, facts_of, shown
from oneseek_runtime.plugin.errors import KubectlError
from oneseek_runtime.plugin.text import printable, table
from oneseek_runtime.plugin.times import age
from oneseek_runtime.plugin.versions import DNA_HELP, MODEL_HELP, find, mistake

__all__ = ["ABOUT", "add_arguments", "render", "run"]

ABOUT = (
    "What is certified is read in a serving pod (pods/exec); without that right the objects alone are compared, "
    "and a note says so."
)

_CONTAINER = "sidecar"


def add_arguments(parser: ArgumentParser) -> None:
    """What `diff` takes."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("left", metavar="DNA", help=DNA_HELP)
    parser.add_argument("right", metavar="DNA", nargs="?", help="the other one; unless named: what answers now")
    parser.add_argument("--all", action="store_true", help="also what is the same in both")


def run(call: Call) -> Answer:
    """Read what is known of both and compare. Raises CannotTellError: the model cannot be read."""
    model = reading.read_model(call.kubectl, call.arguments.model)
    by_dna = {version.dna: version for version in model.status.versions}
    current = model.status.current
    if call.arguments.right is None and current is None:
        return _refused(model, names.NO_SUCH_VERSION, "no version answers now: name both")
    chosen = []
    for text in (call.arguments.left, call.arguments.right or (current.dna if current else "")):
        found = find(text, by_dna)
        if len(found) != 1:
            return _refused(model, *mistake(model, text, found))
        chosen.append(by_dna[found[0]])
    metadata, notes = _certified(call, model, [version.dna for version in chosen])
    left, right = (Sources(one, metadata.get(one.dna), _run_of(call, model, one)) for one in chosen)
    rows = compare(facts_of(left), facts_of(right))
    document = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "left": chosen[0].dna,
        "right": chosen[1].dna,
        "facts": [row.document() for row in rows],
    }
    return Answer(document, render(chosen[0], chosen[1], rows, call.now, everything=call.arguments.all), notes=notes)


def render(left: Version, right: Version, rows: Sequence[Row], now: datetime, *, everything: bool) -> str:
    """A table of what differs, and the names of what does not."""
    cells = [
        [f"{row.section}   {row.name}", _shown(row, row.left, now), _shown(row, row.right, now), row.change]
        for row in rows
        if everything or not row.same
    ]
    lines = [f"left    {left.dna}", f"right   {right.dna}"]
    lines = [*map(printable, lines), "", table(["WHAT", "LEFT", "RIGHT", "CHANGE"], cells)]
    same = [row.name for row in rows if row.same]
    if same and not everything:
        lines.append(printable(f"the same: {', '.join(same)}"))
    return "\n".join(lines)


def _shown(row: Row, value: str | float | None, now: datetime) -> str:
    if row.name == "created" and isinstance(value, str):
        return f"{value} ({age(value, now)} ago)"
    if isinstance(value, str) and "sha256:" in value:
        head, _, rest = value.partition("sha256:")
        return f"{head}sha256:{rest[:12]}{rest[64:]}"
    return shown(value)


def _certified(
    call: Call, model: OneSeekModel, versions: Sequence[str]
) -> tuple[dict[str, Mapping[str, Any]], tuple[str, ...]]:
    """The certified metadata of those versions that lie on the claim, through a pod that has it mounted."""
    namespace, selector = (
        f"--namespace={model.metadata.namespace}",
        f"--selector={names.LABEL_MODEL}={model.metadata.name}",
    )
    try:
        pods = [PodView.parse(item) for item in call.kubectl.items("pods", namespace, selector)]
        ready = [pod for pod in pods if pod.colour and pod.ready and not pod.terminating]
        if not ready:
            return {}, ("no pod is ready to read the certified metadata in; what follows is from the objects alone",)
        command = ["metadata", *dict.fromkeys(versions)]
        data = call.kubectl.execute(f"pod/{ready[0].name}", _CONTAINER, command, namespace=model.metadata.namespace)
        told = [json.loads(line) for line in data.splitlines()]
        return {item["dna"]: item["metadata"] for item in told if item["metadata"]}, ()
    except (KubectlError, ValueError, KeyError, TypeError) as error:
        return {}, (f"the certified metadata cannot be read ({error}); what follows is from the objects alone",)


def _run_of(call: Call, model: OneSeekModel, version: Version) -> Mapping[str, Any] | None:
    """The TrainingRun that made it, where it still is there and still is that one."""
    if version.run is None:
        return None
    try:
        found = call.kubectl.get(reading.RUNS, version.run, f"--namespace={model.metadata.namespace}")
    except KubectlError:
        return None
    return found if found.get("status", {}).get("dna") == version.dna else None


def _refused(model: OneSeekModel, reason: str, message: str) -> Answer:
    document = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "reason": reason,
        "message": message,
    }
    return Answer(document, printable(f"{reason}: {message}"), Exit.REFUSED)
