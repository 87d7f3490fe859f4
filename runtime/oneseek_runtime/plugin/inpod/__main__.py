"""`python -m oneseek_runtime.plugin.inpod COMMAND` in a pod: lines on stdout, or a sentence on stderr and exit code 2.

So neither token nor files leave the pod, and who may enter it is the API server's to say. As in the plugin itself a
command's module is imported once it is chosen: the verifier's libraries take longer to load than a ledger to read.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.client import HTTPException
from typing import BinaryIO

from oneseek_core.errors import OneSeekError
from oneseek_core.secret import redacted

__all__ = ["main"]

COMMANDS = {
    "ledger": "oneseek_runtime.plugin.inpod.ledger:whole",
    "transitions": "oneseek_runtime.plugin.inpod.ledger:transitions",
    "verify": "oneseek_runtime.plugin.inpod.verify:verify",
}


def main(arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> int:
    """Write what was asked for to `out`; the result is the process's exit code."""
    if len(arguments) != 1 or arguments[0] not in COMMANDS:
        print(f"usage: python -m oneseek_runtime.plugin.inpod {'|'.join(COMMANDS)}", file=sys.stderr)
        return 2
    module, function = COMMANDS[arguments[0]].split(":")
    command: Callable[[Mapping[str, str]], Iterator[bytes]] = getattr(importlib.import_module(module), function)
    try:
        out.writelines(line + b"\n" for line in command(environment))
        out.flush()
    except (OneSeekError, OSError, ValueError, KeyError, HTTPException) as error:
        print(redacted(f"{type(error).__name__}: {error}"), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout.buffer))
