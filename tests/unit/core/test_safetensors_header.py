from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from oneseek_core.errors import ArtifactError
from oneseek_core.files import read_tensors
from oneseek_core.safetensors_header import TensorInfo, header_length, parse_header
from support.artifacts import raw_safetensors, safetensors


def tensor(begin: int, end: int, **changes: object) -> dict[str, object]:
    return {"dtype": "U8", "shape": [end - begin], "data_offsets": [begin, end]} | changes


def read(tmp_path: Path, data: bytes) -> object:
    (tmp_path / "file").write_bytes(data)
    return read_tensors(tmp_path / "file")


def test_files_of_the_real_library_are_read(tmp_path: Path) -> None:
    arrays = {
        "a": np.zeros((2, 3), np.float16),
        "b": np.zeros((), np.int64),
        "c": np.zeros((0, 4), np.float32),
        "d": np.zeros(5, np.bool_),
    }
    found = read(tmp_path, save(arrays, metadata={"format": "pt"}))
    assert isinstance(found, dict)
    assert {name: info.shape for name, info in found.items()} == {name: array.shape for name, array in arrays.items()}
    assert found["a"].dtype == "F16"


def test_our_own_maker_writes_what_the_header_says(tmp_path: Path) -> None:
    assert read(tmp_path, safetensors({"x": (2, 2)})) == {"x": TensorInfo("F32", (2, 2), 0, 16)}


GOOD = safetensors({"x": (2, 2), "y": (1,)})


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        pytest.param(b"", "too few for a safetensors file", id="empty"),
        pytest.param(b"\x80\x02}q\x00.", "too few", id="short"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "cut short or no safetensors", id="lfs-pointer"),
        pytest.param((10**12).to_bytes(8, "little") + b"{}", "cut short or no safetensors", id="length-beyond-file"),
        pytest.param(GOOD[:-1], "cut or padded", id="cut"),
        pytest.param(GOOD + b"\0", "cut or padded", id="padded"),
        pytest.param((2).to_bytes(8, "little") + b"xx", "is no JSON", id="no-json"),
        pytest.param(raw_safetensors([], b""), "no JSON object", id="list"),
        pytest.param(raw_safetensors({"x": 1}, b""), "lacks dtype", id="no-tensor"),
        pytest.param(
            raw_safetensors({"x": tensor(0, 4), "y": tensor(2, 6)}, b"0" * 6), "begins at byte 2", id="overlap"
        ),
        pytest.param(raw_safetensors({"x": tensor(0, 4), "y": tensor(5, 6)}, b"0" * 6), "begins at byte 5", id="gap"),
        pytest.param(raw_safetensors({"x": tensor(0, 9)}, b"0" * 6), "cut or padded", id="beyond-the-data"),
        pytest.param(raw_safetensors({"x": tensor(0, 4, shape=[5])}, b"0" * 4), "takes 4 bytes, but", id="wrong-size"),
        pytest.param(raw_safetensors({"x": tensor(0, 4, shape=[-4])}, b"0" * 4), "no whole numbers", id="negative"),
        pytest.param(raw_safetensors({"x": tensor(0, 1, shape=[True])}, b"0"), "no whole numbers", id="boolean"),
        pytest.param(raw_safetensors({"x": tensor(0, 4, dtype="Q4")}, b"0" * 4), "unknown type 'Q4'", id="type"),
        pytest.param(raw_safetensors({"x": tensor(0, 4, dtype=["F32"])}, b"0" * 4), "unknown type", id="type-list"),
    ],
)
def test_a_damaged_file_is_refused_with_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    with pytest.raises(ArtifactError, match=sentence):
        read(tmp_path, data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        length = header_length(data[:8], len(data))
        parse_header(data[8 : 8 + length], len(data) - 8 - length)
    except ArtifactError:
        pass
