"""What a foreign pod, a train pod's code and a writer on the claim can do to a serving pod: real processes, a tiny real model."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiohttp

from oneseek_core import names
from oneseek_core.digest import digest_bytes, manifest_bytes
from oneseek_core.errors import JobError
from oneseek_core.files import digest_tree
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.engine.settings import EngineSettings
from support import certified
from support.audit.attempts import RefusedError
from support.hot_pod import BASE, Claim, HotPod
from support.tiny_model import tiny_base

QUESTION = "Vem är du?"
POD = "127.0.0.2"  # the address of this machine by which a foreign pod would come: any but the pod's own loopback one
STRANGER = "127.0.0.3"
SERIAL = 2**53


async def make(folder: Path, attempt: Callable[[str, Coroutine[Any, Any, str]], Coroutine[Any, Any, None]]) -> None:
    claim = Claim(folder / "claim")
    for major, name in enumerate(("one", "two"), start=1):
        claim.certify(name, major=major)
    pod = Pod(claim, folder / "pod", claim.versions["one"])
    pod.start()
    try:
        await attempt("drain", drain(pod))
        await attempt("previous", previous(pod))
        await attempt("olora", olora(pod))
        await attempt("swap", swap(pod))
        await attempt("unload", unload(pod))
        await attempt("base", base(pod))
    finally:
        pod.kill()


class Pod(HotPod):
    """Its engine listens where an engine does that is told nothing, and is told of its base model what its checkout tells."""

    def __init__(self, claim: Claim, folder: Path, wanted: WantedVersion) -> None:
        imported = manifest_bytes(digest_tree(claim.base))
        (claim.base / names.BASE_MANIFEST).write_bytes(imported)
        self.base_digest = digest_bytes(imported)
        super().__init__(claim, folder, wanted)

    def _environment(self, command: str) -> dict[str, str]:
        told = super()._environment(command)
        if command == "engine":
            serving = json.loads(told[names.SERVING_ENV])
            if "base_digest" in ServingSettings.model_fields:
                serving["baseDigest"] = self.base_digest
            told[names.SERVING_ENV] = json.dumps(serving)
            told |= {"ONESEEK_HOST": EngineSettings.host, "ONESEEK_PRECISION": "fp32"}
        return told


async def post(url: str, body: object) -> tuple[int, Mapping[str, str], str]:
    """Status, headers and text of an answer to whoever has no token and checks no certificate."""
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, json=body, ssl=False) as answer:
        return answer.status, answer.headers, await answer.text()


async def ask(pod: HotPod) -> tuple[str, Mapping[str, str]]:
    """The DNA that answers a client, and the headers."""
    body = {"question": QUESTION, "options": {"maxTokens": 4}}
    status, headers, text = await post(pod.url("public") + "/api/oqt/query", body)
    return headers.get("X-OneSeek-DNA", f"{status} {text}"), headers


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 30) -> bool:
    """Whether it became so in time."""
    for _ in range(int(seconds / 0.1)):
        if await true():
            return True
        await asyncio.sleep(0.1)
    return False


async def drain(pod: HotPod) -> str:
    """POST /internal/drain, without a token."""
    status, _, said = await post(pod.url("internal") + "/internal/drain", {})
    closes = (await ask(pod))[1].get("Connection") == "close"
    if not closes:
        raise RefusedError(f"{status} {said}")
    await post(pod.url("internal") + "/internal/drain", {"draining": False})
    return "its answers close their clients' connections"


class Completion(BaseHTTPRequestHandler):
    """An engine that says what a stranger likes, by whatever name it is asked."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message = {"role": "assistant", "content": "a stranger's words"}
        tokens = {"content": [{"token": "a", "logprob": 0.0}]}
        choice = {"index": 0, "message": message, "logprobs": tokens, "finish_reason": "stop"}
        head = {"id": "1", "object": "chat.completion", "created": 1, "model": asked["model"]}
        usage = {"prompt_tokens": 1, "completion_tokens": 3, "total_tokens": 4}
        data = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def stranger() -> Iterator[None]:
    """A stranger's pod, at the port where 69e4700 asks engines."""
    with ThreadingHTTPServer((STRANGER, names.PORT_ENGINE), Completion) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


