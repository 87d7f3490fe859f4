from __future__ import annotations

import json

import pytest

from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.errors import ArtifactError

LEGACY = {
    "version": "OneSeek-7B-Zero.v1.0",
    "dna": "OneSeek-7B-Zero.v1.0.141521ad.90cdf6f1",
    "createdAt": "2025-11-25T09:30:00.000Z",
    "baseModel": "KB-Llama-3.1-8B-Swedish",
    "language": "sv",
    "datasets": ["a.jsonl"],
    "metrics": {"loss": 0.5, "accuracy": None, "fairness": None},
    "adapters": ["lora_adapters/one"],
    "isMerged": True,
}


def test_metadata_of_old_trainers_is_read_and_no_key_is_lost() -> None:
    written = json.loads(ArtifactMetadata.from_bytes(json.dumps(LEGACY).encode()).canonical_bytes())
    assert written.items() >= LEGACY.items()


def test_reading_and_writing_again_gives_the_same_bytes() -> None:
    first = ArtifactMetadata.from_bytes(json.dumps(LEGACY).encode()).canonical_bytes()
    assert ArtifactMetadata.from_bytes(first).canonical_bytes() == first


def test_provenance_keeps_keys_of_later_versions() -> None:
    provenance = dict.fromkeys(
        ("namespace", "run", "runUid", "specDigest", "model", "baseModelDigest", "dataDigest"), "x"
    )
    data = json.dumps(LEGACY | {"provenance": provenance | {"builder": {"id": "later"}}}).encode()
    assert json.loads(ArtifactMetadata.from_bytes(data).canonical_bytes())["provenance"]["builder"] == {"id": "later"}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"{", "metadata.json cannot be used", id="cut"),
        pytest.param(b"[]", "metadata.json cannot be used", id="list"),
        pytest.param(json.dumps(LEGACY | {"baseModel": ""}).encode(), "baseModel", id="no-base-model"),
    ],
)
def test_metadata_that_readers_cannot_use_is_refused(data: bytes, sentence: str) -> None:
    with pytest.raises(ArtifactError, match=sentence):
        ArtifactMetadata.from_bytes(data)
