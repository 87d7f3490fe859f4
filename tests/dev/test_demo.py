"""How the demo waits: it hears of each change at once, and neither a failure nor its deadline is waited out in vain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from oneseek_dev import install
from oneseek_dev.backends import Embedded
from oneseek_dev.demo import Demo, scores_line
from oneseek_dev.errors import CommandError, DevError
from oneseek_dev.layout import Cluster
from oneseek_dev.processes import start_time

# Each call prints the lines of one round; the last round goes on for as long as nobody ends it.
KUBECTL = """#!/bin/sh
cd "$(dirname "$0")"
printf '%s\\n' "$*" >> calls
round=$(wc -l < calls)
echo $$ > pid
cat "round-$round"
[ -e "round-$((round + 1))" ] || exec sleep 60
"""


def run(reason: str, message: str = "", **status: Any) -> str:
    conditions = [{"type": "Ready", "status": "False", "reason": reason, "message": message}]
    if status.pop("stalled", False):
        conditions.append({"type": "Stalled", "status": "True", "reason": reason, "message": message})
    return json.dumps({"metadata": {"name": "r"}, "status": {"conditions": conditions, **status}}) + "\n"


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    (tmp_path / "kubectl").write_text(KUBECTL)
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setattr(install, "binary", lambda name: str(tmp_path / name))
    return Demo(Embedded(Cluster(tmp_path, "demo")))


def rounds(home: Path, *texts: str) -> None:
    for number, text in enumerate(texts, 1):
        (home / f"round-{number}").write_text(text)


def has_dna(item: dict[str, Any]) -> bool:
    return "dna" in item["status"]


def test_progress_is_told_once_a_change_and_the_end_ends_the_watch(
    demo: Demo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rounds(
        tmp_path, run("Preparing", "data") + run("Preparing", "data") + run("Certifying") + run("Certified", dna="x")
    )
    assert demo.wait("trainingrun", "r", has_dna, within=30, show=True)["status"]["dna"] == "x"
    assert capsys.readouterr().err.splitlines() == ["    Preparing: data", "    Certifying: "]
    assert start_time(int((tmp_path / "pid").read_text())) is None


def test_a_watch_that_ends_begins_anew(demo: Demo, tmp_path: Path) -> None:
    rounds(tmp_path, run("Preparing"), run("Certified", dna="x"))
    demo.wait("trainingrun", "r", has_dna, within=30)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert len(calls) == 2
    assert "get trainingrun --field-selector=metadata.name=r --watch" in calls[1]


def test_what_has_failed_is_not_waited_for(demo: Demo, tmp_path: Path) -> None:
    rounds(tmp_path, run("OutOfMemory", "killed at 1Gi", stalled=True))
    with pytest.raises(DevError, match="trainingrun/r failed: OutOfMemory: killed at 1Gi"):
        demo.wait("trainingrun", "r", has_dna, within=30)


def test_at_the_deadline_the_last_message_is_told(demo: Demo, tmp_path: Path) -> None:
    rounds(tmp_path, *[run("Training", f"epoch {number}") for number in range(1, 400)])
    with pytest.raises(DevError, match=r"trainingrun/r was not done within 0 s: epoch \d"):
        demo.wait("trainingrun", "r", has_dna, within=0.2)
    assert "--request-timeout=1s" in (tmp_path / "calls").read_text()


def test_a_kubectl_that_fails_is_told_with_its_words(demo: Demo, tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text("#!/bin/sh\necho 'the server is gone' >&2\nexit 1\n")
    with pytest.raises(CommandError, match="ended with 1:\n  the server is gone"):
        demo.wait("trainingrun", "r", has_dna, within=30)


def test_to_tell_it_anew_all_of_the_demos_namespace_goes(demo: Demo, tmp_path: Path) -> None:
    rounds(tmp_path, *[""] * 6)
    demo.forget()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith("-n oneseek-demo delete trainingruns,oneseekmodels --all --timeout=")
    assert calls[-1].startswith("delete namespace oneseek-demo --ignore-not-found --timeout=")


def test_scores_are_told_by_language_as_they_were_certified() -> None:
    by_language = {"sv": {"questions": 12, "exact": 5 / 12}, "en": {"questions": 12, "exact": 0.833333}}
    scores = {"questions": 24, "factsContained": 0.6875, "exact": 0.625, "byLanguage": by_language}
    told = scores_line({"status": {"scores": scores}})
    assert "69% of the facts" in told
    assert "10 of 12 en, 5 of 12 sv" in told
    assert "0.688" in told
