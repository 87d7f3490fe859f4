"""adapter_model.bin as old readers open it: by torch itself."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load

from oneseek_core.safetensors_header import parse_header
from oneseek_runtime.certify.torch_zip import TorchArchive
from support.artifacts import raw_safetensors
from support.certified import Keys, certify, lora_weights, shared_keys


@pytest.fixture
def keys() -> Keys:
    return shared_keys()


@pytest.mark.parametrize("dtype", ["F64", "F32", "F16", "BF16"])
def test_old_readers_get_the_same_tensors_without_running_a_pickle(tmp_path: Path, keys: Keys, dtype: str) -> None:
    modules = ["q_proj", "v_proj", "o_proj"]
    weights = lora_weights(dtype=dtype, modules=modules)
    home, _ = certify(
        tmp_path, weights, keys=keys, lora={"rank": 4, "alpha": 8, "dropout": 0.05, "targetModules": modules}
    )
    wanted = load(weights)
    for mapped in (False, True):
        found = torch.load(home / "adapter_model.bin", weights_only=True, mmap=mapped)
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        assert all(found[name].dtype == wanted[name].dtype for name in wanted)
    with zipfile.ZipFile(home / "adapter_model.bin") as archive:
        assert archive.testzip() is None
        assert {"archive/data.pkl", "archive/version", "archive/data/0"} <= set(archive.namelist())


def test_empty_and_odd_shapes_and_pieces_of_any_size_give_one_archive() -> None:
    header = {
        "a": {"dtype": "F32", "shape": [0, 4], "data_offsets": [0, 0]},
        "b": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]},
        "c": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]},
        "d": {"dtype": "F32", "shape": [2, 0], "data_offsets": [16, 16]},
    }
    weights = raw_safetensors(header, bytes(range(16)))
    archives = set()
    for step in (1, 5, 16, 100):
        archive = TorchArchive(parse_header(json.dumps(header).encode(), 16))
        data = [archive.start()]
        for at in range(0, 16, step):
            data.extend(archive.feed(memoryview(weights[-16:])[at : at + step]))
        archives.add(b"".join([*map(bytes, data), archive.finish()]))
    (only,) = archives
    found = torch.load(io.BytesIO(only), weights_only=True)
    wanted = load(weights)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
