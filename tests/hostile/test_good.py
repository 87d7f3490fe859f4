"""What certification makes is accepted, whatever its rank, type, name or data: the verifier is no nuisance."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from oneseek_core import names
from oneseek_core.jobs.verify import VerifyReport
from oneseek_runtime.verify import job
from support.artifacts import DATA_DIGEST, environment, tree_of
from support.certified import certify, lora_weights, shared_keys, verify_request

ENOUGH = 100

# Each varies something else beside type, rank and signature, in turn.
OTHER: list[dict[str, Any]] = [
    {},
    {"language": "sv"},
    {"language": "en", "tags": ["CivicID", "QA", "SwedID"]},
    {"family": "Stormhatt_7B-x", "major": 13, "micro": 156},
    {"parent": "OneSeek-7B-Zero.v0.9.sv.dsQA.00000000.00000000"},
    {"autoStop": {"threshold": 0.01, "patience": 2}},
    {"scores": {"factsContained": 0.25}},
    {"scores": {"loss": None, "byLanguage": {}}},
    {"images": {"train": "registry.example/runtime@sha256:" + "1" * 64, "certify": "slim:1"}},
    {"baseName": "kb-llama.3.1-8b"},
    {"legacyLayout": False},
    {"legacyLayout": False, "baseName": "kb-llama.3.1-8b", "scores": {"factsContained": 0.25}},
    {"datasets": []},
    {"datasets": [{"name": f"d-{n}", "digest": DATA_DIGEST, "rows": n + 1} for n in range(20)]},
    {"run": {"namespace": "laget", "name": "identitet-ö", "uid": "u"}},
]
GRID = list(
    itertools.product(("F32", "BF16", "F16", "F64"), (1, 4, 16, 64), (True, False), (("q_proj",), ("a", "b", "c")))
)
CASES = [(*row, OTHER[index % len(OTHER)]) for index, row in enumerate(GRID)]
CASES += [("F32", 4, True, ("q_proj",), other) for other in OTHER for _ in range(3)]


def test_there_are_enough_good_ones() -> None:
    assert len(CASES) >= ENOUGH


@pytest.mark.parametrize(
    ("dtype", "rank", "signed", "modules", "other"),
    CASES,
    ids=[f"{n}-{row[0]}-r{row[1]}" for n, row in enumerate(CASES)],
)
def test_a_good_version_is_accepted_and_copied(
    tmp_path: Path, dtype: str, rank: int, signed: bool, modules: tuple[str, ...], other: dict[str, Any]
) -> None:
    keys = shared_keys() if signed else None
    lora = {"rank": rank, "alpha": 8, "dropout": 0.05, "targetModules": list(modules)}
    folder, certified = certify(
        tmp_path, lora_weights(rank, dtype=dtype, modules=modules), keys=keys, lora=lora, **other
    )
    target = tmp_path / "target"
    target.mkdir()
    version = certified.version
    base = other.get("baseName", "tiny")
    request = verify_request(
        folder,
        keys,
        dna=version.dna,
        digest=version.digest,
        rank=rank,
        baseName=base,
        targetPath=str(target),
    )
    report: VerifyReport = job.run(environment(request))
    assert (report.ok, report.reason, report.dna, report.digest) == (
        True,
        names.ARTIFACT_VERIFIED,
        version.dna,
        version.digest,
    )
    assert (report.signed_by is not None) is signed
    copied, original = tree_of(target), tree_of(folder)
    assert copied == {name: original[name] for name in copied}
    assert "adapter_model.safetensors" in copied
    assert "adapter_model.bin" not in copied
