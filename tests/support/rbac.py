"""What our accounts are granted, by the chart and by the operator, and what of it the test cluster's audit log shows in use.

    PYTHONPATH=tests python -m support.rbac     # `make rbac`, after a run of the cluster suite

writes what was used to tests/golden/rbac_used.txt, which tests/chart/test_rbac.py holds against the chart's rules.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.resources import service_account
from support.kube import NAME, ROOT
from support.makers import model_manifest
from support.people import rendered

USED = ROOT / "tests/golden/rbac_used.txt"
DOCUMENT = ROOT / "docs/reference/auth.md"
BEGIN, END = "<!-- granted and not seen in use -->", "<!-- end of granted -->"
MODEL = "MODEL"  # stands for the name of a sidecar's own model
_OPERATOR = "system:serviceaccount:oneseek-system:oneseek-operator"
_SIDECAR = ":oneseek-sidecar-"


class Right(NamedTuple):
    """That an account may do something; `name` empty: with any object of the kind."""

    account: str
    verb: str
    resource: str
    name: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in self if part)

    def covers(self, use: Right) -> bool:
        """Whether a use needs no other right."""
        return self[:3] == use[:3] and self.name in ("", use.name)


class Rule(NamedTuple):
    """A rule of a role that the chart or the operator makes."""

    role: str
    rights: tuple[Right, ...]


def rules() -> list[Rule]:
    """Every rule that the operator's account and the sidecars' have."""
    found = []
    for item in rendered():
        name = item["metadata"]["name"]
        if item["kind"] in ("Role", "ClusterRole") and "oneseek-operator" in name:
            account = "sidecar" if name.endswith("-tokens") else "operator"
            found += [Rule(name, tuple(_rights(account, rule))) for rule in item["rules"]]
    meta = {"name": MODEL, "namespace": "n", "uid": "u"}
    _, role, _ = service_account.objects(
        OneSeekModel.model_validate(model_manifest(MODEL) | {"metadata": meta}), policy=True
    )
    return found + [Rule("a sidecar's", tuple(_rights("sidecar", rule))) for rule in role["rules"]]


def _rights(account: str, rule: dict[str, Any]) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield Right(account, verb, _qualified(group, resource), name)


def _qualified(group: str, resource: str) -> str:
    kind, slash, rest = resource.partition("/")
    return kind + (f".{group}" if group else "") + slash + rest


def seen(lines: Iterable[str], granted: Sequence[Right]) -> tuple[set[Right], set[Right]]:
    """What our accounts were allowed, and what they asked for and were not, by an audit log."""
    named = {(right.resource, right.name) for right in granted if right.name}
    allowed, refused = set[Right](), set[Right]()
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the line being written
        user, about = entry["user"]["username"], entry.get("objectRef")
        sidecar = user.partition(_SIDECAR)[2] if user.startswith("system:serviceaccount:") else ""
        if about is None or not (sidecar or user == _OPERATOR):
            continue
        resource = _qualified(about.get("apiGroup", ""), about["resource"])
        name = MODEL if sidecar and about.get("name") == sidecar else about.get("name", "")
        resource += f"/{about['subresource']}" if about.get("subresource") else ""
        right = Right("sidecar" if sidecar else "operator", entry["verb"], resource)
        right = right._replace(name=name) if (resource, name) in named else right
        decided = entry.get("annotations", {}).get("authorization.k8s.io/decision")
        (allowed if decided == "allow" else refused).add(right)
        if right.verb == "patch" and entry.get("responseStatus", {}).get("code") == HTTPStatus.CREATED:
            allowed.add(
                right._replace(verb="create")
            )  # applied and not there yet: the API server asks for this right too
    return allowed, refused


def used() -> set[Right]:
    """What was in use when the file was written."""
    return {Right(*line.split()) for line in USED.read_text().splitlines() if not line.startswith("#")}


def explained() -> set[Right]:
    """What is granted and never asked for, by the table of docs/reference/auth.md, which says why."""
    rows = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0].splitlines()
    cells = [row.split("|")[1].strip() for row in rows if row.startswith("| `")]
    return {Right(*cell.strip("`").split()) for cell in cells}


def unused(granted: Iterable[Right], uses: set[Right]) -> list[Right]:
    """What is granted and no use needed."""
    return sorted(right for right in granted if not any(right.covers(use) for use in uses))


def main() -> int:
    """Read the audit log of the test cluster; 1 where a right is neither used nor explained."""
    granted = [right for rule in rules() for right in rule.rights]
    state = ROOT / ".local" / NAME
    allowed, refused = seen(_lines(sorted(state.glob("audit*.log"))), granted)
    USED.write_text("# written by `make rbac` from the audit log of a run of the cluster suite\n" + _listed(allowed))
    idle = unused(granted, allowed)
    why = explained()
    print(f"{len(granted)} rights are granted, {len(granted) - len(idle)} of them were used")
    print(
        "granted and never used:", *(f"  {right}{'   (explained)' if right in why else ''}" for right in idle), sep="\n"
    )
    print("asked for and refused:", *(f"  {right}" for right in sorted(refused)), sep="\n")
    return int(bool(set(idle) - why))


def _lines(files: Iterable[Path]) -> Iterator[str]:
    for file in files:
        with file.open() as log:
            yield from log


def _listed(rights: set[Right]) -> str:
    return "".join(f"{right}\n" for right in sorted(rights))


if __name__ == "__main__":
    sys.exit(main())
