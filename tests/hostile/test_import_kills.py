"""Killed or out of room at any durable step of an import: no half version is listed, and the next attempt ends it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.jobs.imports import ImportReport
from oneseek_runtime.artifact.folders import certified_versions
from oneseek_runtime.imports import job
from support.artifacts import BASE_DIGEST, environment, tree_of
from support.certified import certify, shared_keys
from support.steps import Steps

FILES = 13  # with manifest and signature
SEALED = FILES + 4  # its folder, the version's, the rename, the folder above: then the version is there for good
STEPS = SEALED + 2  # and the index: file, folder


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certify(tmp_path_factory.mktemp("origin"), keys=shared_keys())[0]


@pytest.fixture
def claim(tmp_path: Path, origin: Path) -> Path:
    (tmp_path / names.CERTIFIED_DIR).mkdir()
    shutil.copytree(origin, tmp_path / "imports" / origin.name)
    return tmp_path


def take_in(claim: Path) -> ImportReport:
    request = {
        "modelsRoot": str(claim), "source": {"path": "imports"}, "trustedKeys": str(shared_keys().trusted),
        "family": "OneSeek-7B-Zero", "baseName": "tiny", "baseDigest": BASE_DIGEST,
    }  # fmt: skip
    return job.run(environment(request))


def listed(claim: Path) -> list[str]:
    return [item.version.dna for item in certified_versions(claim / names.CERTIFIED_DIR)]


def test_files_then_folders_then_name_then_parent_then_the_index(
    claim: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, 0, lambda: None)
    take_in(claim)
    assert len(steps.taken) == STEPS
    assert steps.taken[FILES:SEALED] == [
        "fsync tiny-adapter",
        f"fsync {names.IMPORT_PREFIX}{origin.name}",
        f"rename {names.IMPORT_PREFIX}{origin.name} {origin.name}",
        f"fsync {names.CERTIFIED_DIR}",
    ]


def until_killed(claim: Path, at: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        Steps(patched, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
        take_in(claim)


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_kill_at_any_step_lists_no_half_version_and_the_next_attempt_ends_it(
    claim: Path, origin: Path, at: int
) -> None:
    process = multiprocessing.get_context("fork").Process(target=until_killed, args=(claim, at))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    assert listed(claim) == ([origin.name] if at >= SEALED else [])
    report = take_in(claim)
    assert report.already == (at >= SEALED)
    certified = claim / names.CERTIFIED_DIR
    assert tree_of(certified / origin.name) == tree_of(origin)
    assert sorted(child.name for child in certified.iterdir()) == [origin.name, "ledger_proof.json"]


@pytest.mark.parametrize("at", range(1, SEALED - 1))
def test_a_full_volume_at_any_step_leaves_nothing(claim: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        Steps(patched, at, full)
        with pytest.raises(OSError, match="No space"):
            take_in(claim)
    assert list((claim / names.CERTIFIED_DIR).iterdir()) == []
    assert not take_in(claim).already
