"""`make test` runs its stages in turn and says how long each took."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from oneseek_dev import stages


def test_each_stage_has_its_line_and_the_last_line_is_all_of_them() -> None:
    lines = stages.table([("lint", 100.0, 130.0), ("unit", 130.0, None)], now=190.0)
    assert [line.split() for line in lines] == [["30", "s", "lint"], ["60", "s", "unit"], ["90", "s", "all", "stages"]]


def test_the_first_that_fails_ends_it_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "Makefile").write_text("good:\n\t@echo good $$ONESEEK_STAGES\nbad:\n\t@exit 3\nnever:\n\t@echo never\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stages, "checkout", lambda: tmp_path)
    assert stages.main(["good", "bad", "never"]) == 2, "make's status for a recipe that failed"
    out, err = capfd.readouterr()
    assert out == "good\n", "the last stage alone is told of the others"
    assert [line.split()[2:] for line in err.splitlines()[-3:]] == [["good"], ["bad"], ["all", "stages"]]


def test_the_last_stage_reads_those_before_it(tmp_path: Path) -> None:
    file = tmp_path / "stages.json"
    file.write_text(json.dumps([["lint", 1.0, 2.0], ["unit", 2.0, None]]))
    assert stages.read({stages.ENVIRONMENT: str(file)}) == [("lint", 1.0, 2.0), ("unit", 2.0, None)]
    assert stages.read({}) is None