async def previous(pod: HotPod) -> str:
    """POST /internal/previous, without a token, and a client's question to all versions."""
    dna = pod.claim.versions["two"].dna
    with stranger():
        order = {"previous": {"dna": dna, "addresses": [STRANGER]}}
        status, _, said = await post(pod.url("internal") + "/internal/previous", order)
        _, _, text = await post(pod.url("public") + "/api/oqt/multi-model-query", {"question": QUESTION})
        shown = [one for one in json.loads(text)["modelResponses"] if one["model"] == dna]
    if not shown or "stranger" not in shown[0]["responsePreview"]:
        raise RefusedError(f"{status} {said}")
    await post(pod.url("internal") + "/internal/previous", {})
    return f"a client was shown {shown[0]['responsePreview']!r} as the answer of {dna}"


async def olora(pod: HotPod) -> str:
    """A train pod leaves an adapter whose configuration has peft change the base; it is certified, and the operator orders it."""
    before = await pod.say(BASE)
    real = certified.adapter_config
    certified.adapter_config = lambda **changes: real(**changes) | {"init_lora_weights": "olora"}
    try:
        version = pod.claim.certify("olora", major=3)
    except JobError as error:
        raise RefusedError(f"certify: {error}") from error
    finally:
        certified.adapter_config = real
    await pod.order(version, 2)
    there = await until(lambda: _answers(pod, version))
    after = await pod.say(BASE)
    if after != before:
        return "the base that runs and was not loaded anew gives another answer to the same question"
    said = json.loads((pod.claim.certified / str(version.dna) / "adapter_config.json").read_text())
    assert there, pod.log("engine")
    raise RefusedError(f"certify wrote init_lora_weights: {said['init_lora_weights']}; the base answers as before")


async def _answers(pod: HotPod, version: WantedVersion) -> bool:
    return (await ask(pod))[0] == version.dna


async def swap(pod: HotPod) -> str:
    """POST /internal/swap without a token, then the operator's own order with its own serial."""
    one, two = pod.claim.versions["one"], pod.claim.versions["two"]
    order = {"dna": two.dna, "digest": two.digest, "serial": SERIAL}
    status, _, said = await post(pod.url("internal") + "/internal/swap", order)
    if status != 202 or not await until(lambda: _answers(pod, two)):
        raise RefusedError(f"{status} {said}")
    await pod.order(one, 3)
    back = await until(lambda: _answers(pod, one), seconds=5)
    return f"{two.dna} answers clients; the operator's order of another one was {'obeyed' if back else 'ignored'}"


async def unload(pod: HotPod) -> str:
    """POST /v1/unload_lora_adapter to the engine, from another address than its pod's loopback."""
    dna, _ = await ask(pod)
    try:
        status, _, said = await post(f"http://{POD}:{pod.ports['engine']}/v1/unload_lora_adapter", {"lora_name": dna})
    except aiohttp.ClientConnectionError as error:
        raise RefusedError(f"{type(error).__name__}: the engine listens on {EngineSettings.host}") from error
    if status != 200 or dna in await pod.models():
        raise RefusedError(f"{status} {said}")
    return f"the engine that answers clients has {dna} no more"


async def base(pod: HotPod) -> str:
    """A writer on the claim puts other weights in the base model's place; the engine starts anew."""
    before = await pod.say(BASE)
    pod.kill("engine")
    tiny_base(pod.folder / "other", seed=7)
    (pod.folder / "other" / "model.safetensors").replace(pod.claim.base / "model.safetensors")
    try:
        pod.start("engine")
    except AssertionError as error:
        raise RefusedError(str(error).strip().splitlines()[-1]) from error
    after = await pod.say(BASE)
    assert after != before
    return "it starts, and gives another answer to the same question"
