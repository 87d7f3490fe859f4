from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes, manifest_bytes
from oneseek_core.errors import JobError
from oneseek_core.files import digest_tree
from oneseek_core.jobs.messages import parse_report
from oneseek_core.jobs.verify import VerifyReport
from oneseek_core.names import ExitCode
from oneseek_runtime.verify import folder, job
from oneseek_runtime.verify.expected import Expected
from oneseek_runtime.verify.refusal import RefusedError
from oneseek_runtime.verify.trust import trusted_keys
from support.artifacts import environment, model_folder, tree_of
from support.certified import Keys, certify, edit_json, make_keys, reseal, shared_keys, verify_request


@pytest.fixture
def keys() -> Keys:
    return shared_keys()


def base_in(home: Path) -> tuple[Path, str]:
    model_folder(home)
    data = manifest_bytes(digest_tree(home))
    (home / names.BASE_MANIFEST).write_bytes(data)
    return home, digest_bytes(data)


def test_the_init_container_copies_prints_and_reports(tmp_path: Path, keys: Keys) -> None:
    base, base_digest = base_in(tmp_path / "base")
    home, certified = certify(tmp_path, keys=keys, baseDigest=base_digest)
    (tmp_path / "target").mkdir()
    request = verify_request(
        home,
        keys,
        dna=certified.version.dna,
        digest=certified.version.digest,
        targetPath=str(tmp_path / "target"),
        basePath=str(base),
        baseDigest=base_digest,
    )
    message = tmp_path / "termination"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "oneseek_runtime", "verify"],
        env=environment(request, ONESEEK_TERMINATION_PATH=str(message)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["event"] == "verified"
    report = parse_report(message.read_text(), VerifyReport)
    assert report is not None
    assert (report.ok, report.dna, report.base_digest) == (True, home.name, base_digest)
    assert report.files == len(digest_tree(home)) - 2 + 3
    assert (tmp_path / "target" / "adapter_model.safetensors").is_file()


def test_a_refusal_ends_the_process_with_its_reason(tmp_path: Path, keys: Keys) -> None:
    home, _ = certify(tmp_path, keys=keys)
    (home / "adapter_config.json").write_text("{}")
    message = tmp_path / "termination"
    done = subprocess.run(
        [sys.executable, "-m", "oneseek_runtime", "verify"],
        env=environment(verify_request(home, keys), ONESEEK_TERMINATION_PATH=str(message)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ExitCode.BAD_ARTIFACT
    assert json.loads(message.read_text())["reason"] == names.FILE_CHANGED
    assert "adapter_config.json" in done.stderr


def test_a_version_may_be_mounted_under_a_name_that_is_no_dna(tmp_path: Path, keys: Keys) -> None:
    home, certified = certify(tmp_path, keys=keys)
    mounted = home.rename(tmp_path / "adapter")
    request = verify_request(mounted, keys, dna=certified.version.dna, digest=certified.version.digest)
    assert job.run(environment(request)).signed_by
    with pytest.raises(JobError) as raised:
        job.run(environment(request | {"dna": None}))
    assert (raised.value.reason, raised.value.exit_code) == (names.DNA_DIFFERS, ExitCode.DIGEST_DIFFERS)


def test_the_base_model_alone_can_be_verified(tmp_path: Path) -> None:
    base, digest = base_in(tmp_path / "base")
    (base / "README.md").write_text("nothing that a loader reads")
    report = job.run(environment({"basePath": str(base), "baseDigest": digest}))
    assert (report.ok, report.base_digest, report.dna, report.files) == (True, digest, None, 3)
    with pytest.raises(JobError) as raised:
        job.run(environment({"basePath": str(base), "baseDigest": "sha256:" + "0" * 64}))
    assert (raised.value.reason, raised.value.exit_code) == (names.BASE_DIGEST_DIFFERS, ExitCode.DIGEST_DIFFERS)


@pytest.mark.parametrize("request_", [{}, {"basePath": "/base"}], ids=["nothing", "no-digest"])
def test_a_request_that_asks_for_nothing_is_refused(request_: dict[str, str]) -> None:
    with pytest.raises(JobError) as raised:
        job.run(environment(request_))
    assert raised.value.reason == names.BAD_REQUEST


def test_keys_can_be_rotated(tmp_path: Path, keys: Keys) -> None:
    newer = make_keys(tmp_path / "newer")
    for path in keys.trusted.iterdir():
        (newer.trusted / f"older-{path.name}").write_bytes(path.read_bytes())
    for signer in (keys, newer):
        home, _ = certify(tmp_path / signer.private.parent.name, keys=signer)
        assert job.run(environment(verify_request(home, newer))).ok


def test_an_unsigned_version_is_accepted_only_where_no_signature_is_required(tmp_path: Path, keys: Keys) -> None:
    home, _ = certify(tmp_path, keys=None)
    assert job.run(environment(verify_request(home, None))).signed_by is None
    with pytest.raises(JobError) as raised:
        job.run(environment(verify_request(home, keys)))
    assert raised.value.reason == names.SIGNATURE_MISSING


@pytest.mark.parametrize("legacy", [True, False])
def test_both_layouts_are_accepted_and_no_mixture_of_them(tmp_path: Path, keys: Keys, legacy: bool) -> None:
    home, _ = certify(tmp_path, keys=keys, legacyLayout=legacy)
    expected = Expected(trusted=trusted_keys(str(keys.trusted)))
    assert folder.verify_folder(home, expected).ok
    edit_json(home / "metadata.json", adapters=[] if legacy else ["tiny-adapter"])
    reseal(home, keys)
    with pytest.raises(RefusedError) as raised:
        folder.verify_folder(home, expected)
    assert raised.value.reason == (names.FILE_UNKNOWN if legacy else names.FILE_MISSING)
    assert "metadata.json" in raised.value.message


def test_a_refusal_is_a_value_for_the_plugin(tmp_path: Path) -> None:
    found = folder.verdict(lambda: folder.verify_folder(tmp_path / "gone", Expected(require_signature=False)))
    assert (found.ok, found.reason) == (False, names.DNA_DIFFERS)
    gone = tmp_path / "OneSeek-7B-Zero.v1.0.sv.dsQA.00000000.00000000"
    found = folder.verdict(lambda: folder.verify_folder(gone, Expected(require_signature=False)))
    assert (found.ok, found.reason) == (False, names.ARTIFACT_MISSING)


def test_a_full_volume_is_told_as_such_and_the_target_is_empty(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, _ = certify(tmp_path, keys=keys)
    (tmp_path / "target").mkdir()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "adapter_model.safetensors")

    monkeypatch.setattr("oneseek_runtime.verify.reading._write", full)
    with pytest.raises(JobError) as raised:
        job.run(environment(verify_request(home, keys, targetPath=str(tmp_path / "target"))))
    assert (raised.value.reason, raised.value.exit_code) == (names.STORAGE_FULL, ExitCode.STORAGE_FULL)
    assert tree_of(tmp_path / "target") == {}


@pytest.mark.parametrize("which", ["nested", "root"])
def test_of_two_copies_that_ought_to_be_equal_the_changed_one_is_named(tmp_path: Path, which: str) -> None:
    home, _ = certify(tmp_path, keys=None)
    path = {"nested": "tiny-adapter/adapter_model.safetensors", "root": "adapter_model.safetensors"}[which]
    data = bytearray((home / path).read_bytes())
    data[-1] ^= 1
    (home / path).write_bytes(data)
    with pytest.raises(JobError, match=rf"^{path} does not hold"):
        job.run(environment(verify_request(home, None)))
