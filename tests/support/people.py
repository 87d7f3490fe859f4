"""What the chart's ClusterRoles let people do, and the table of docs/reference/auth.md that says so.

PYTHONPATH=core:tests python -m support.people     # writes the table; needs helm in .local/bin
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs/reference/auth.md"
BEGIN, END = "<!-- roles: written by `python -m support.people` -->", "<!-- end of roles -->"
ROLES = ("view", "edit", "promoter", "admin")
# What each verb, on the kind it is meant for, lets somebody do.
DEEDS = {
    ("oneseekmodels", "get"): "read models and runs",
    ("oneseekmodels", "update"): "write models, runs (that is training, too), and what is in their specs",
    ("oneseekmodels/scale", "update"): "change how many pods serve",
    ("oneseekmodels", "patch"): "patch models: of who has not `update`, annotations `oneseek.io/*` alone",
    ("oneseekmodels", "delete"): "delete models and runs",
    ("oneseekmodels", "train"): "train over HTTP, or by a window's annotation",
    ("trainingruns", "retry"): "have a run that failed go on",
    ("oneseekmodels", "promote"): "let another version answer",
    ("oneseekmodels", "rollback"): "go back, and put what is left into quarantine",
    ("oneseekmodels", "release"): "take a version out of quarantine",
    ("oneseekmodels", "reset"): "delete every version",
    ("oneseekmodels", "acknowledge-ledger"): "let another ledger go on in place of the one that was witnessed",
}
_IMAGES = [word for name in ("operator", "slim", "runtime") for word in ("--set", f"images.{name}=any:1")]


def rendered(*arguments: str) -> list[dict[str, Any]]:
    """The chart as helm renders it."""
    command = [
        str(ROOT / ".local/bin/helm"),
        "template",
        "oneseek",
        str(ROOT / "charts/oneseek"),
        "-n",
        "oneseek-system",
    ]
    command += ["--kube-version", "1.34.0", *_IMAGES, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def roles() -> dict[str, dict[str, Any]]:
    """The ClusterRoles for people, by the last word of their names."""
    found = {item["metadata"]["name"]: item for item in rendered() if item["kind"] == "ClusterRole"}
    return {name: found[f"oneseek-{name}"] for name in ROLES}


def may(role: dict[str, Any]) -> set[tuple[str, str]]:
    """(resource, verb) of each right that a role gives."""
    return {(kind, verb) for rule in role["rules"] for kind in rule["resources"] for verb in rule["verbs"]}


def table(found: dict[str, dict[str, Any]]) -> str:
    """The table as Markdown."""
    head = " | ".join(f"`oneseek-{name}`" for name in ROLES)
    lines = [f"| verb | on | lets one | {head} |", "| --- " * (len(ROLES) + 3) + "|"]
    for (kind, verb), deed in DEEDS.items():
        cells = ["yes" if (kind, verb) in may(found[name]) else "" for name in ROLES]
        lines.append(f"| `{verb}` | {kind} | {deed} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table."""
    before, rest = DOCUMENT.read_text().split(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{table(roles())}\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
