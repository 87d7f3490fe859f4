"""How the layout of the code is counted: packages, circles, what runs back, how deep it goes."""

from __future__ import annotations

from support.structure import ROOT, circles_of, depth_of, package, report, running_back

CHAIN = {("a", "b"): 3, ("b", "c"): 1}
CIRCLE = {**CHAIN, ("c", "a"): 2}


def test_a_chain_has_no_circle_and_nothing_that_runs_back() -> None:
    assert circles_of(CHAIN) == []
    assert depth_of(CHAIN, []) == 3


def test_in_a_circle_the_fewest_imports_run_back() -> None:
    (circle,) = circles_of(CIRCLE)
    assert circle == ["a", "b", "c"]
    assert running_back(CIRCLE, circle) == 1
    assert depth_of({**CIRCLE, ("c", "d"): 1}, [circle]) == 2, "a circle counts as one"


def test_a_module_belongs_to_its_folder_unless_it_lies_beside_folders() -> None:
    folders = {"p", "p.q"}
    assert package("p.q.module", folders) == "p.q"
    assert package("p.module", folders) == "p.module"
    assert package("p.q", folders) == "p.q"


def test_this_checkout_is_counted_part_by_part() -> None:
    told = report(ROOT)
    assert [line.split("|")[1].strip() for line in told[2:7]] == [
        "operator",
        "sidecar",
        "plugin",
        "runtime, with both",
        "core",
    ]
