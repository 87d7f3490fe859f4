from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from oneseek_core import names
from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.digest import digest_bytes, manifest_bytes
from oneseek_core.dna import Dna
from oneseek_core.errors import JobError
from oneseek_core.files import digest_tree
from oneseek_core.jobs.certify import CertifyReport
from oneseek_core.names import ExitCode
from oneseek_runtime.artifact.adapter_config import NEUTRAL
from oneseek_runtime.certify import job
from support.artifacts import (
    CREATED_AT,
    DATA_DIGEST,
    LORA_SHAPES,
    RANK,
    RUN,
    adapter_config,
    certify_request,
    environment,
    raw_safetensors,
    safetensors,
    stage_adapter,
    train_report,
    tree_of,
)
from support.hostile.contents import ORDERS


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


def test_the_dna_says_what_was_trained_and_from_which_bytes(staging: Path, certified: Path) -> None:
    report = certify(staging, certified)
    weights = hashlib.sha256((staging / "adapter" / "adapter_model.safetensors").read_bytes()).hexdigest()
    stamp = hashlib.sha256(CREATED_AT.encode()).hexdigest()
    assert report.version.dna == f"OneSeek-7B-Zero.v1.0.ensv.dsIdentity.{weights[:8]}.{stamp[:8]}"
    assert Dna.parse(report.version.dna)
    assert (report.version.run, report.version.created_at) == (RUN["name"], CREATED_AT)


def test_the_folder_holds_what_old_and_new_readers_want(staging: Path, certified: Path) -> None:
    report = certify(staging, certified, parent="OneSeek-7B-Zero.v0.9.sv.dsQA.00000000.00000000")
    home = certified / report.version.dna
    files = tree_of(home)
    assert set(files) == {
        "adapter_config.json",
        "adapter_model.bin",
        "adapter_model.safetensors",
        "ledger_proof.json",
        "manifest.json",
        "metadata.json",
        "oneseek_dna.json",
        "tiny-adapter/adapter_config.json",
        "tiny-adapter/adapter_model.safetensors",
        "training_results.json",
        "verify_integrity.py",
    }
    assert files["adapter_model.safetensors"] == files["tiny-adapter/adapter_model.safetensors"]
    assert not (home / "adapter_model.safetensors").samefile(home / "tiny-adapter" / "adapter_model.safetensors")
    table = digest_tree(home)
    del table["manifest.json"]
    assert files["manifest.json"] == manifest_bytes(table)
    assert report.version.digest == digest_bytes(files["manifest.json"])
    assert names_in(certified) == [report.version.dna, "ledger_proof.json"]


def test_without_the_old_layout_only_what_old_readers_open_is_left_out(staging: Path, certified: Path) -> None:
    full = certify(staging, certified).version
    files = tree_of(certified / full.dna)
    shutil.rmtree(certified / full.dna)
    slim = certify(staging, certified, legacyLayout=False).version
    found = tree_of(certified / slim.dna)
    assert slim.dna == full.dna
    assert set(files) - set(found) == {
        "adapter_model.bin",
        "tiny-adapter/adapter_config.json",
        "tiny-adapter/adapter_model.safetensors",
    }
    assert not [path for path in (certified / slim.dna).iterdir() if path.is_dir()]
    changed = {path for path in found if found[path] != files[path]}
    assert changed == {"manifest.json", "metadata.json", "ledger_proof.json", "training_results.json"}
    assert json.loads(found["metadata.json"])["adapters"] == []
    assert set(json.loads(found["ledger_proof.json"])["weights"]) == {"adapter_model.safetensors"}


def test_metadata_has_the_old_field_names_and_nothing_invented(staging: Path, certified: Path) -> None:
    report = certify(staging, certified)
    data = (certified / report.version.dna / "metadata.json").read_bytes()
    found = json.loads(data)
    weights = digest_bytes((staging / "adapter" / "adapter_model.safetensors").read_bytes())
    assert found == {
        "version": "OneSeek-7B-Zero.v1.0",
        "dna": report.version.dna,
        "createdAt": CREATED_AT,
        "baseModel": "tiny",
        "language": "ensv",
        "datasets": ["oneseek_identity_v1"],
        "trainingType": "dna-v2",
        "samplesProcessed": 120,
        "metrics": {"loss": 0.25, "accuracy": None, "fairness": None, "bias_score": None},
        "hashes": {"trainingData": "dddddddd", "modelWeights": weights[7:15]},
        "digests": {"trainingData": DATA_DIGEST, "modelWeights": weights},
        "status": "completed",
        "finalizedAt": CREATED_AT,
        "adapters": ["tiny-adapter"],
        "trainingConfig": {
            "epochs": 3,
            "batchSize": 8,
            "learningRate": 0.0002,
            "maximumLength": 128,
            "seed": 42,
            "loraConfig": {"rank": RANK, "alpha": 8, "dropout": 0.05, "targetModules": ["q_proj"]},
            "advancedConfig": {"precision": "fp32"},
            "autoStop": None,
        },
        "trainingDuration": {
            "startTime": "2026-08-23T10:09:00.000Z",
            "endTime": "2026-08-23T10:10:23.500Z",
            "durationSeconds": 83.5,
            "durationFormatted": "1m 23s",
        },
        "epochLosses": [{"epoch": 1, "loss": 2.5}, {"epoch": 2, "loss": 1.0}, {"epoch": 3, "loss": 0.25}],
        "autoStopped": None,
        "provenance": {
            "namespace": "team",
            "run": "identity",
            "runUid": "run-uid-1",
            "specDigest": "sha256:" + "5" * 64,
            "model": "demo",
            "baseModelDigest": "sha256:" + "b" * 64,
            "dataDigest": DATA_DIGEST,
            "datasets": [{"name": "oneseek_identity_v1", "digest": DATA_DIGEST, "rows": 120}],
            "parent": None,
        },
    }
    assert ArtifactMetadata.from_bytes(data).canonical_bytes() == data


