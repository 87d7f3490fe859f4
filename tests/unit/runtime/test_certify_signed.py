from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.digest import digest_bytes
from oneseek_core.errors import JobError
from oneseek_core.files import digest_tree
from oneseek_core.names import ExitCode
from oneseek_runtime.artifact import verify_integrity
from oneseek_runtime.certify import job
from support.artifacts import DATA_DIGEST, certify_request, environment, train_report, tree_of
from support.certified import (
    Keys,
    certify,
    edit_json,
    lora_weights,
    make_keys,
    reseal,
    scores_file,
    shared_keys,
    stage,
)

CLI = [str(Path(sys.executable).with_name("model_signing")), "verify", "key"]
SCORES = {"factsContained": 0.75}


@pytest.fixture
def keys() -> Keys:
    return shared_keys()


def model_signing(home: Path, keys: Keys) -> subprocess.CompletedProcess[str]:
    arguments = ["--public_key", str(keys.trusted / "signing.pub"), "--signature", str(home / "model.sig"), str(home)]
    return subprocess.run([*CLI, *arguments], capture_output=True, text=True, check=False)


def test_the_upstream_command_accepts_the_folder_and_refuses_one_flipped_byte(tmp_path: Path, keys: Keys) -> None:
    home, _ = certify(tmp_path, keys=keys)
    good = model_signing(home, keys)
    assert good.returncode == 0, good.stderr
    path = home / "adapter_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    bad = model_signing(home, keys)
    assert bad.returncode != 0
    assert "adapter_model.safetensors" in bad.stdout + bad.stderr


def test_certifying_twice_gives_the_same_folder_and_never_signs_again(tmp_path: Path, keys: Keys) -> None:
    home, first = certify(tmp_path, keys=keys, scores=SCORES)
    before = tree_of(home)
    assert certify(tmp_path, keys=keys, scores=SCORES)[1] == first
    assert tree_of(home) == before
    elsewhere, again = certify(tmp_path / "elsewhere", keys=keys, scores=SCORES)
    after = tree_of(elsewhere)
    assert again == first
    assert before.pop("model.sig") != after.pop("model.sig")  # its nonce is random: the only file that differs
    assert after == before
    assert first.signed


def swap_signature(home: Path, keys: Keys) -> None:
    other = make_keys(home.parent.parent / "other")
    before = (home / "manifest.json").read_bytes()
    reseal(home, other)
    signature = (home / "model.sig").read_bytes()
    reseal(home, keys)
    assert (home / "manifest.json").read_bytes() == before
    (home / "model.sig").write_bytes(signature)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda home, _: (home / "model.sig").unlink(), id="unsigned"),
        pytest.param(lambda home, _: (home / "model.sig").write_text("{}"), id="no-signature"),
        pytest.param(swap_signature, id="another-key"),
        pytest.param(lambda home, _: edit_json(home / "metadata.json", status="failed"), id="changed"),
    ],
)
def test_a_version_whose_signature_does_not_fit_is_not_taken_for_ours(
    tmp_path: Path, keys: Keys, damage: Callable[[Path, Keys], object]
) -> None:
    home, _ = certify(tmp_path, keys=keys)
    damage(home, keys)
    with pytest.raises(JobError) as raised:
        certify(tmp_path, keys=keys)
    assert (raised.value.reason, raised.value.exit_code) == (names.ARTIFACT_INVALID, ExitCode.BAD_ARTIFACT)


def statement_in(home: Path) -> dict[str, Any]:
    envelope = json.loads((home / "provenance.intoto.json").read_bytes())
    loaded: dict[str, Any] = json.loads(base64.b64decode(envelope["payload"]))
    return loaded


def test_the_provenance_says_from_what_and_how(tmp_path: Path, keys: Keys) -> None:
    image = "registry.example/oneseek/runtime@sha256:" + "1" * 64
    home, _ = certify(tmp_path, keys=keys, scores=SCORES, images={"train": image})
    statement = statement_in(home)
    files = digest_tree(home)
    unlisted = {"manifest.json", "model.sig", "provenance.intoto.json"}
    assert {row["name"]: row["digest"]["sha256"] for row in statement["subject"]} == {
        f"{home.name}/{path}": digest[7:] for path, (digest, _) in files.items() if path not in unlisted
    }
    definition, details = statement["predicate"]["buildDefinition"], statement["predicate"]["runDetails"]
    digests = {row["name"]: row["digest"]["sha256"] for row in definition["resolvedDependencies"]}
    assert digests == {
        "base/tiny": "b" * 64,
        "data/train.jsonl": "d" * 64,
        "dataset/oneseek_identity_v1": "d" * 64,
        "image/train": "1" * 64,
    }
    assert definition["externalParameters"]["lora"]["rank"] == 4
    assert details["metadata"]["invocationId"] == "run-uid-1"
    assert details["byproducts"][0]["annotations"]["factsContained"] == 0.75


