"""`python -m oneseek_runtime.plugin.inpod.folder DNA` in a serving pod's sidecar: a certified folder as a tar on stdout.

Only plain files go into it. What they are worth is proved where the tar arrives.
"""

from __future__ import annotations

import os
import stat
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.dna import Dna
from oneseek_core.errors import OneSeekError
from oneseek_core.serving.settings import ServingSettings

__all__ = ["main"]


def main(arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> int:
    """Write the tar to `out`; the result is the process's exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m oneseek_runtime.plugin.inpod.folder DNA\n")
        return 2
    try:
        dna = str(Dna.parse(arguments[0]))
        settings = ServingSettings.from_wire(environment.get(names.SERVING_ENV, ""))
        folder = Path(settings.certified_path) / dna
        if folder.is_symlink() or not folder.is_dir():
            sys.stderr.write(f"the claim holds no certified version {dna}\n")
            return 2
        _write(folder, out)
    except (OneSeekError, ValidationError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    return 0


def _write(folder: Path, out: BinaryIO) -> None:
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as file:
                kind = os.fstat(handle)
                if not stat.S_ISREG(kind.st_mode):
                    continue
                member = tarfile.TarInfo(path.relative_to(folder).as_posix())
                member.size = kind.st_size
                archive.addfile(member, file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout.buffer))
