"""[I/O] In the watching verifier's container: one round of it, now. A module of its own: the verifier is slow to import."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from oneseek_core import names
from oneseek_core.jobs.messages import parse_request
from oneseek_core.jobs.verify import VerifyRequest
from oneseek_runtime.verify.watch import Watcher

__all__ = ["verify"]


def verify(_arguments: Sequence[str], environment: Mapping[str, str], out: BinaryIO) -> None:
    """The verdict as a line of JSON. Raises JobError: this is no verifier's container."""
    request = parse_request(environment.get(names.REQUEST_ENV), VerifyRequest)
    out.write(json.dumps(Watcher(request).round().to_wire()).encode() + b"\n")
