"""`python -m oneseek_runtime.plugin.inpod.ask SECONDS` in a serving pod's sidecar: a query from stdin, its answer to stdout.

For clusters whose API server cannot reach pods, or whose users may enter them and not use the proxy.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Sequence
from typing import BinaryIO

from oneseek_core import names
from oneseek_core.network import failure

__all__ = ["main"]

_PATH = "/api/oqt/query"


def main(arguments: Sequence[str], source: BinaryIO, out: BinaryIO, *, port: int = names.PORT_PUBLIC) -> int:
    """Pass the query on; the result is the process's exit code."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=float(arguments[0]))
    try:
        connection.request("POST", _PATH, body=source.read(), headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = answer.read()
    except TimeoutError:
        sys.stderr.write(f"the sidecar did not answer within {arguments[0]} s\n")
        return 2
    except (OSError, http.client.HTTPException) as error:
        sys.stderr.write(f"the sidecar does not answer: {failure(error)}\n")
        return 2
    finally:
        connection.close()
    if answer.status != http.client.OK:
        sys.stderr.write(f"the sidecar answered {answer.status}: {body.decode(errors='replace')[:500]}\n")
        return 2
    out.write(body)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdin.buffer, sys.stdout.buffer))
