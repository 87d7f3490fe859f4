"""`python -m oneseek_runtime.plugin.inpod.metadata DNA...` in a serving pod's sidecar: their metadata.json, a line each.

A version that is not there, or whose file cannot be read, is a line with null: the other one still tells something.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

from pydantic import ValidationError

from oneseek_core import names
from oneseek_core.dna import Dna
from oneseek_core.errors import OneSeekError
from oneseek_core.files import read_json
from oneseek_core.serving.settings import ServingSettings

__all__ = ["main"]


def main(arguments: Sequence[str], environment: Mapping[str, str], out: TextIO) -> int:
    """Write the lines to `out`; the result is the process's exit code."""
    try:
        versions = [str(Dna.parse(argument)) for argument in arguments]
        settings = ServingSettings.from_wire(environment.get(names.SERVING_ENV, ""))
    except (OneSeekError, ValidationError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    for dna in versions:
        found = read_json(Path(settings.certified_path) / dna / "metadata.json")
        out.write(json.dumps({"dna": dna, "metadata": found}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout))
