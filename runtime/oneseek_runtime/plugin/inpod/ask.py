"""[I/O] In a serving pod's sidecar: a query from stdin, its answer to stdout.

For clusters whose API server cannot reach pods, or whose users may enter them and not use the proxy.
"""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from oneseek_core import names
from oneseek_core.network import failure
from oneseek_runtime.plugin.errors import CannotTellError

__all__ = ["ask"]

_PATH = "/api/oqt/query"


def ask(
    arguments: Sequence[str],
    _environment: Mapping[str, str],
    out: BinaryIO,
    *,
    source: BinaryIO | None = None,
    port: int = names.PORT_PUBLIC,
) -> None:
    """Pass the query on; wait for the answer as many seconds as the argument says.

    Raises CannotTellError: the sidecar does not answer, or not with 200.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=float(arguments[0]))
    try:
        body = (source or sys.stdin.buffer).read()
        connection.request("POST", _PATH, body=body, headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        found = answer.read()
    except TimeoutError as error:
        raise CannotTellError(f"the sidecar did not answer within {arguments[0]} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise CannotTellError(f"the sidecar does not answer: {failure(error)}") from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise CannotTellError(f"the sidecar answered {answer.status}: {found.decode(errors='replace')[:500]}")
    out.write(found)
