"""The four containers of a HotSwap pod as real processes: watching verifier, engine, sidecar, over one folder a pod."""

from __future__ import annotations

import json
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import torch
from safetensors.torch import save

from oneseek_core import names
from oneseek_core.jobs.verify import VerifyRequest
from oneseek_core.roles import Role
from oneseek_core.serving.handover import Handover, HandoverRequest
from oneseek_core.serving.settings import ServingSettings
from oneseek_core.serving.sidecar import SidecarState
from oneseek_core.serving.swap import SwapRequest, WantedVersion
from support.access import ACCEPTED, NAME, access_folder, asking
from support.artifacts import environment
from support.asgi import free_port, runtime, wait_for_port
from support.certified import certify, shared_keys
from support.tiny_model import tiny_base

BASE = "tiny-llama"
START_SECONDS = 120


def strong_weights(seed: int, *, width: int = 64, rank: int = 4) -> bytes:
    """A LoRA of the tiny model's query projections that changes what it says."""
    torch.manual_seed(seed)
    tensors = {}
    for layer in range(2):
        place = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        tensors[f"{place}.lora_A.weight"] = torch.randn(rank, width)
        tensors[f"{place}.lora_B.weight"] = torch.randn(width, rank)
    return save(tensors)


@dataclass
class Claim:
    """A base model and certified versions."""

    root: Path
    versions: dict[str, WantedVersion] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tiny_base(self.base)

    @property
    def base(self) -> Path:
        return self.root / "basemodeller" / BASE

    @property
    def certified(self) -> Path:
        return self.root / names.CERTIFIED_DIR

    def certify(self, name: str, *, major: int) -> WantedVersion:
        """Make a version that answers in its own way."""
        _, report = certify(self.root, strong_weights(major), keys=shared_keys(), major=major, baseName=BASE)
        version = WantedVersion(dna=report.version.dna, digest=report.version.digest)
        self.versions[name] = version
        return version


class HotPod:
    """Processes of one pod; any of them can be ended and started again."""

    def __init__(self, claim: Claim, folder: Path, wanted: WantedVersion) -> None:
        self.claim, self.folder = claim, folder
        self.verified = folder / "verified"
        self.verified.mkdir(parents=True)
        self.wanted_file = folder / names.WANTED_FILE
        self.write_wanted(wanted)
        self.ports = {name: free_port() for name in ("engine", "watch", "public", "internal")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._stacks: dict[str, ExitStack] = {}
        self._starts = 0

    def write_wanted(self, wanted: WantedVersion) -> None:
        new = self.wanted_file.with_name("new")
        new.write_text(wanted.model_dump_json(by_alias=True))
        new.replace(self.wanted_file)

    def url(self, port: str) -> str:
        return f"{'https' if port == 'internal' else 'http'}://127.0.0.1:{self.ports[port]}"

    def start(self, *commands: str) -> None:
        """Start containers (all, where none is named) and wait until they listen."""
        for command in commands or ("watch", "engine", "sidecar"):
            self._starts += 1
            log = self.folder / f"{command}-{self._starts}.log"
            stack = ExitStack()
            process = stack.enter_context(runtime(command, self._environment(command), log))
            self.processes[command], self._stacks[command] = process, stack
            for port in {"watch": ("watch",), "engine": ("engine",), "sidecar": ("internal", "public")}[command]:
                wait_for_port(process, self.ports[port], log, within=START_SECONDS)

    def kill(self, *commands: str) -> None:
        """End containers as the kernel does."""
        for command in commands or tuple(self._stacks):
            self._stacks.pop(command).close()

    def log(self, command: str) -> str:
        return "".join(path.read_text() for path in sorted(self.folder.glob(f"{command}-*.log")))

    def _environment(self, command: str) -> dict[str, str]:
        if command == "watch":
            request = VerifyRequest(
                certified_path=str(self.claim.certified),
                verified_path=str(self.verified),
                trusted_keys=str(shared_keys().trusted),
                base_name=BASE,
                interval_seconds=1,
                port=self.ports["watch"],
            )
            return environment(request)
        serving = ServingSettings(
            model="demo",
            namespace="team",
            family="OneSeek-7B-Zero",
            base_name=BASE,
            base_path=str(self.claim.base),
            certified_path=str(self.claim.certified),
            verified_path=str(self.verified),
            wanted_path=str(self.wanted_file),
            engine_url=self.url("engine"),
            accepted=ACCEPTED,
            tls_name=NAME,
        )
        return {
            names.SERVING_ENV: serving.model_dump_json(by_alias=True),
            "ONESEEK_PORT_PUBLIC": str(self.ports["public"]),
            "ONESEEK_PORT_INTERNAL": str(self.ports["internal"]),
            "ONESEEK_PORT_VERIFY": str(self.ports["watch"]),
            "ONESEEK_RATE_LIMITS": "off",
            names.ACCESS_ENV: str(access_folder(self.folder / "access", Role.SIDECAR)),
            "ONESEEK_DRAIN_MINIMUM_SECONDS": "1",
        }

    async def order(
        self, version: WantedVersion, serial: int, *, status: int = 202, confirmed: bool = True, **more: Any
    ) -> None:
        """What the operator posts; and `confirmed` by the ConfigMap's file, which the kubelet brings up afterwards."""
        request = SwapRequest(dna=version.dna, digest=version.digest, serial=serial, **more)
        async with aiohttp.ClientSession() as session:
            url = self.url("internal") + "/internal/swap"
            async with session.post(url, json=request.to_wire(), **asking()) as response:
                assert response.status == status, await response.text()
        if confirmed and status == 202 and not request.hold:
            self.write_wanted(version.model_copy(update={"serial": serial}))

    async def hand_over(self, to: HotPod | None, version: WantedVersion | None = None) -> None:
        """Have it pass new requests on to another pod, which answers with a version; None: answer again."""
        addresses = [f"127.0.0.1:{to.ports['internal']}"] if to else []
        handover = Handover(dna=version.dna, addresses=addresses) if version else None
        async with aiohttp.ClientSession() as session:
            url = self.url("internal") + "/internal/handover"
            async with session.post(url, json=HandoverRequest(handover=handover).to_wire(), **asking()) as response:
                assert response.status == 200, await response.text()

    async def state(self) -> SidecarState:
        url = self.url("internal") + "/internal/state"
        async with aiohttp.ClientSession() as session, session.get(url, **asking()) as answer:
            return SidecarState.model_validate(await answer.json())

    async def models(self) -> list[str]:
        """What the engine itself lists."""
        async with aiohttp.ClientSession() as session, session.get(self.url("engine") + "/v1/models") as answer:
            return [row["id"] for row in (await answer.json())["data"]]

    async def say(self, model: str, *, tokens: int = 8, question: str = "Vem är du?") -> str:
        """What a model says when the engine is asked by its name."""
        body = {"model": model, "messages": [{"role": "user", "content": question}], "temperature": 0}
        async with aiohttp.ClientSession() as session:
            url = self.url("engine") + "/v1/chat/completions"
            async with session.post(url, json=body | {"max_tokens": tokens}) as answer:
                assert answer.status == 200, await answer.text()
                return str(json.loads(await answer.text())["choices"][0]["message"]["content"]).strip()
