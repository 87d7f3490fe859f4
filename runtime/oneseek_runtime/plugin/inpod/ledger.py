"""[I/O] Inside a records pod: its ledger as JSON lines, read from the service beside us with the token it keeps here.

A head (with the checkpoints that were kept), the blocks up to that head, and an end that tells a whole dump from one
whose connection broke.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from oneseek_core import names
from oneseek_core.ledger import BlockError, parse_block
from oneseek_core.ledger_entries import QUERY
from oneseek_runtime.access import Access, NamedConnection
from oneseek_runtime.records.errors import SettingsError
from oneseek_runtime.records.settings import RecordsSettings
from oneseek_runtime.records.signing import Signer

__all__ = ["ledger", "transitions", "whole"]

_PAGE = 1000  # blocks
_SECONDS = 60  # for one page
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to reach one that listens on all addresses


def whole(environment: Mapping[str, str]) -> Iterator[bytes]:
    """The lines of a dump with every block.

    Raises:
        SettingsError, AccessError, OSError, ValueError, HTTPException: this is no records pod, or its service does not
            answer.
    """
    return _dump(environment, whole=True)


def ledger(_arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> None:
    """Write a dump with every block. Raises as `whole`."""
    out.writelines(line + b"\n" for line in whole(environment))


def transitions(_arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> None:
    """Write a dump without the queries, of which there may be millions. Raises as `whole`."""
    out.writelines(line + b"\n" for line in _dump(environment, whole=False))


def _dump(environment: Mapping[str, str], *, whole: bool) -> Iterator[bytes]:
    """The service's head and kept checkpoints, the blocks up to that head, the end."""
    settings, access = RecordsSettings.from_environment(environment), Access.of(environment)
    if access is None:
        raise SettingsError(f"{names.ACCESS_ENV} is not set; the records service is started by the operator")
    token, connection = access.token, _connection(settings, access)
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


def _connection(settings: RecordsSettings, access: Access) -> http.client.HTTPConnection:
    host = _EVERYWHERE.get(settings.host, settings.host)
    if settings.tls_port is not None and settings.tls_name:
        name = settings.tls_name
        return NamedConnection(host, settings.tls_port, context=access.client(), name=name, timeout=_SECONDS)
    return http.client.HTTPConnection(host, settings.port, timeout=_SECONDS)


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
