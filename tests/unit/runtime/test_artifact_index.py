"""The index of certified versions, written by two Jobs that end at the same moment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from oneseek_runtime.artifact import index
from support.certified import certify, lora_weights, shared_keys


def test_whoever_writes_last_has_seen_what_the_other_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = certify(tmp_path, keys=shared_keys())[0]
    other = certify(tmp_path / "elsewhere", lora_weights(width=16), keys=shared_keys(), major=2)[0]
    (one.parent / "ledger_proof.json").unlink()
    real, writes = index.write_atomic, []

    def write(path: Path, data: bytes) -> None:
        real(path, data)
        writes.append(data)
        if len(writes) == 1:  # just then an import gives its version its name
            other.rename(one.with_name(other.name))

    monkeypatch.setattr(index, "write_atomic", write)
    index.write_index(one.parent)
    rows = json.loads((one.parent / "ledger_proof.json").read_bytes())["models"]
    assert [row["dna"] for row in rows] == [one.name, other.name]
    assert len(writes) == 2
