"""Asks the real readers (kstatus, kubectl, Helm, Flux, Argo CD) what they make of recorded objects, and writes it down.

    PYTHONPATH=dev:tests python -m support.readers

records every phase under tests/golden/phases and writes the table of docs/reference/readers.md.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from oneseek_operator.rollout import drain
from support.kube import ROOT
from support.phases import PHASES
from support.phases.phase import Phase, record
from support.world.api_server import Object

GOLDEN = ROOT / "tests/golden/phases"
DOCUMENT = ROOT / "docs/reference/readers.md"
ARGOCD = ROOT / "examples/gitops/argocd/argocd-cm.yaml"
FLUX = ROOT / "examples/gitops/flux/clusters/prod/oneseek.yaml"
CRDS = ROOT / "crds"
BEGIN, END = "<!-- table: written by `make readers` -->", "<!-- end of table -->"
_TIMEOUT = 120


def recorded(phase: Phase) -> str:
    """The phase's object as YAML, made now."""
    found = asyncio.run(record(phase))
    return f"# {phase.says} (written by `make readers`)\n" + yaml.safe_dump(found, sort_keys=True, width=120)


def golden(phase: Phase) -> Path:
    """Where the phase's object is kept."""
    return GOLDEN / f"{phase.slug}.yaml"


def load(phase: Phase) -> Object:
    """The phase's object as it is kept."""
    found: Object = yaml.safe_load(golden(phase).read_text())
    return found


def program() -> Path:
    """The program with the readers in it; built where it is not there yet."""
    sys.path.insert(0, str(ROOT / "dev"))
    from oneseek_dev import tools  # noqa: PLC0415 - the launcher's package is on the path only here

    return tools.readers()


def ask(lines: Iterable[Object]) -> list[dict[str, Any]]:
    """What the program answers to each line."""
    text = "".join(json.dumps(line) + "\n" for line in lines)
    command = [str(program()), "--argocd-cm", str(ARGOCD), "--flux", str(FLUX), "--crds", str(CRDS)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        raise AssertionError(done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def table(phases: Sequence[Phase], verdicts: Sequence[dict[str, Any]]) -> str:
    """The table of phases and verdicts, one for each kind."""
    out = []
    for kind in ("OneSeekModel", "TrainingRun"):
        out += [
            f"### {kind}",
            "",
            "| phase | means | Ready | kstatus, Flux, Helm 4 | `kubectl wait` | Flux with our expressions | Argo CD |",
            "| --- | --- | --- | --- | --- | --- | --- |",
        ]
        for phase, said in zip(phases, verdicts, strict=True):
            if phase.key[0] != kind:
                continue
            ready = next(
                (item for item in load(phase)["status"].get("conditions", []) if item["type"] == "Ready"), None
            )
            cells = [
                phase.says,
                phase.means.value,
                f"{ready['status']}, {ready['reason']}" if ready else "absent",
                said["kstatus"]["status"],
                {"Met": "met", "NotMet": "waits"}[said["kubectlWait"]["status"]],
                said["flux"]["status"],
                said["argo"]["status"],
            ]
            out.append("| " + " | ".join(cells) + " |")
        out.append("")
    return "\n".join([*out, *_columns(phases, verdicts)])


def _columns(phases: Sequence[Phase], verdicts: Sequence[dict[str, Any]]) -> list[str]:
    """What `kubectl get` prints in each phase, as the API server makes its rows."""
    out = []
    for kind in ("OneSeekModel", "TrainingRun"):
        rows = []
        for phase, said in zip(phases, verdicts, strict=True):
            if phase.key[0] == kind:
                shown = [item for item in said["columns"] if not item["wide"] and item["name"] != "Age"]
                rows.append({item["name"].upper(): item["value"] for item in shown} | {"NAME": phase.slug})
        cells = [list(rows[0]), *(list(row.values()) for row in rows)]
        widths = [max(len(row[place]) for row in cells) for place in range(len(cells[0]))]
        lines = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
        out += [f"### `kubectl get {kind.lower()}s`", "", "```", *(line.rstrip() for line in lines), "```", ""]
    return out


def document(text: str, new_table: str) -> str:
    """The document with its table replaced."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{new_table}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Write everything again."""
    drain._SETTLE_SECONDS = 0
    drain.warm_seconds = lambda _: 0  # type: ignore[assignment]
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for path in GOLDEN.glob("*.yaml"):
        path.unlink()
    for phase in PHASES:
        golden(phase).write_text(recorded(phase))
    verdicts = ask(load(phase) for phase in PHASES)
    DOCUMENT.write_text(document(DOCUMENT.read_text(), table(PHASES, verdicts)))


if __name__ == "__main__":
    main()