def test_the_recipe_stands_among_what_old_pages_show_of_a_training(staging: Path, certified: Path) -> None:
    told = {
        "lrScheduler": "cosine",
        "warmupSteps": 2,
        "weightDecay": 0.0,
        "maxGradNorm": 1.0,
        "optimizer": "adamw_torch",
    }
    told |= {"gradientCheckpointing": False, "torchCompile": False}
    weights = (staging / "adapter" / "adapter_model.safetensors").read_bytes()
    (staging / "adapter" / "training_report.json").write_text(json.dumps(train_report(weights, recipe=told)))
    report = certify(staging, certified)
    found = json.loads((certified / report.version.dna / "metadata.json").read_bytes())
    assert found["trainingConfig"]["advancedConfig"] == {"precision": "fp32", **told}


def test_training_results_keep_the_old_form_with_null_for_what_was_not_measured(staging: Path, certified: Path) -> None:
    report = certify(staging, certified)
    found = json.loads((certified / report.version.dna / "training_results.json").read_bytes())
    assert (found["dna"], found["version"], found["baseModels"]) == (report.version.dna, "1.0", ["tiny"])
    assert (found["final_loss"], found["duration_seconds"], found["timestamp"]) == (0.25, 83.5, CREATED_AT[:-1])
    assert (found["status"], found["current_epoch"], found["final_weights"]) == ("completed", 3, {"tiny": 1.0})
    assert found["training_history"][-1] == {"epoch": 3, "loss": 0.25}
    proof = json.loads((certified / report.version.dna / "ledger_proof.json").read_bytes())
    assert found["immutable_hash"] == proof["immutable_hash"]
    unmeasured = {"validation_accuracy", "fairness_score", "bias_score", "consensus_accuracy"}
    assert {key for key, value in found["metrics"].items() if value is None} == unmeasured
    assert set(found["fairness_metrics"].values()) == {None}


def test_epochs_are_numbered_from_the_end_when_only_the_newest_are_kept(staging: Path, certified: Path) -> None:
    weights = (staging / "adapter" / "adapter_model.safetensors").read_bytes()
    (staging / "adapter" / "training_report.json").write_text(json.dumps(train_report(weights, epochs=200)))
    report = certify(staging, certified, epochs=300)
    found = json.loads((certified / report.version.dna / "metadata.json").read_bytes())
    assert [row["epoch"] for row in found["epochLosses"]] == [198, 199, 200]


def test_certifying_twice_gives_the_same_folder(staging: Path, certified: Path, tmp_path: Path) -> None:
    first = certify(staging, certified)
    before = tree_of(certified)
    assert certify(staging, certified) == first
    assert tree_of(certified) == before
    (tmp_path / "elsewhere").mkdir()
    assert certify(staging, tmp_path / "elsewhere") == first
    assert tree_of(tmp_path / "elsewhere") == before


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda f: (f / "adapter_config.json").write_text("{}"), id="changed"),
        pytest.param(lambda f: (f / "metadata.json").unlink(), id="missing"),
        pytest.param(lambda f: (f / "manifest.json").write_text("{}"), id="manifest"),
        pytest.param(lambda f: (f / "extra").write_text("x"), id="extra"),
        pytest.param(lambda f: (f / "link").symlink_to("metadata.json"), id="link"),
        pytest.param(lambda f: [path.unlink() for path in f.rglob("*") if path.is_file()], id="emptied"),
    ],
)
def test_a_version_that_was_changed_is_never_overwritten(
    staging: Path, certified: Path, damage: Callable[[Path], object]
) -> None:
    home = certified / certify(staging, certified).version.dna
    damage(home)
    before = tree_of(home)
    with pytest.raises(JobError) as raised:
        certify(staging, certified)
    assert (raised.value.reason, raised.value.exit_code) == (names.ARTIFACT_INVALID, ExitCode.BAD_ARTIFACT)
    assert tree_of(home) == before
    assert names_in(certified) == [home.name, "ledger_proof.json"]


Change = Callable[[Path], object]


def config(**changes: object) -> Change:
    return lambda folder: (folder / "adapter_config.json").write_text(json.dumps(adapter_config(**changes)))


