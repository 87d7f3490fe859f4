"""The oldest Kubernetes that takes what we apply: one number, in the chart, the README and the operations guide."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from oneseek_core.api.crd import definitions

ROOT = Path(__file__).parents[3]
# The release of the API server that brought a function of CEL (its pkg/cel/environment/base.go); 0: all that know CEL.
# An API server takes what is new in a new rule one release later, so that it can be rolled back by one.
INTRODUCED = {
    "all": 0, "contains": 0, "endsWith": 0, "exists": 0, "filter": 0, "has": 0, "map": 0, "matches": 0, "size": 0,
    "startsWith": 0, "dyn": 0, "string": 0, "join": 0, "indexOf": 0, "orValue": 28, "isCIDR": 30, "isIP": 30,
    "group": 27, "resource": 27, "namespace": 27, "name": 27, "check": 27, "allowed": 27,  # of the authorizer
}  # fmt: skip
# What else we apply needs, in the release where it is on by default.
FEATURES = {
    "native sidecars (restartPolicy of init containers)": 29,
    "PodReadyToStartContainers": 29,
    "podFailurePolicy of Jobs": 26,
    "ValidatingAdmissionPolicy v1": 30,
}


def rules(node: Any) -> list[str]:
    """Every CEL rule of a schema."""
    if isinstance(node, list):
        return [rule for item in node for rule in rules(item)]
    if not isinstance(node, dict):
        return []
    own = [item["rule"] for item in node.get("x-kubernetes-validations", [])]
    return own + [rule for key, item in node.items() if key != "x-kubernetes-validations" for rule in rules(item)]


def functions(expression: str) -> set[str]:
    """The functions and macros that an expression calls."""
    code = re.sub(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", "''", expression)
    return set(re.findall(r"([A-Za-z_]\w*)\(", code))


def policies() -> list[str]:
    """The expressions of the admission policies, whose template has them as they are, but for what it repeats."""
    text = (ROOT / "charts/oneseek/templates/admission.yaml").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("{{")]
    documents = yaml.safe_load_all(re.sub(r"\{\{.*?\}\}", "", "\n".join(lines)))
    specs = [item["spec"] for item in documents if item]
    return [item["expression"] for spec in specs for item in [*spec["variables"], *spec["validations"]]]


EXPRESSIONS = [rule for definition in definitions().values() for rule in rules(definition)] + policies()


def minimum() -> str:
    """The oldest release that takes everything."""
    used = set().union(*(functions(expression) for expression in EXPRESSIONS))
    return f"1.{max([*FEATURES.values(), *(INTRODUCED[name] + 1 for name in used if INTRODUCED[name])])}"


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_every_function_of_a_rule_is_known_with_its_release(expression: str) -> None:
    assert functions(expression) <= set(INTRODUCED), "look up which release brought it, and enter it above"


def test_a_function_is_found_wherever_it_stands_and_not_in_a_text() -> None:
    assert functions("self.all(n, isCIDR(n)) || 'f(x)' == g(self) && self.x.?a.orValue(\"h()\")") == {
        "all", "isCIDR", "g", "orValue",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("charts/oneseek/Chart.yaml", 'kubeVersion: ">={}.0-0"'),
        ("README.md", "Kubernetes {} or newer"),
        ("docs/how-to/install.md", "| Kubernetes | {} or newer"),
    ],
)
def test_that_release_is_what_the_chart_asks_for_and_the_documents_say(path: str, text: str) -> None:
    assert minimum() == "1.31"
    assert text.format(minimum()) in (ROOT / path).read_text()
