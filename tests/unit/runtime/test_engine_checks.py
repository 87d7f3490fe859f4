"""What is refused before anything is loaded, and in which words."""

import hashlib
from pathlib import Path

import pytest

from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.dna import Dna
from oneseek_core.names import ExitCode
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.engine.checks import adapter_folder, base_folder
from oneseek_runtime.engine.errors import EngineStartError

WEIGHTS = b"weights"
CREATED_AT = "2026-08-23T10:11:12.345Z"
DNA = str(
    Dna.derive(
        family="OneSeek-7B-Zero",
        version=(1, 0),
        language="sv",
        tags=("Identity",),
        weights_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
        created_at=CREATED_AT,
    )
)


@pytest.fixture
def serving(tmp_path: Path) -> ServingSettings:
    base, adapter = tmp_path / "base", tmp_path / "adapter"
    base.mkdir()
    adapter.mkdir()
    (base / "config.json").write_text("{}")
    (base / "model.safetensors").write_bytes(b"")
    (adapter / "adapter_model.safetensors").write_bytes(WEIGHTS)
    metadata = ArtifactMetadata(version="v", dna=DNA, created_at=CREATED_AT, base_model="b", language="sv")
    (adapter / "metadata.json").write_bytes(metadata.canonical_bytes())
    return ServingSettings(
        model="m",
        namespace="n",
        family="OneSeek-7B-Zero",
        base_name="b",
        base_path=str(base),
        dna=DNA,
        adapter_path=str(adapter),
    )


def test_the_right_folders_are_accepted(serving: ServingSettings) -> None:
    assert base_folder(serving) == Path(serving.base_path)
    assert adapter_folder(serving) == Path(serving.adapter_path or "")
    assert adapter_folder(serving.model_copy(update={"dna": None})) is None


def test_changed_weights_are_refused(serving: ServingSettings) -> None:
    (Path(serving.adapter_path or "") / "adapter_model.safetensors").write_bytes(b"others")
    with pytest.raises(EngineStartError, match="the weights were changed") as caught:
        adapter_folder(serving)
    assert caught.value.exit_code == ExitCode.DIGEST_DIFFERS


def test_another_version_is_refused(serving: ServingSettings) -> None:
    other = DNA.replace(".v1.0.", ".v2.0.")
    with pytest.raises(EngineStartError, match=f"holds {DNA}, but {other} is to be served"):
        adapter_folder(serving.model_copy(update={"dna": other}))


@pytest.mark.parametrize("name", ["metadata.json", "adapter_model.safetensors"])
def test_a_missing_file_is_named(serving: ServingSettings, name: str) -> None:
    (Path(serving.adapter_path or "") / name).unlink()
    with pytest.raises(EngineStartError, match=f"{name} cannot be read: No such file") as caught:
        adapter_folder(serving)
    assert caught.value.exit_code == ExitCode.BAD_ARTIFACT


def test_a_pickled_base_is_refused(serving: ServingSettings) -> None:
    folder = Path(serving.base_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EngineStartError, match=r"no safetensors weights; its weights are pickles") as caught:
        base_folder(serving)
    assert caught.value.exit_code == ExitCode.BAD_INPUT