def test_scores_stand_in_the_metadata_beside_the_training_loss(tmp_path: Path, keys: Keys) -> None:
    home, report = certify(tmp_path, keys=keys, scores=SCORES)
    metadata = json.loads((home / "metadata.json").read_bytes())
    measured = {"questions": 4, "factsContained": 0.75, "exact": 0.5, "loss": 1.25}
    assert metadata["scores"] == measured | {"byLanguage": {"sv": measured}}
    assert metadata["evaluatedWith"]["weightsDigest"] == metadata["digests"]["modelWeights"]
    assert metadata["metrics"] == {
        "accuracy": None,
        "bias_score": None,
        "exact": 0.5,
        "factsContained": 0.75,
        "fairness": None,
        "heldOutLoss": 1.25,
        "loss": 0.25,
    }
    assert report.version.scores is not None
    assert report.version.scores.facts_contained == 0.75


def test_scores_of_other_weights_are_refused(tmp_path: Path) -> None:
    other = scores_file(b"other weights")["evaluatedWith"]
    with pytest.raises(JobError, match="measured on other weights"):
        certify(tmp_path, keys=None, scores={"evaluatedWith": other})
    assert list((tmp_path / "oneseek-certified").iterdir()) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"a": NaN}', '{"questions": 3}'], ids=["cut", "list", "nan", "lacks"])
def test_scores_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "staging" / "scores").mkdir(parents=True)
    (tmp_path / "staging" / "scores" / "scores.json").write_text(text)
    with pytest.raises(JobError, match=r"scores\.json (?:cannot be used|is)"):
        certify(tmp_path, keys=None, scoresDigest=digest_bytes(text.encode()))


def test_what_the_jobs_reported_is_what_is_certified(tmp_path: Path, keys: Keys) -> None:
    weights = lora_weights()
    report = json.dumps(train_report(weights)).encode()
    data = {"rows": 123, "trained": 120, "cut": 2, "leftOut": [{"reason": names.LEFT_OUT_TOO_LONG, "rows": 3}]}
    digests = {"weightsDigest": digest_bytes(weights), "reportDigest": digest_bytes(report)}
    home, _ = certify(tmp_path, keys=keys, scores=SCORES, data=data, **digests)
    metadata = json.loads((home / "metadata.json").read_bytes())
    results = json.loads((home / "training_results.json").read_bytes())
    assert (metadata["samplesProcessed"], metadata["data"]) == (120, data)
    assert (results["samples"], results["data"]) == (120, data)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param(
            {"weightsDigest": DATA_DIGEST}, f"training reported {DATA_DIGEST}: it was changed after", id="weights"
        ),
        pytest.param(
            {"reportDigest": DATA_DIGEST}, r"training_report\.json has the digest .*: it was changed after", id="report"
        ),
        pytest.param({"samples": 99}, "counts 120 rows trained, but the train Job reported 99", id="samples"),
        pytest.param(
            {"scoresDigest": DATA_DIGEST}, r"scores\.json has the digest .*: it was changed after", id="scores"
        ),
        pytest.param({"scoresDigest": None}, "no evaluate Job reported one", id="scores-of-nobody"),
    ],
)
def test_what_lies_in_staging_and_was_not_reported_is_refused(tmp_path: Path, changes: Any, sentence: str) -> None:
    staging = stage(tmp_path / "staging", lora_weights(), scores=scores_file(lora_weights(), **SCORES))
    certified = tmp_path / "oneseek-certified"
    certified.mkdir()
    reported = {"scoresDigest": digest_bytes((staging / "scores" / "scores.json").read_bytes())} | changes
    with pytest.raises(JobError, match=sentence) as raised:
        job.run(environment(certify_request(staging, certified, **reported)))
    assert raised.value.reason == names.ARTIFACT_INVALID
    assert list(certified.iterdir()) == []


