"""[I/O] Inside the watching verifier's container: one round of it, now, as its own request says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from oneseek_core import names
from oneseek_core.jobs.messages import parse_request
from oneseek_core.jobs.verify import VerifyRequest
from oneseek_runtime.verify.watch import Watcher

__all__ = ["verify"]


def verify(environment: Mapping[str, str]) -> Iterator[bytes]:
    """The verdict as a line of JSON.

    Raises:
        JobError: this is no verifier's container.
    """
    request = parse_request(environment.get(names.REQUEST_ENV), VerifyRequest)
    yield json.dumps(Watcher(request).round().to_wire()).encode()