def report(**changes: object) -> Change:
    def change(folder: Path) -> None:
        weights = (folder / "adapter_model.safetensors").read_bytes()
        (folder / "training_report.json").write_text(json.dumps(train_report(weights, **changes)))

    return change


def weights(data: bytes) -> Change:
    return lambda folder: stage_adapter(folder.parent, weights=data)


A, B = LORA_SHAPES
BAD: dict[str, tuple[Change, str]] = {
    "no-config": (lambda f: (f / "adapter_config.json").unlink(), "there is no file adapter_config.json"),
    "config-a-link": (
        lambda f: (f / "adapter_config.json").rename(f / "x") and (f / "adapter_config.json").symlink_to("x"),
        "there is no file adapter_config.json",
    ),
    "config-no-json": (lambda f: (f / "adapter_config.json").write_text("{"), "adapter_config.json is no JSON"),
    "config-list": (lambda f: (f / "adapter_config.json").write_text("[]"), "adapter_config.json is no JSON object"),
    "not-lora": (config(peft_type="IA3"), "peft_type 'IA3'; an adapter that is served has 'LORA' there"),
    "other-rank": (config(r=8), "adapter_config.json has r 8, but the run asked for 4"),
    "other-alpha": (config(lora_alpha=1), "adapter_config.json has lora_alpha 1, but the run asked for 8"),
    "no-base": (config(base_model_name_or_path=""), "has base_model_name_or_path ''"),
    "config-nan": (config(lora_dropout=float("nan")), "NaN is no JSON"),
    "other-layers": (config(target_modules=["o_proj"]), "has target_modules ['o_proj'], but the run asked for ['q_proj']"),
    **{f"config-{name}": (config(**change), "adapter_config.json has ") for name, change in ORDERS.items()},
    "no-report": (lambda f: (f / "training_report.json").unlink(), "there is no file training_report.json"),
    "report-cut": (lambda f: (f / "training_report.json").write_text("{"), "training_report.json cannot be used"),
    "report-lacks": (lambda f: (f / "training_report.json").write_text("{}"), "training_report.json cannot be used: steps: missing"),
    "loss-nan": (report(finalLoss=float("nan")), "training_report.json"),
    "other-weights": (report(weightsDigest=DATA_DIGEST), f"but training reported {DATA_DIGEST}: it was changed after"),
    "no-weights": (lambda f: (f / "adapter_model.safetensors").unlink(), "there is no file adapter_model.safetensors"),
    "weights-a-link": (
        lambda f: [(f / "adapter_model.safetensors").unlink(), (f / "adapter_model.safetensors").symlink_to("/etc/passwd")],
        "there is no file adapter_model.safetensors",
    ),
    "weights-a-pickle": (weights(b"\x80\x02}q\x00." * 9), "adapter_model.safetensors cannot be used: its header claims"),
    "no-tensors": (weights(raw_safetensors({}, b"")), "adapter_model.safetensors cannot be used: it holds no tensors"),
    "not-only-lora": (weights(safetensors(LORA_SHAPES | {"lm_head.weight": (2, 2)})), "lm_head.weight, which is no LoRA"),
    "tensors-of-other-layers": (
        weights(safetensors({name.replace("q_proj", "k_proj"): shape for name, shape in LORA_SHAPES.items()})),
        "a layer that adapter_config.json does not name in target_modules",
    ),
    "tensor-of-other-rank": (weights(safetensors({A: (8, 8), B: (8, RANK)})), "of shape [8, 8], which has not rank 4"),
    "half-a-pair": (weights(safetensors({A: LORA_SHAPES[A]})), "holds only lora_A of"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "sentence"), BAD.values(), ids=BAD.keys())
def test_what_is_no_adapter_of_the_run_is_refused_and_leaves_nothing(
    staging: Path, certified: Path, change: Change, sentence: str
) -> None:
    change(staging / "adapter")
    with pytest.raises(JobError) as raised:
        certify(staging, certified)
    assert (raised.value.reason, raised.value.exit_code) == (names.ARTIFACT_INVALID, ExitCode.BAD_ARTIFACT)
    assert raised.value.message.startswith("run identity left nothing that may be certified: ")
    assert sentence in raised.value.message
    assert list(certified.iterdir()) == []


def test_the_configuration_is_written_from_the_request(staging: Path, certified: Path) -> None:
    folder = staging / "adapter"
    told = adapter_config(
        base_model_name_or_path="/models/base",
        exclude_modules=r"model\.vision_tower\..*",
        peft_version="0.21.2",
        **NEUTRAL,
    )
    (folder / "adapter_config.json").write_text(json.dumps(told))
    home = certified / certify(staging, certified).version.dna
    assert json.loads((home / "adapter_config.json").read_bytes()) == {
        "base_model_name_or_path": "tiny",
        "bias": "none",
        "exclude_modules": r"model\.vision_tower\..*",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "init_lora_weights": True,
        "lora_alpha": 8,
        "lora_dropout": 0.05,
        "peft_type": "LORA",
        "r": 4,
        "target_modules": ["q_proj"],
        "task_type": "CAUSAL_LM",
    }
