"""[I/O] What is looked at before anything is loaded: is this the base model's folder, is this adapter that version?

No torch here: a wrong folder is refused in milliseconds.
"""

from __future__ import annotations

from pathlib import Path

from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.digest import PREFIX
from oneseek_core.dna import Dna
from oneseek_core.errors import ArtifactError, DnaError
from oneseek_core.files import digest_file
from oneseek_core.names import ExitCode
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.engine.errors import EngineStartError

__all__ = ["adapter_folder", "base_folder"]

WEIGHTS = "adapter_model.safetensors"


def base_folder(serving: ServingSettings) -> Path:
    """The base model's folder.

    Raises:
        EngineStartError: it is missing or has no safetensors weights (pickles are never loaded).
    """
    folder = Path(serving.base_path)
    if not (folder / "config.json").is_file():
        raise EngineStartError(f"{folder} holds no config.json; it is no model folder", ExitCode.BAD_INPUT)
    if not any(folder.glob("*.safetensors")):
        pickled = any(folder.glob("*.bin"))
        why = "; its weights are pickles (.bin), which are never loaded" if pickled else ""
        raise EngineStartError(f"{folder} holds no safetensors weights{why}", ExitCode.BAD_INPUT)
    return folder


def adapter_folder(serving: ServingSettings) -> Path | None:
    """The adapter's folder, proved to be the version in the settings; None where the base model is to be served.

    Raises:
        EngineStartError: the folder's metadata names another version, or its weights are not those the DNA names.
    """
    if serving.dna is None:
        return None
    if serving.adapter_path is None:
        raise EngineStartError(f"the settings name {serving.dna} but no adapterPath", ExitCode.BAD_REQUEST)
    folder = Path(serving.adapter_path)
    try:
        expected = Dna.parse(serving.dna).weights
        metadata = ArtifactMetadata.from_bytes((folder / "metadata.json").read_bytes())
        digest, _ = digest_file(folder / WEIGHTS)
    except DnaError as error:
        raise EngineStartError(str(error), ExitCode.BAD_REQUEST) from error
    except ArtifactError as error:
        raise EngineStartError(f"{folder}: {error}", ExitCode.BAD_ARTIFACT) from error
    except OSError as error:
        raise EngineStartError(f"{error.filename} cannot be read: {error.strerror}", ExitCode.BAD_ARTIFACT) from error
    if metadata.dna != serving.dna:
        raise EngineStartError(
            f"{folder} holds {metadata.dna}, but {serving.dna} is to be served", ExitCode.DIGEST_DIFFERS
        )
    found = digest.removeprefix(PREFIX)
    if not found.startswith(expected):
        raise EngineStartError(
            f"{folder / WEIGHTS} hashes to {found[:8]}…, but {serving.dna} names {expected}: the weights were changed",
            ExitCode.DIGEST_DIFFERS,
        )
    return folder
