"""`ask MODEL QUESTION [--dna DNA | --candidate]`: one question, by the road every client takes.

Through the API server's proxy; where that is forbidden or cannot reach pods, from within a pod (`kubectl exec`). Either
way nobody needs a port of the cluster open. The query is an ordinary one: counted, limited and recorded like any other.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_runtime.plugin import reading
from oneseek_runtime.plugin.answers import Answer, Call, Exit
from oneseek_runtime.plugin.colours import ColourView, PodView, colours_of
from oneseek_runtime.plugin.errors import CannotTellError, KubectlError
from oneseek_runtime.plugin.text import number, printable
from oneseek_runtime.plugin.versions import DNA_HELP, MODEL_HELP, find, known, mistake

__all__ = ["ABOUT", "add_arguments", "run"]

ABOUT = (
    "The question goes through the API server to the model's Service, or to a pod of the version that is named; "
    "no port has to be open. Needs the right to use services/proxy (pods/proxy), or else pods/exec."
)

_PATH = "api/oqt/query"
_CONTAINER = "sidecar"
_NOT_SERVED = "NotServed"  # reason: no pod that is up has this version
_UNREACHABLE = ("(Forbidden)", "dial ", "connect", "no endpoints", "timed out", "timeout", "proxy error")


def add_arguments(parser: ArgumentParser) -> None:
    """What `ask` takes."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("question", metavar="QUESTION", help="in quotes; - reads it from stdin")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--dna", metavar="DNA", help=f"ask {DNA_HELP}; some pod must serve it")
    which.add_argument("--candidate", action="store_true", help="ask the version that is being rolled out")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="longest answer, in tokens")
    parser.add_argument("--timeout", type=int, default=60, metavar="SECONDS", help="how long to wait for it; 60")


@dataclass(frozen=True, slots=True)
class _Road:
    """Where the question goes: a path of the API server, and the pods behind it."""

    path: str
    pods: tuple[PodView, ...]


def run(call: Call) -> Answer:
    """Ask. Raises CannotTellError: the model cannot be read, or nobody answers."""
    model = reading.read_model(call.kubectl, call.arguments.model)
    road = _road(call, model)
    if isinstance(road, Answer):
        return road
    question = call.arguments.question
    body: dict[str, Any] = {"question": sys.stdin.read().strip() if question == "-" else question}
    if call.arguments.max_tokens:
        body["options"] = {"maxTokens": call.arguments.max_tokens}
    return _told(model, _ask(call, model, road, body))


def _road(call: Call, model: OneSeekModel) -> _Road | Answer:
    meta = model.metadata
    if not call.arguments.dna and not call.arguments.candidate:
        return _Road(f"/api/v1/namespaces/{meta.namespace}/services/{meta.name}:http/proxy/{_PATH}", ())
    if call.arguments.candidate:
        if model.status.candidate is None:
            return _refused(model, names.NO_CANDIDATE, f"{meta.name} has no candidate; {lenient.ready(model).reason}")
        dna = model.status.candidate.dna
    else:
        found = find(call.arguments.dna, known(model))
        if len(found) != 1:
            return _refused(model, *mistake(model, call.arguments.dna, found))
        dna = found[0]
    pods = _serving(_colours(call, model), dna)
    if not pods:
        return _refused(
            model, _NOT_SERVED, f"no pod that is ready serves {dna} now; see kubectl oneseek status {meta.name}"
        )
    path = f"/api/v1/namespaces/{meta.namespace}/pods/{pods[0].name}:{names.PORT_PUBLIC}/proxy/{_PATH}"
    return _Road(path, tuple(pods))


def _colours(call: Call, model: OneSeekModel) -> list[ColourView]:
    selector = f"--selector={names.LABEL_MODEL}={model.metadata.name}"
    items = call.kubectl.items("deployments,pods", f"--namespace={model.metadata.namespace}", selector)
    return colours_of(items, model.status.colour)


def _serving(colours: Sequence[ColourView], dna: str) -> list[PodView]:
    pods = (pod for colour in colours if colour.dna == dna for pod in colour.pods)
    return [pod for pod in pods if pod.ready and not pod.terminating]


def _ask(call: Call, model: OneSeekModel, road: _Road, body: dict[str, Any]) -> bytes:
    seconds = call.arguments.timeout
    try:
        return call.kubectl.post(road.path, body, seconds=seconds)
    except KubectlError as error:
        if not any(word in str(error) for word in _UNREACHABLE):
            raise
        pods = road.pods or [pod for colour in _colours(call, model) if colour.live for pod in colour.pods if pod.ready]
        if not pods:
            raise
        try:
            return call.kubectl.execute(
                f"pod/{pods[0].name}",
                _CONTAINER,
                ["ask", str(seconds)],
                namespace=model.metadata.namespace,
                stdin=json.dumps(body).encode(),
            )
        except KubectlError as other:
            raise KubectlError(
                f"neither through the API server's proxy ({error}) nor from within a pod ({other})"
            ) from other


def _told(model: OneSeekModel, data: bytes) -> Answer:
    try:
        found = json.loads(data)
        text, version, metadata = str(found["response"]), str(found["version"]), found.get("metadata", {})
        confidence, latency, tokens = found.get("confidence"), metadata.get("latency_ms"), metadata.get("tokens")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CannotTellError(f"what answered is no OneSeek sidecar: {data[:200]!r}") from error
    document = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "answer": text,
        "version": version,
        "confidence": confidence,
        "latencyMilliseconds": latency,
        "tokens": tokens,
        "queryId": found.get("queryId"),
    }
    facts = [version, f"confidence {number(confidence)}", f"{tokens} tokens", f"{latency} ms"]
    lines = [*map(printable, text.splitlines()), "", printable("   ".join(facts))]
    return Answer(document, "\n".join(lines))


def _refused(model: OneSeekModel, reason: str, message: str) -> Answer:
    document = {
        "model": model.metadata.name,
        "namespace": model.metadata.namespace,
        "answer": None,
        "reason": reason,
        "message": message,
    }
    return Answer(document, printable(f"{reason}: {message}"), Exit.REFUSED)
