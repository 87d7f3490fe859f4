from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.jobs.tree import TreeReport
from oneseek_core.names import ExitCode
from oneseek_runtime.certify import job as certify_job
from oneseek_runtime.tree import job
from support.artifacts import certify_request, environment, stage_adapter, tree_of

FAMILY = "OneSeek-7B-Zero"


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    (tmp_path / "claim" / "oneseek-certified").mkdir(parents=True)
    return tmp_path / "claim"


@pytest.fixture
def versions(claim: Path, tmp_path: Path) -> tuple[str, str]:
    stage_adapter(tmp_path / "staging")
    first, second = (
        certify_job.run(
            environment(certify_request(tmp_path / "staging", claim / "oneseek-certified", major=major))
        ).version.dna
        for major in (1, 2)
    )
    return first, second


def point(claim: Path, current: str | None, family: str = FAMILY) -> TreeReport:
    return job.run(environment({"modelsRoot": str(claim), "family": family, "current": current}))


def test_link_and_marker_name_the_version(claim: Path, versions: tuple[str, str]) -> None:
    certified = claim / "oneseek-certified"
    for dna in (*versions, versions[0], versions[0]):
        assert point(claim, dna) == TreeReport(current=dna)
        assert (certified / f"{FAMILY}-CURRENT").readlink() == Path(dna)
        assert (certified / f"{FAMILY}-CURRENT.txt").read_text() == f"/app/models/oneseek-certified/{dna}"
    assert not [child for child in certified.iterdir() if child.name.startswith(".")]


def test_without_a_version_both_are_removed(claim: Path, versions: tuple[str, str]) -> None:
    point(claim, versions[0])
    assert point(claim, None) == point(claim, None) == TreeReport()
    assert not list((claim / "oneseek-certified").glob("*CURRENT*"))


def test_a_note_for_people_is_written_once(claim: Path, versions: tuple[str, str]) -> None:
    readme = claim / "oneseek-certified" / "README.md"
    point(claim, versions[0])
    assert "manifest.json" in readme.read_text()
    readme.write_text("ours")
    point(claim, versions[1])
    assert readme.read_text() == "ours"


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        pytest.param(lambda dna: dna.replace("v1.", "v7."), "holds no certified version", id="no-such-version"),
        pytest.param(lambda _: "../basemodeller", "is not a DNA", id="path"),
        pytest.param(lambda _: "OneSeek-7B-Zero.v1.0", "is not a DNA", id="stem"),
        pytest.param(lambda dna: dna.replace(FAMILY, "Other"), "a version of Other", id="other-family"),
    ],
)
def test_what_is_no_version_here_is_refused_and_nothing_moves(
    claim: Path, versions: tuple[str, str], make: Callable[[str], str], sentence: str
) -> None:
    point(claim, versions[0])
    before = tree_of(claim)
    with pytest.raises(JobError) as raised:
        point(claim, make(versions[0]))
    assert (raised.value.reason, raised.value.exit_code) == (names.ARTIFACT_INVALID, ExitCode.BAD_ARTIFACT)
    assert sentence in raised.value.message
    assert tree_of(claim) == before
    assert (claim / "oneseek-certified" / f"{FAMILY}-CURRENT").readlink() == Path(versions[0])


def test_a_folder_in_the_links_place_is_not_removed(claim: Path, versions: tuple[str, str]) -> None:
    folder = claim / "oneseek-certified" / f"{FAMILY}-CURRENT"
    folder.mkdir()
    with pytest.raises(JobError, match="is no link but a file or folder; move it away"):
        point(claim, versions[0])
    assert folder.is_dir()


@pytest.mark.parametrize("left", ["CURRENT", "nothing"])
def test_a_failure_while_moving_leaves_the_old_target_and_a_rerun_succeeds(
    claim: Path, versions: tuple[str, str], monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    first, second = versions
    link = claim / "oneseek-certified" / f"{FAMILY}-CURRENT"
    if left == "CURRENT":
        point(claim, first)

    def killed(*_: object) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(OSError, match="Input/output"):
            point(claim, second)
    assert (link.readlink() == Path(first)) if left == "CURRENT" else not link.is_symlink()
    point(claim, second)
    assert link.readlink() == Path(second)
    assert not [child for child in link.parent.iterdir() if child.name.startswith(".")]


def test_a_reset_leaves_its_log_and_a_note_where_old_readers_look(claim: Path, versions: tuple[str, str]) -> None:
    point(claim, versions[1])
    certified = claim / "oneseek-certified"
    orders = [{"timestamp": f"2026-08-23T10:0{minute}:00.000Z", "user": "anna"} for minute in (1, 2)]
    for order in (*orders, orders[1]):  # the second one twice, as after a crash
        job.run(environment({"modelsRoot": str(claim), "family": FAMILY, "current": None, "reset": order}))
    assert sorted(path.name for path in certified.iterdir()) == [".ledger", "README.md"]
    lines = [json.loads(line) for line in (certified / ".ledger" / "reset-log.jsonl").read_text().splitlines()]
    assert [line["timestamp"] for line in lines] == [order["timestamp"] for order in orders]
    assert list(lines[0]) == ["action", "timestamp", "user", "ip", "modelsDir", "certifiedDir"]
    assert (lines[0]["action"], lines[0]["user"], lines[0]["certifiedDir"]) == ("FULL_RESET", "anna", str(certified))


def remove(claim: Path, current: str, *names_: str) -> TreeReport:
    told = {"modelsRoot": str(claim), "family": FAMILY, "current": current, "remove": list(names_)}
    return job.run(environment(told))


def test_retention_deletes_versions_and_nothing_else(claim: Path, versions: tuple[str, str]) -> None:
    older, newer = versions
    certified = claim / "oneseek-certified"
    kept = tree_of(certified / newer)
    assert remove(claim, newer, older).removed == [older]
    assert not (certified / older).exists()
    assert tree_of(certified / newer) == kept
    assert not [path for path in certified.iterdir() if path.name.startswith(".deleted-")]
    assert older not in (certified / "ledger_proof.json").read_text(), "the index of old readers follows"
    assert remove(claim, newer, older).removed == []


def test_what_a_crash_left_half_deleted_is_deleted_by_the_next_try(claim: Path, versions: tuple[str, str]) -> None:
    older, newer = versions
    certified = claim / "oneseek-certified"
    (certified / older).rename(certified / f".deleted-{older}")
    remove(claim, newer, older)
    assert not (certified / f".deleted-{older}").exists()


def test_what_answers_is_never_deleted(claim: Path, versions: tuple[str, str]) -> None:
    with pytest.raises(JobError, match="answers and cannot be deleted"):
        remove(claim, versions[1], versions[1])
    assert (claim / "oneseek-certified" / versions[1]).is_dir()


@pytest.mark.parametrize("name", ["..", "../basemodeller", "a/b", ".staging"])
def test_only_versions_can_be_deleted(claim: Path, versions: tuple[str, str], name: str) -> None:
    with pytest.raises(JobError, match="nothing of that name"):
        remove(claim, versions[1], name)
