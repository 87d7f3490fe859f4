"""What the documents promise to whoever is stuck: each way out is written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from oneseek_core import names

ROOT = Path(__file__).parents[2]
UNINSTALL = (ROOT / "docs/how-to/uninstall.md").read_text()
REASONS = (ROOT / "docs/reference/reasons.md").read_text()


@pytest.mark.parametrize(
    "words",
    [
        "Was the operator gone first",
        '"finalizers":null',
        "--take-ownership",
        "crds.install=false",
        "kubectl delete trun,osm --all -A",
    ],
)
def test_uninstalling_and_installing_elsewhere_are_explained(words: str) -> None:
    assert words in UNINSTALL


@pytest.mark.parametrize("document", ["README.md", "charts/oneseek/templates/NOTES.txt"])
def test_the_order_of_uninstalling_is_told_where_people_look_first(document: str) -> None:
    text = " ".join((ROOT / document).read_text().split())
    assert "Before you uninstall" in text
    assert "while the operator still runs" in text


@pytest.mark.parametrize("reason", [*names.REFUSED_REASONS, names.GATE_MISSING])
def test_every_reason_of_a_refusal_has_a_remedy(reason: str) -> None:
    rows = [line for line in REASONS.splitlines() if line.startswith("| `")]
    assert [line for line in rows if f"`{reason}`" in line.split("|")[1]]
