"""[I/O] In a serving pod's sidecar: what the claim holds of certified versions."""

from __future__ import annotations

import json
import os
import stat
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from oneseek_core import names
from oneseek_core.dna import Dna
from oneseek_core.files import read_json
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.plugin.errors import CannotTellError

__all__ = ["folder", "metadata"]


def _folder(dna: str, environment: Mapping[str, str]) -> Path:
    settings = ServingSettings.from_wire(environment.get(names.SERVING_ENV, ""))
    return Path(settings.certified_path) / str(Dna.parse(dna))


def metadata(arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> None:
    """The metadata.json of versions, a line each; null where there is none, or it cannot be read.

    Raises DnaError, ValueError: an argument is no DNA, or this is no sidecar.
    """
    folders = [_folder(dna, environment) for dna in arguments]
    for path in folders:
        line = json.dumps({"dna": path.name, "metadata": read_json(path / "metadata.json")})
        out.write(f"{line}\n".encode())


def folder(arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> None:
    """A version's plain files as a tar. What they are worth is proved where the tar arrives.

    Raises:
        CannotTellError: the claim does not hold the version.
        DnaError, ValueError: the argument is no DNA, or this is no sidecar.
        OSError: a file cannot be read.
    """
    home = _folder(arguments[0], environment)
    if home.is_symlink() or not home.is_dir():
        raise CannotTellError(f"the claim holds no certified version {home.name}")
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(home.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                kind = os.fstat(handle)
                if not stat.S_ISREG(kind.st_mode):
                    continue
                member = tarfile.TarInfo(path.relative_to(home).as_posix())
                member.size = kind.st_size
                archive.addfile(member, file)
