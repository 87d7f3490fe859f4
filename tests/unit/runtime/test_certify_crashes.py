from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from oneseek_core.jobs.certify import CertifyReport
from oneseek_runtime.certify import job
from support.artifacts import (
    certify_request,
    environment,
    stage_adapter,
    tree_of,
)
from support.steps import Steps


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    stage_adapter(tmp_path / "staging")
    return tmp_path / "staging"


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    (tmp_path / "oneseek-certified").mkdir()
    return tmp_path / "oneseek-certified"


def certify(staging: Path, certified: Path, **changes: object) -> CertifyReport:
    return job.run(environment(certify_request(staging, certified, **changes)))


def names_in(folder: Path) -> list[str]:
    return sorted(child.name for child in folder.iterdir())


FILES = 11
SEALED = FILES + 4  # the step after which the version is there for good
EXPECTED_STEPS = SEALED + 2  # and then the index: its file, its folder


def test_every_file_and_folder_is_durable_before_the_name_appears(
    staging: Path, certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, 0, lambda: None)
    dna = certify(staging, certified).version.dna
    assert sorted(steps.taken[:FILES]) == sorted(
        [
            "fsync adapter_model.bin",
            "fsync adapter_model.safetensors",
            "fsync adapter_model.safetensors",
            "fsync adapter_config.json",
            "fsync adapter_config.json",
            "fsync ledger_proof.json",
            "fsync metadata.json",
            "fsync oneseek_dna.json",
            "fsync training_results.json",
            "fsync verify_integrity.py",
            "fsync manifest.json",
        ]
    )
    assert steps.taken[FILES - 1] == "fsync manifest.json"
    assert steps.taken[FILES:] == [
        "fsync tiny-adapter",
        "fsync .incoming-run-uid-1",
        f"rename .incoming-run-uid-1 {dna}",
        "fsync oneseek-certified",
        f"fsync .ledger_proof.json.tmp-{os.getpid()}",
        "fsync oneseek-certified",
    ]
    assert len(steps.taken) == EXPECTED_STEPS


def listed(certified: Path) -> list[str]:
    return [child.name for child in certified.iterdir() if not child.name.startswith(".")]


def fail() -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("at", range(1, EXPECTED_STEPS + 1))
def test_an_error_at_any_step_shows_no_version_and_a_rerun_succeeds(
    staging: Path, certified: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    with monkeypatch.context() as patched:
        Steps(patched, at, fail)
        with pytest.raises(OSError, match="No space"):
            certify(staging, certified)
    if at < SEALED:
        assert list(certified.iterdir()) == []  # not even a dot name: it would keep the volume full
    version = certify(staging, certified).version
    assert names_in(certified) == [version.dna, "ledger_proof.json"]


def certify_until_killed(staging: Path, certified: Path, at: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        Steps(patched, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
        certify(staging, certified)


@pytest.mark.parametrize("at", range(1, EXPECTED_STEPS + 1))
def test_a_kill_at_any_step_leaves_only_dot_names_and_the_rerun_gives_the_same_bytes(
    staging: Path, certified: Path, tmp_path: Path, at: int
) -> None:
    (tmp_path / "undisturbed").mkdir()
    undisturbed = certify(staging, tmp_path / "undisturbed")
    process = multiprocessing.get_context("fork").Process(target=certify_until_killed, args=(staging, certified, at))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    if at < SEALED:
        assert listed(certified) == []
    assert certify(staging, certified) == undisturbed
    assert tree_of(certified) == tree_of(tmp_path / "undisturbed")
    assert names_in(certified) == [undisturbed.version.dna, "ledger_proof.json"]
