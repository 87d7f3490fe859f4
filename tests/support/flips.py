"""Which version the status named when, and what clients were told: a watch on the model, and the judgement of a load."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support.kube import Kube, wait_until

_CLOCK = 0.003  # seconds: a load tells its moments in milliseconds
_TIMEOUT = 60


@dataclass(frozen=True)
class Named:
    """A version (empty: the base model) that the status named: since when, and when the flip to it was asked for."""

    dna: str
    asked: float
    seen: float


@dataclass
class Names:
    """What a watch saw, and what fresh connections that were opened that very moment were answered by."""

    named: list[Named] = field(default_factory=list)
    answered: list[tuple[str, str]] = field(default_factory=list)  # named, answered
    failures: list[str] = field(default_factory=list)
    _asked: list[float] = field(default_factory=list)

    def ask(self) -> None:
        """A flip is about to be asked for."""
        self._asked.append(time.time())

    def see(self, dna: str, url: str) -> None:
        """The status names a version: note it, and ask at once who answers."""
        seen = time.time()
        if self.named and self.named[-1].dna == dna:
            return
        self.named.append(Named(dna, max((item for item in self._asked if item <= seen), default=seen), seen))
        try:
            self.answered.append((dna, fresh(url)))
        except (OSError, ValueError) as error:
            self.failures.append(f"{dna or 'the base model'} was named, and a fresh connection failed: {error}")

    def wrong(self) -> list[tuple[str, str]]:
        """Fresh connections that were answered by another version than the one just named."""
        return [(named, said) for named, said in self.answered if named != said]


def fresh(url: str) -> str:
    """The version that answers a question on a connection of its own; empty: the base model."""
    body = json.dumps({"question": "Vem är du?", "options": {"maxTokens": 1}}).encode()
    request = urllib.request.Request(
        f"{url}/api/oqt/query", body, {"Content-Type": "application/json", "Connection": "close"}
    )
    with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
        response.read()
        return str(response.headers.get("X-OneSeek-DNA", ""))


@contextmanager
def watched(kube: Kube, url: str, name: str = "zero") -> Iterator[Names]:
    """A watch on a model for as long as the block runs."""
    command = [str(kube.kubectl_path), "--kubeconfig", str(kube.kubeconfig), "-n", kube.namespace]
    command += ["get", "oneseekmodel", name, "--watch", "-o", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    names = Names()

    def read() -> None:
        assert process.stdout is not None
        decoder, text = json.JSONDecoder(), ""
        for line in process.stdout:
            text += line
            if line.rstrip() != "}":  # the last line of an object as kubectl prints it
                continue
            item, _ = decoder.raw_decode(text)
            text = ""
            names.see(item.get("status", {}).get("current", {}).get("dna", ""), url)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        wait_until(lambda: bool(names.named), within=30, what="the watch sees the model", every=0.02)
        yield names
    finally:
        process.terminate()
        process.wait(timeout=30)
        reader.join(timeout=_TIMEOUT)
        if process.stdout is not None:
            process.stdout.close()


def wrong(result: Mapping[str, Any], named: Sequence[Named]) -> list[dict[str, Any]]:
    """The answers of a load to requests that began after the status named a version, by another one.

    Right is the version that the status named last when the request began, or one that a flip asked for before the answer
    was there led to. There is no slack, and a kept-alive connection's last answer is judged as any other.
    """
    zero = float(result["started_at"])
    out = []
    for answer in result["answers"]:
        begun, ended = zero + answer["asked"] - _CLOCK, zero + answer["answered"] + _CLOCK
        before = [item for item in named if item.seen <= begun][-1:]
        later = [item for item in named if item.seen > begun and item.asked <= ended]
        if before and answer["dna"] not in {item.dna for item in [*before, *later]}:
            out.append(answer)
    return out
