"""The import Job on real folders: what is proved is taken in, once; what is not is refused and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.jobs.imports import ImportReport
from oneseek_core.names import ExitCode
from oneseek_runtime.artifact import publish
from oneseek_runtime.artifact.folders import certified_versions
from oneseek_runtime.imports import job
from support.artifacts import BASE_DIGEST, environment, tree_of
from support.certified import certify, edit_json, lora_weights, make_keys, reseal, shared_keys


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version with scores, certified elsewhere."""
    return certify(tmp_path_factory.mktemp("origin"), keys=shared_keys(), scores={"exact": 0.5})[0]


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    root = tmp_path / "claim"
    (root / names.CERTIFIED_DIR).mkdir(parents=True)
    return root


def put(claim: Path, origin: Path, path: str = "") -> str:
    """Copy the version onto the claim; the result is the path for the entry."""
    path = path or f"imports/{origin.name}"
    shutil.copytree(origin, claim / path)
    return path


def take_in(claim: Path, **changes: Any) -> ImportReport:
    request = {
        "modelsRoot": str(claim),
        "trustedKeys": str(shared_keys().trusted),
        "family": "OneSeek-7B-Zero",
        "baseName": "tiny",
        "baseDigest": BASE_DIGEST,
    }
    return job.run(environment(request | changes))


def from_path(claim: Path, path: str, **changes: Any) -> ImportReport:
    return take_in(claim, source={"path": path}, **changes)


def refused(claim: Path, **changes: Any) -> JobError:
    """The refusal; the certified versions are what they were before."""
    certified = claim / names.CERTIFIED_DIR
    before = tree_of(certified)
    with pytest.raises(JobError) as caught:
        take_in(claim, **changes)
    assert tree_of(certified) == before
    assert not list(certified.glob(f"{names.IMPORT_PREFIX}*"))
    return caught.value


def test_a_version_from_a_path_is_taken_in_byte_for_byte_and_listed(claim: Path, origin: Path) -> None:
    report = from_path(claim, put(claim, origin))
    home = claim / names.CERTIFIED_DIR / origin.name
    assert tree_of(home) == tree_of(origin)
    assert (report.version.dna, report.already) == (origin.name, False)
    assert report.version.digest == digest_bytes((origin / names.MANIFEST).read_bytes())
    assert report.version.run == "identity"
    assert report.version.scores is not None
    assert report.version.scores.facts_contained == 0.75
    index = json.loads((claim / names.CERTIFIED_DIR / "ledger_proof.json").read_bytes())
    assert [row["dna"] for row in index["models"]] == [origin.name]
    assert [item.version for item in certified_versions(home.parent)] == [report.version]


@pytest.mark.parametrize("path", ["imports/from the other team", "imports"], ids=["another name", "the folder above"])
def test_the_folder_may_be_named_otherwise_or_lie_in_the_one_that_is_named(
    claim: Path, origin: Path, path: str
) -> None:
    put(claim, origin, path if path != "imports" else "")
    assert from_path(claim, path).version.dna == origin.name


def test_an_image_leaves_the_version_among_other_things(claim: Path, origin: Path, tmp_path: Path) -> None:
    left = tmp_path / "import"
    shutil.copytree(origin, left / origin.name)
    (left / "README").write_text("not ours")
    report = take_in(claim, source={"image": "registry.example/versions:v1"}, importPath=str(left))
    assert report.version.dna == origin.name
    assert tree_of(claim / names.CERTIFIED_DIR / origin.name) == tree_of(origin)


def test_importing_again_changes_nothing_and_says_that_it_was_there(claim: Path, origin: Path) -> None:
    path = put(claim, origin)
    first = from_path(claim, path)
    before = tree_of(claim)
    again = from_path(claim, path, known={first.version.dna: first.version.digest})
    assert (again.already, again.version) == (True, first.version)
    assert tree_of(claim) == before


def test_an_entry_may_stay_when_its_folder_was_cleaned_up(claim: Path, origin: Path) -> None:
    path = put(claim, origin)
    from_path(claim, path)
    shutil.rmtree(claim / "imports")
    assert from_path(claim, path).already


def test_a_version_that_lies_there_damaged_is_not_called_imported(claim: Path, origin: Path) -> None:
    path = put(claim, origin)
    from_path(claim, path)
    weights = claim / names.CERTIFIED_DIR / origin.name / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    assert refused(claim, source={"path": path}).reason == names.FILE_CHANGED


def test_the_same_name_with_other_bytes_is_refused(claim: Path, origin: Path) -> None:
    from_path(claim, put(claim, origin))
    shutil.rmtree(claim / "imports")
    path = put(claim, origin)
    edit_json(claim / path / "training_results.json", status="other")
    digest = reseal(claim / path, shared_keys())
    error = refused(claim, source={"path": path})
    assert (error.reason, error.exit_code) == (names.ARTIFACT_DIGEST_DIFFERS, ExitCode.DIGEST_DIFFERS)
    assert digest in error.message
    assert "never overwritten" in error.message


def test_the_name_of_a_version_that_was_deleted_is_not_given_away(claim: Path, origin: Path) -> None:
    path = put(claim, origin)
    error = refused(claim, source={"path": path}, known={origin.name: "sha256:" + "0" * 64})
    assert (error.reason, "one name is never given" in error.message) == (names.ARTIFACT_DIGEST_DIFFERS, True)


