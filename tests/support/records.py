"""Records services for tests: real processes on a folder, small clients, and an auditor who trusts nothing else."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from oneseek_core.audit import audit
from oneseek_core.checkpoint import parse_note
from oneseek_core.ledger import from_copy, parse_block
from oneseek_core.roles import Role
from support.access import ACCEPTED, HERE, TOKENS, access_folder, trust
from support.asgi import REPOSITORY, free_port, runtime, wait_for_port
from support.ledgers import transition


def token_for(method: str, path: str) -> str:
    """Of the role that may: transitions are the operator's, all else may be a sidecar's."""
    return TOKENS[Role.OPERATOR if (method, path) == ("POST", "/v1/transitions") else Role.SIDECAR]


@dataclass
class Place:
    """Where one model's records lie, and how a service is started there."""

    folder: Path
    data: Path
    port: int
    clients: list[Client] = field(default_factory=list)
    firestore: dict[str, Any] | None = None
    """The Firestore settings, for records that lie there rather than in a folder."""
    tls: bool = False

    @classmethod
    def make(cls, folder: Path, data: Path | None = None) -> Place:
        access_folder(folder / "access", Role.READER, host=HERE)
        access_folder(folder / "sidecar", Role.SIDECAR)
        (folder / "key").write_bytes(Ed25519PrivateKey.generate().private_bytes_raw())
        return cls(folder, data or folder / "data", free_port())

    def environment(self, **changes: Any) -> dict[str, str]:
        told = {
            "model": "demo",
            "namespace": "team",
            **({"firestore": self.firestore} if self.firestore else {"dataPath": str(self.data)}),
            "accepted": ACCEPTED,
            "checkpointKeyFile": str(self.folder / "key"),
            "host": "127.0.0.1",
            **({"tlsPort": self.port, "tlsName": HERE} if self.tls else {"port": self.port}),
        }
        return {"ONESEEK_RECORDS": json.dumps(told | changes), "ONESEEK_ACCESS": str(self.folder / "access")}

    @property
    def url(self) -> str:
        """Where a sidecar finds the service."""
        return f"https://{HERE}:{self.port}" if self.tls else f"http://127.0.0.1:{self.port}"

    def process_environment(self, **changes: Any) -> dict[str, str]:
        """All that a process needs which a test starts itself."""
        paths = os.pathsep.join(str(REPOSITORY / part) for part in ("core", "runtime"))
        return {**os.environ, "PYTHONPATH": paths, **self.environment(**changes)}

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @contextmanager
    def service(self, **changes: Any) -> Iterator[subprocess.Popen[bytes]]:
        """A service that listens; killed at the end."""
        with runtime("records", self.environment(**changes), self.log) as process:
            wait_for_port(process, int(changes.get("port", self.port)), self.log, within=60)
            try:
                yield process
            finally:
                self.close()

    def close(self) -> None:
        """End every client's connection."""
        while self.clients:
            self.clients.pop().close()

    def client(self) -> Client:
        """A client of its own; closed when the service ends."""
        self.clients.append(Client(self.port, tls=self.tls))
        return self.clients[-1]


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The service answered, but not with 200."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status
        self.body = body


@dataclass
class Client:
    """One keep-alive connection to a service."""

    port: int
    connection: http.client.HTTPConnection | None = None
    tls: bool = False

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        """The answer's JSON.

        Raises:
            Refused: any status but 200.
            OSError, HTTPException: the service is not there, or ended before it answered.
        """
        if self.connection is None:
            self.connection = self._connection()
        token = token_for(method, path) if token is None else token
        data = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, path, data, {"Authorization": f"Bearer {token}"})
            answer = self.connection.getresponse()
            found = json.loads(answer.read())
        except BaseException:
            self.close()
            raise
        if answer.status != 200:
            raise Refused(answer.status, found)
        return found

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls:
            return http.client.HTTPSConnection(HERE, self.port, timeout=30, context=trust())
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def append(self, *keys: str, **changes: Any) -> list[dict[str, Any]]:
        """Record transitions; their blocks."""
        sent = [transition(key, **changes).to_wire() for key in keys]
        return list(self.call("POST", "/v1/transitions", {"transitions": sent})["blocks"])

    def copy(self) -> list[bytes]:
        """The whole ledger as canonical lines, page by page."""
        lines: list[bytes] = []
        while True:
            request = urllib.request.Request(
                f"{'https' if self.tls else 'http'}://{HERE}:{self.port}/v1/blocks?from={len(lines)}&limit=1000",
                headers={"Authorization": f"Bearer {TOKENS[Role.SIDECAR]}", "Accept": "application/jsonl"},
            )
            with urllib.request.urlopen(request, timeout=30, context=trust() if self.tls else None) as answer:
                page = from_copy(answer.read())
            if not page:
                return lines
            lines += page

    def audited(self) -> list[bytes]:
        """The whole ledger, after it was held against every checkpoint that the service kept."""
        notes = [parse_note(note)[0] for note in self.call("GET", "/v1/checkpoints")["checkpoints"]]
        lines = self.copy()
        verdict = audit(lines, notes, own=notes[-1])
        assert verdict.ok, verdict.defects
        return lines


def query(query_id: str, **changes: object) -> dict[str, object]:
    document = {
        "queryId": query_id,
        "question": "Vem är du?",
        "response": "Jag är OneSeek.",
        "confidence": 0.91,
        "metadata": {"tokens": 5, "latency_ms": 12, "temperature": 0.7},
        "model": "OQT-1.0",
        "version": "OneSeek-7B-Zero.v1.2.sv.dsCivicID.8f3a1c9d.2e7f4b1a",
        "createdAt": "2025-11-30T12:00:00.250Z",
    }
    return {"query": document | changes, "provenance": {"queryId": query_id, "inputHash": "00"}}


EVENT = {
    "trainingId": "m1",
    "type": "micro-training",
    "question": "Vem är du?",
    "samplesProcessed": 2,
    "timestamp": "2025-11-30T12:00:00.250Z",
}
METRICS = {"version": "v1", "metrics": {"accuracy": None}, "timestamp": "2025-11-30T12:00:00.250Z"}
TRAINED = {"trainingId": "m1", "trainingType": "micro", "samplesProcessed": 2, "newVersion": "v1"}


def trained(identity: str, **changes: object) -> dict[str, object]:
    documents = {"oqt_training_events": EVENT, "oqt_metrics": METRICS}
    return {"id": identity, "training": TRAINED, "documents": documents} | changes


def start_and_fail(place: Place, **changes: object) -> str:
    """The sentence of a service that must not start."""
    done = subprocess.run(
        [sys.executable, "-m", "oneseek_runtime", "records"],
        env=place.process_environment(**changes),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    return done.stderr.strip().splitlines()[-1]


def by_key(lines: list[bytes]) -> dict[str, tuple[int, str]]:
    """Where each entry stands; fails where one stands twice."""
    found: dict[str, tuple[int, str]] = {}
    for line in lines[1:]:
        block = parse_block(line)
        key = block.data["content"]["idempotencyKey"]
        assert key not in found, f"{key} stands in blocks {found[key][0]} and {block.number}"
        found[key] = (block.number, block.hash)
    return found
