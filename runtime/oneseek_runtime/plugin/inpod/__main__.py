"""`python -m oneseek_runtime.plugin.inpod COMMAND [ARGUMENT...]` in a pod: an answer on stdout, or a sentence on stderr and exit code 2.

So neither token nor files leave the pod, and who may enter it is the API server's to say. As in the plugin itself a
command's module is imported once it is chosen: the verifier's libraries take longer to load than a ledger to read.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException
from typing import BinaryIO

from oneseek_core.errors import OneSeekError
from oneseek_core.secret import redacted
from oneseek_runtime.plugin.errors import CannotTellError

__all__ = ["main"]

_PACKAGE = "oneseek_runtime.plugin.inpod"
# command: (function, its arguments)
COMMANDS = {
    "ask": (f"{_PACKAGE}.ask:ask", "SECONDS"),
    "folder": (f"{_PACKAGE}.certified:folder", "DNA"),
    "metadata": (f"{_PACKAGE}.certified:metadata", "DNA..."),
    "ledger": (f"{_PACKAGE}.ledger:ledger", ""),
    "transitions": (f"{_PACKAGE}.ledger:transitions", ""),
    "verify": (f"{_PACKAGE}.verify:verify", ""),
}
Command = Callable[[Sequence[str], Mapping[str, str], BinaryIO], None]


def main(arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> int:
    """Write what was asked for to `out`; the result is the process's exit code."""
    name, *more = arguments or [""]
    function, wanted = COMMANDS.get(name, ("", ""))
    if not function or (len(more) != len(wanted.split()) and not wanted.endswith("...")):
        usage = " | ".join(f"{name} {told}".rstrip() for name, (_, told) in COMMANDS.items())
        print(f"usage: python -m {_PACKAGE} {usage}", file=sys.stderr)
        return 2
    module, _, attribute = function.partition(":")
    try:
        command: Command = getattr(importlib.import_module(module), attribute)
        command(more, environment, out)
        out.flush()
    except CannotTellError as error:
        print(redacted(str(error)), file=sys.stderr)
        return 2
    except (OneSeekError, OSError, ValueError, KeyError, HTTPException) as error:
        print(redacted(f"{type(error).__name__}: {error}"), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout.buffer))
