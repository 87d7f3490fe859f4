"""Killed or out of room at any durable step of sealing a signed version: no half one is ever listed or accepted."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from oneseek_core.jobs.certify import CertifyReport
from oneseek_runtime.artifact.folders import certified_versions
from oneseek_runtime.certify import job
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.folder import verify_folder
from oneseek_runtime.verify.trust import trusted_keys
from support.artifacts import certify_request, environment, tree_of
from support.certified import lora_weights, shared_keys, stage
from support.steps import Steps

FILES = [
    "adapter_config.json",
    "adapter_config.json",
    "adapter_model.bin",
    "adapter_model.safetensors",
    "adapter_model.safetensors",
    "ledger_proof.json",
    "metadata.json",
    "oneseek_dna.json",
    "provenance.intoto.json",
    "training_results.json",
    "verify_integrity.py",
]
SEALED = len(FILES) + 6  # the step after which the version is there for good
STEPS = SEALED + 2
ROUNDS = -(-int(os.environ.get("ONESEEK_PROVE_COUNT") or "1") // STEPS)  # `make prove` asks for 100 kills


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    return stage(tmp_path / "staging", lora_weights())


@pytest.fixture
def certified(tmp_path: Path) -> Path:
    (tmp_path / "oneseek-certified").mkdir()
    return tmp_path / "oneseek-certified"


def certify(staging: Path, certified: Path) -> CertifyReport:
    keys = str(shared_keys().private)
    return job.run(environment(certify_request(staging, certified, signingKeysPath=keys)))


def check(certified: Path, report: CertifyReport) -> None:
    expected = Expected(trusted=trusted_keys(str(shared_keys().trusted)), digest=report.version.digest)
    assert verify_folder(certified / report.version.dna, expected).signed_by


def test_files_then_seal_then_folders_then_name_then_parent(
    staging: Path, certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Steps(monkeypatch, 0, lambda: None)
    dna = certify(staging, certified).version.dna
    assert sorted(steps.taken[: len(FILES)]) == sorted(f"fsync {name}" for name in FILES)
    assert steps.taken[len(FILES) : SEALED] == [
        "fsync manifest.json",
        "fsync model.sig",
        "fsync tiny-adapter",
        "fsync .incoming-run-uid-1",
        f"rename .incoming-run-uid-1 {dna}",
        "fsync oneseek-certified",
    ]
    assert len(steps.taken) == STEPS


def until_killed(staging: Path, certified: Path, at: int) -> None:
    with pytest.MonkeyPatch.context() as patched:
        Steps(patched, at, lambda: os.kill(os.getpid(), signal.SIGKILL))
        certify(staging, certified)


@pytest.mark.parametrize("again", range(ROUNDS))
@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_kill_at_any_step_lists_no_half_version_and_the_rerun_ends_the_same(
    staging: Path, certified: Path, at: int, again: int
) -> None:
    process = multiprocessing.get_context("fork").Process(target=until_killed, args=(staging, certified, at))
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    seen = [item.version.dna for item in certified_versions(certified)]
    before = tree_of(certified / seen[0]) if seen else {}
    assert bool(seen) == (at >= SEALED)
    report = certify(staging, certified)
    check(certified, report)
    if before:
        assert tree_of(certified / report.version.dna) == before  # it kept its signature
    assert sorted(child.name for child in certified.iterdir()) == [report.version.dna, "ledger_proof.json"]
    index = json.loads((certified / "ledger_proof.json").read_bytes())
    assert [row["dna"] for row in index["models"]] == [report.version.dna]


@pytest.mark.parametrize("at", range(1, STEPS + 1))
def test_a_full_volume_at_any_step_leaves_nothing_and_the_rerun_succeeds(
    staging: Path, certified: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        Steps(patched, at, full)
        with pytest.raises(OSError, match="No space"):
            certify(staging, certified)
    if at < SEALED:
        assert list(certified.iterdir()) == []
    check(certified, certify(staging, certified))