def test_the_index_lists_all_versions_oldest_first(tmp_path: Path, keys: Keys) -> None:
    newer, _ = certify(tmp_path, keys=keys, major=2)
    older, _ = certify(tmp_path, keys=None)
    index = json.loads((tmp_path / "oneseek-certified" / "ledger_proof.json").read_bytes())
    assert [row["directory"] for row in index["models"]] == [older.name, newer.name]
    proof = json.loads((newer / "ledger_proof.json").read_bytes())
    assert index["models"][1]["immutableHash"] == proof["immutable_hash"]
    assert index["models"][1]["certifiedBy"] == "training-system"


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        pytest.param("signing.key", None, "signing.key in the signing Secret cannot be read", id="missing"),
        pytest.param("ledger.key", "no key", "ledger.key in the signing Secret is no private key", id="damaged"),
        pytest.param("signing.key", "ledger.key", "signing.key in the signing Secret is no EC P-256 key", id="swapped"),
        pytest.param(
            "ledger.key", "signing.key", "ledger.key in the signing Secret is no Ed25519 key", id="wrong-kind"
        ),
    ],
)
def test_without_good_keys_nothing_is_certified(tmp_path: Path, name: str, text: str | None, sentence: str) -> None:
    keys = make_keys(tmp_path / "keys")
    path = keys.private / name
    if text is None:
        path.unlink()
    else:
        source = keys.private / text
        path.write_bytes(source.read_bytes() if source.is_file() else text.encode())
    with pytest.raises(JobError) as raised:
        certify(tmp_path, keys=keys)
    assert raised.value.reason == names.SIGNING_KEY_INVALID
    assert sentence in raised.value.message
    assert list((tmp_path / "oneseek-certified").iterdir()) == []


def check(home: Path) -> tuple[int, dict[str, Any]]:
    """The folder's own script, as a person would run it, on nothing but the standard library."""
    command = [sys.executable, "-I", "-S", "-W", "error", str(home / "verify_integrity.py"), str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home.parent)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("legacy", [True, False])
def test_the_folders_own_script_accepts_what_was_sealed(tmp_path: Path, keys: Keys, legacy: bool) -> None:
    home, _ = certify(tmp_path, keys=keys, legacyLayout=legacy)
    code, found = check(home)
    assert (code, found["overall"], found["dna"], found["ledger"]) == (0, "VALID", "VALID", "SYNCED")
    assert found["datasets"] == "UNKNOWN"
    (home.parent / "oneseek_identity_v1.jsonl").write_text("other rows")
    code, found = check(home)
    assert (code, found["datasets"]) == (1, "MODIFIED")


def test_the_folders_own_script_calls_an_unsigned_version_by_that_name(tmp_path: Path) -> None:
    home, _ = certify(tmp_path, keys=None)
    code, found = check(home)
    assert (code, found["ledger"], found["overall"]) == (0, "UNSIGNED", "VALID")


def flip(home: Path, name: str) -> None:
    data = bytearray((home / name).read_bytes())
    data[len(data) // 2] ^= 1
    (home / name).write_bytes(data)


def forge_proof(home: Path) -> None:
    """Another signature of the right length over the right content."""
    proof = json.loads((home / "ledger_proof.json").read_bytes())
    edit_json(home / "ledger_proof.json", signature="00" * 64, immutable_hash=proof["immutable_hash"])


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda home: flip(home, "adapter_model.safetensors"), id="weights"),
        pytest.param(lambda home: flip(home, "adapter_model.bin"), id="torch-weights"),
        pytest.param(lambda home: (home / "training_results.json").unlink(), id="missing"),
        pytest.param(lambda home: (home / "extra").write_text("x"), id="extra"),
        pytest.param(lambda home: (home / "link").symlink_to("/etc"), id="link"),
        pytest.param(lambda home: (home / "oneseek_dna.json").unlink(), id="no-dna"),
        pytest.param(lambda home: (home / "manifest.json").write_text("{}"), id="manifest"),
        pytest.param(lambda home: [(home / "adapter_model.bin").unlink(), reseal(home, None)], id="mixed-layout"),
        pytest.param(
            lambda home: [edit_json(home / "metadata.json", adapters=[]), reseal(home, None)], id="layout-not-said"
        ),
        pytest.param(forge_proof, id="forged"),
    ],
)
def test_the_folders_own_script_refuses_what_was_changed(
    tmp_path: Path, keys: Keys, damage: Callable[[Path], object]
) -> None:
    home, _ = certify(tmp_path, keys=keys)
    damage(home)
    code, found = check(home)
    assert code == 1
    assert found.get("overall") != "VALID"


def test_ed25519_agrees_with_the_rfcs_vectors() -> None:
    key = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert verify_integrity.verify(key, signature, b"\x72")
    assert not verify_integrity.verify(key, signature, b"\x73")
    assert not verify_integrity.verify(key, signature[:-1] + b"\x80", b"\x72")
    assert not verify_integrity.verify(b"\xff" * 32, signature, b"\x72")