def wrong_key(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    keys = make_keys(tmp_path / "other")
    (keys.trusted / "ledger.pub").unlink()
    return {"trustedKeys": str(keys.trusted)}


def tampered(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    weights = claim / path / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\0")
    return {}


def unsigned(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    (claim / path / "model.sig").unlink()
    return {}


def a_link(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    shutil.move(claim / path, tmp_path / "real")
    (claim / path).symlink_to(tmp_path / "real")
    return {}


def a_link_above(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    shutil.move(claim / "imports", tmp_path / "real")
    (claim / "imports").symlink_to(tmp_path / "real")
    return {}


def other_base(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    return {"baseDigest": "sha256:" + "e" * 64}


def other_family(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    return {"family": "Another"}


def unreadable_scores(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    edit_json(claim / path / "metadata.json", scores={"questions": "many"})
    reseal(claim / path, shared_keys())
    return {}


def no_keys(claim: Path, path: str, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "none").mkdir()
    return {"trustedKeys": str(tmp_path / "none")}


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (wrong_key, names.SIGNATURE_UNTRUSTED, "not trusted"),
        (tampered, names.FILE_CHANGED, "adapter_model.safetensors"),
        (unsigned, names.SIGNATURE_MISSING, "model.sig"),
        (a_link, names.FILE_NOT_PLAIN, "is a link"),
        (a_link_above, names.FILE_NOT_PLAIN, "imports on the claim is a link"),
        (other_base, names.BASE_DIFFERS, BASE_DIGEST),
        (other_family, names.FAMILY_DIFFERS, "this model's spec.family is Another"),
        (unreadable_scores, names.METADATA_INVALID, "scores"),
        (no_keys, names.TRUSTED_KEYS_INVALID, "no EC P-256 key is trusted"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_not_proved_is_refused_with_its_reason(
    claim: Path, origin: Path, tmp_path: Path, change: Any, reason: str, said: str
) -> None:
    path = put(claim, origin)
    more = change(claim, path, tmp_path)
    error = refused(claim, source={"path": path}, **more)
    assert (error.reason, said in error.message) == (reason, True), error.message
    assert error.exit_code in (ExitCode.BAD_ARTIFACT, ExitCode.DIGEST_DIFFERS)


@pytest.mark.parametrize("path", ["oneseek-certified", "oneseek-certified/x"])
def test_versions_are_not_taken_from_where_they_are_taken_to(claim: Path, path: str) -> None:
    assert refused(claim, source={"path": path}).reason == names.IMPORT_INVALID


def test_a_path_cannot_leave_the_claim(claim: Path) -> None:
    for path in ("../elsewhere", "/etc", "a/../../b", ".staging"):
        with pytest.raises(JobError) as caught:
            from_path(claim, path)
        assert caught.value.reason == names.BAD_REQUEST


def test_nothing_there_several_there_and_no_version_there_are_told_apart(claim: Path, origin: Path) -> None:
    assert refused(claim, source={"path": "imports"}).reason == names.ARTIFACT_MISSING
    (claim / "imports").mkdir()
    assert "holds no certified version" in refused(claim, source={"path": "imports"}).message
    put(claim, origin)
    other = certify(claim / "imports" / "x", lora_weights(width=16), keys=shared_keys())[0]
    shutil.move(other, claim / "imports" / other.name)
    assert "several versions" in refused(claim, source={"path": "imports"}).message
    assert refused(claim, source={"image": "x:1"}, importPath=str(claim / "gone")).reason == names.IMPORT_INVALID


def test_what_a_killed_attempt_left_is_removed_and_a_runs_is_not(claim: Path, origin: Path) -> None:
    certified = claim / names.CERTIFIED_DIR
    (certified / f"{names.IMPORT_PREFIX}{origin.name}").mkdir()
    (certified / f"{names.INCOMING_PREFIX}run-uid-1").mkdir()
    from_path(claim, put(claim, origin))
    assert sorted(item.name for item in certified.iterdir() if item.is_dir()) == [
        f"{names.INCOMING_PREFIX}run-uid-1",
        origin.name,
    ]


def test_every_file_is_durable_before_the_rename_and_the_parent_after(
    claim: Path, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    synced: set[str] = set()
    real_fsync = os.fsync

    def fsync(handle: int) -> None:
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        order.append(path)
        synced.add(path)
        real_fsync(handle)

    rename = Path.rename

    def renamed(self: Path, target: Path) -> Path:
        missing = [path for path in self.rglob("*") if str(path) not in synced]
        assert missing == []
        assert str(self) in synced
        order.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(publish.Path, "rename", renamed)
    from_path(claim, put(claim, origin))
    at = order.index("rename")
    assert order[at + 1] == str(claim / names.CERTIFIED_DIR)


def test_a_full_volume_leaves_nothing_half_made(claim: Path, origin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(claim, origin)

    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(job, "fsync_file", full)
        with pytest.raises(OSError, match="No space"):
            from_path(claim, path)
    assert list((claim / names.CERTIFIED_DIR).iterdir()) == []
    assert from_path(claim, path).version.dna == origin.name
