"""What the documents promise to whoever reads them: each way out is written down, links hold, pages are short."""

from __future__ import annotations

import re
from pathlib import Path

import grimp
import pytest

from oneseek_core import names
from support import reference
from support.documents import DOCS, ROOT, anchors, code, links, pages, prose

UNINSTALL = (DOCS / "how-to/uninstall.md").read_text()
REASONS = (DOCS / "reference/reasons.md").read_text()
MADE = "written by `make"  # what a command writes may be long


def reasons() -> set[str]:
    """Every reason, condition type and state that a reader of objects can meet."""
    text = Path(names.__file__).read_text().split("# Condition types.")[1].split("class ExitCode")[0]
    return set(re.findall(r'^[A-Z_]+ = "([A-Z][A-Za-z]+)"', text, re.MULTILINE))


def rows(text: str) -> list[str]:
    """What stands in the first cells of a page's tables, in code."""
    lines = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for line in lines for name in re.findall(r"`([A-Z][A-Za-z]+)`", line)]


@pytest.mark.parametrize(
    "words",
    [
        "If the operator was removed first",
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


@pytest.mark.parametrize("reason", sorted(reasons()))
def test_every_reason_has_a_line_that_says_what_to_do(reason: str) -> None:
    assert reason in rows(REASONS) + _left_out(), "add it to docs/reference/reasons.md, with what to do"


def _left_out() -> list[str]:
    """Why rows are left out stands in one line of the runs' table."""
    (line,) = [line for line in REASONS.splitlines() if line.startswith("| `RowsLeftOut`")]
    return re.findall(r"`([A-Z][A-Za-z]+)`", line)


def test_the_glossary_has_every_condition_type() -> None:
    text = Path(names.__file__).read_text().split("# Condition types.")[1].split("# Reasons of what")[0]
    types = set(re.findall(r'^[A-Z_]+ = "([A-Z][A-Za-z]+)"', text, re.MULTILINE))
    assert len(types) > 10
    assert types <= set(code(DOCS / "glossary.md"))


def test_no_line_is_about_a_reason_that_is_gone() -> None:
    assert set(rows(REASONS)) <= reasons()


@pytest.mark.parametrize("page", reference.pages(), ids=lambda page: page.name)
def test_the_reference_is_that_of_the_code(page: Path) -> None:
    assert page.read_text() == reference.pages()[page], "run `make reference` and commit"


def test_the_readme_is_for_a_stranger() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_answers_one_question_in_two_hundred_lines(page: Path) -> None:
    text = page.read_text()
    assert MADE in text or len(text.splitlines()) <= 200
    assert len(re.findall(r"^# ", prose(page), re.MULTILINE)) == 1


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_links_of_documents_outside_the_site_hold(document: str) -> None:
    for link in links(ROOT / document):
        path, _, anchor = link.partition("#")
        if "://" in link:
            continue
        target = ROOT / path if path else ROOT / document
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_ten_places_are_where_the_table_says() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Ten places")[1].split("\n## ")[0]
    places = re.findall(r"^\| .* \| `([\w/.]+)` \| `([^`]+)` \|$", section, re.MULTILINE)
    assert len(places) == 10
    for path, word in places:
        assert word in (ROOT / path).read_text(), f"{path} has no {word}: say where it is now"
        assert {path, f"{Path(path).parent}/"} & set(code(ROOT / "README.md")), (
            f"the README's map does not lead to {path}"
        )


def test_a_rollback_passes_at_most_twelve_files_and_the_page_names_them() -> None:
    files = re.findall(r"^\| \d+ \| `([\w/]+)\.py`", (DOCS / "explanation/rollback.md").read_text(), re.MULTILINE)
    way = [f"oneseek_operator.{file.replace('/', '.')}" for file in files]
    graph = grimp.build_graph("oneseek_operator", cache_dir=None)
    assert 5 < len(way) <= 12
    for number, module in enumerate(way[1:-1], 1):
        above = {one for one in way[:number] if module in graph.find_modules_directly_imported_by(one)}
        assert above, f"nothing above it on the page imports {module}"
    assert way[-1] in graph.modules
