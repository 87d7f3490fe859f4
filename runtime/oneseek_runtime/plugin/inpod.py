"""[I/O] What the plugin runs inside a pod through `kubectl exec`, where the token, the claim and the keys are.

`python -m oneseek_runtime.plugin.inpod ledger|transitions` in a records pod, `... verify` in the watching verifier's
container. So neither token nor files leave the pod, and who may enter it is the API server's to say. A dump is JSON
lines: a head, the blocks, and an end that tells a whole dump from one whose connection broke.
"""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from oneseek_core import names
from oneseek_core.errors import JobError, OneSeekError
from oneseek_core.job_contract import VerifyRequest, parse_request
from oneseek_core.ledger import BlockError, parse_block
from oneseek_core.ledger_entries import QUERY
from oneseek_runtime.records.settings import RecordsSettings
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.verify.watch import Watcher

__all__ = ["main"]

_PAGE = 1000  # blocks
_SECONDS = 60  # for one page
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach one that listens on all addresses


def main(arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> int:
    """Write what was asked for to `out`; the result is the process's exit code: 0, or 2 with a sentence on stderr."""
    try:
        match arguments:
            case ["verify"]:
                out.write(_verify(environment) + b"\n")
            case ["ledger" | "transitions" as what]:
                out.writelines(
                    line + b"\n"
                    for line in _dump(RecordsSettings.from_environment(environment), whole=what == "ledger")
                )
            case _:
                return 2
        out.flush()
    except (OneSeekError, JobError, OSError, ValueError, http.client.HTTPException):
        return 2
    return 0


def _verify(environment: Mapping[str, str]) -> bytes:
    """One round of the watching verifier, now, as its own request says."""
    request = parse_request(environment.get(names.REQUEST_ENV), VerifyRequest)
    return json.dumps(Watcher(request).round().to_wire()).encode()


def _dump(settings: RecordsSettings, *, whole: bool) -> Iterator[bytes]:
    """The service's head and kept checkpoints, the blocks up to that head, the end."""
    token = Path(settings.token_file).read_text(encoding="utf-8").strip()
    host = _EVERYWHERE.get(settings.host, settings.host)
    connection = http.client.HTTPConnection(host, settings.port, timeout=_SECONDS)
    try:
        kept = json.loads(_get(connection, token, "/v1/checkpoints"))["checkpoints"]
        head = json.loads(_get(connection, token, "/v1/head"))
        yield json.dumps({"origin": settings.origin, "head": head, "checkpoints": kept, **_key(settings)}).encode()
        number = written = 0
        while number < head["height"]:
            limit = min(_PAGE, head["height"] - number)
            page = _get(connection, token, f"/v1/blocks?from={number}&limit={limit}").split(b"\n")[:-1]
            if not page:
                raise ValueError(f"the service told of {head['height']} blocks and has no block {number}")
            number += len(page)
            wanted = page if whole else [line for line in page if _is_transition(line)]
            written += len(wanted)
            yield from wanted
        yield json.dumps({"end": written}).encode()
    finally:
        connection.close()


def _get(connection: http.client.HTTPConnection, token: str, path: str) -> bytes:
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}", "Accept": "application/jsonl"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != http.client.OK:
        raise ValueError(f"the records service answered {answer.status} to {path.partition('?')[0]}")
    return body


def _is_transition(line: bytes) -> bool:
    """Anything but a query; a line that is no block goes along, so that it is seen."""
    try:
        return parse_block(line).data.get("type") != QUERY
    except BlockError:
        return True


def _key(settings: RecordsSettings) -> dict[str, Any]:
    """The public half of the key that signs checkpoints, where there is one."""
    if settings.checkpoint_key_file is None:
        return {}
    return {"verifierKey": str(Signer.from_file(settings.origin, Path(settings.checkpoint_key_file)).key)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, sys.stdout.buffer))
