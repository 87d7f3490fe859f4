"""[I/O] Inside a records pod: its ledger as JSON lines, read from the service beside us with the token it keeps here.

A head (with the checkpoints that were kept), the blocks up to that head, and an end that tells a whole dump from one
whose connection broke.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from oneseek_core.ledger import BlockError, parse_block
from oneseek_core.ledger_entries import QUERY
from oneseek_core.secret import read_word
from oneseek_runtime.records.settings import RecordsSettings
from oneseek_runtime.records.signing import Signer

__all__ = ["transitions", "whole"]

_PAGE = 1000  # blocks
_SECONDS = 60  # for one page
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach one that listens on all addresses


def whole(environment: Mapping[str, str]) -> Iterator[bytes]:
    """The lines of a dump with every block.

    Raises:
        SettingsError, OSError, ValueError, HTTPException: this is no records pod, or its service does not answer.
    """
    return _dump(RecordsSettings.from_environment(environment), whole=True)


def transitions(environment: Mapping[str, str]) -> Iterator[bytes]:
    """The lines of a dump without the queries, of which there may be millions. Raises as `whole`."""
    return _dump(RecordsSettings.from_environment(environment), whole=False)


def _dump(settings: RecordsSettings, *, whole: bool) -> Iterator[bytes]:
    """The service's head and kept checkpoints, the blocks up to that head, the end."""
    token = read_word(Path(settings.token_file), "the records service's token")
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
