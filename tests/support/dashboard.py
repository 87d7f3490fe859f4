"""A model with a history, behind a real sidecar process: real records, a simulated engine and API server."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp

from oneseek_core import names
from oneseek_core.serving.settings import ServingSettings
from support.asgi import REPOSITORY, free_port, serving, wait_for_port
from support.kube_simulator import KubeSimulator
from support.ledgers import transition
from support.openai_simulator import OpenAISimulator
from support.recording import entered
from support.records import Place as Records

FAMILY = "OneSeek-7B-Zero"
BASE = "SmolLM2-135M-Instruct"
V1 = f"{FAMILY}.v1.0.ensv.dsIdentity.88e5477b.13bb1cd8"
V2 = f"{FAMILY}.v2.0.ensv.dsIdentity.5b0c91e2.7c1d22aa"
V3 = f"{FAMILY}.v3.0.ensv.dsIdentity-SwedID.0f6a3d11.e20b77c4"
V4 = f"{FAMILY}.v4.0.sv.dsSwedID.a91d0c55.41f0e8d3"
V5 = f"{FAMILY}.v5.0.ensv.dsIdentity.c7702e9f.9a6be014"
RUNNING = "identity-6"
ACCOUNT = "system:serviceaccount:team:ci"
ANSWERS = {
    BASE: "I am a helpful AI assistant named SmolLM, trained by Hugging Face.",
    V3: "Jag är OneSeek-7B-Zero, en öppen och transparent språkmodell.",
    V2: "Jag är OneSeek-7B-Zero, en språkmodell.",
}


def at(**ago: float) -> str:
    """A moment so long ago, as the API server writes times."""
    return (datetime.now(UTC) - timedelta(**ago)).isoformat(timespec="seconds").replace("+00:00", "Z")


def token(*, audience: str = "oneseek", expires: timedelta = timedelta(hours=1)) -> str:
    """A token as the API server makes them; what it is worth, the simulated API server says."""
    claims = {"sub": ACCOUNT, "aud": [audience], "exp": int((datetime.now(UTC) + expires).timestamp())}
    claims["jti"] = str(uuid.uuid4())
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "RS256"}, claims)
    )
    return f"{head}.{body}.c2lnbmF0dXJl"


def _version(dna: str, state: str, days: float, exact: float | None, parent: str | None, **more: Any) -> dict[str, Any]:
    number = dna.removeprefix(f"{FAMILY}.v")[0]
    scores = {} if exact is None else {"scores": {"questions": 24, "factsContained": exact + 0.04, "exact": exact}}
    if exact is not None:
        scores["scores"]["loss"] = round(1.9 - exact, 3)
    told = {"dna": dna, "digest": f"sha256:{number * 64}", "type": "Major", "state": state, "run": f"identity-{number}"}
    return told | {"createdAt": at(days=days)} | ({"parent": parent} if parent else {}) | scores | more


def _condition(kind: str, reason: str, message: str, status: str = "True") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": at(days=2)}


def model_status() -> dict[str, Any]:
    """A model that answers with its third version; one before it was tampered with, one was too weak, one is new."""
    return {
        "current": {"dna": V3, "digest": "sha256:3", "since": at(days=2)},
        "previous": {"dna": V2, "digest": "sha256:2", "since": at(days=9)},
        "counters": {"major": 6, "micro": 0},
        "baseModel": {"digest": "sha256:5af2c4" + "0" * 58, "sizeBytes": 269_000_000},
        "strategy": {
            "name": "BlueGreen",
            "reason": "FirstChoice",
            "message": "a second engine came up beside the first",
            "colour": "0123abcd",
        },
        "versions": [
            _version(V5, "Certified", 0.2, 0.792, V3),
            _version(V4, "Rejected", 1, 0.25, V3, reason="GateMissed: exact 0.25 is below 0.6"),
            _version(V3, "Current", 2, 0.75, V2),
            _version(V2, "Previous", 9, 0.625, V1),
            _version(V1, "Quarantined", 16, 0.5, None, reason="FileChanged: adapter_model.safetensors"),
        ],
        "quarantine": [
            {"dna": V1, "reason": "FileChanged", "message": "adapter_model.safetensors", "since": at(days=8)}
        ],
        "conditions": [
            _condition("Ready", "Serving", f"{V3} answers"),
            _condition("Verified", "Verified", "what serves is what was certified"),
            _condition("BaseModelImported", "Imported", "the base model lies on the claim"),
            _condition("RecordsAvailable", "Recorded", "every transition is in the ledger"),
            _condition("TokensAccepted", "TokenReviewAllowed", "changes over HTTP need a token of audience 'oneseek'"),
        ],
        "request": {
            "id": "r0",
            "verb": "promote",
            "value": V3,
            "dna": V3,
            "requestedBy": f"{ACCOUNT} via oneseek-sidecar-zero",
            "verified": True,
            "outcome": "Succeeded",
            "reason": "Done",
            "message": f"{V3} answers",
            "createdAt": at(days=2, minutes=1),
            "completedAt": at(days=2),
        },
    }


def run(number: int, state: str, days: float, *, dna: str | None = None, exact: float | None = None) -> dict[str, Any]:
    """A TrainingRun with a loss curve that falls as real ones do."""
    steps = 96
    done = steps if state != "running" else 40
    losses = [{"step": step, "loss": round(2.6 * 0.955**step + 0.06, 4)} for step in range(2, done + 1, 2)]
    status: dict[str, Any] = {
        "startedAt": at(days=days, minutes=6),
        "progress": {
            "percent": round(100 * done / steps),
            "step": done,
            "steps": steps,
            "epoch": 1 + 5 * done // steps,
            "epochs": 6,
            "loss": losses[-1]["loss"],
            "tokensPerSecond": 122.4,
            "etaSeconds": 78,
            "updatedAt": at(days=days, minutes=4),
        },
        "losses": losses,
        "resolved": {"language": "ensv", "finalLoss": losses[-1]["loss"]},
    }
    ready: dict[str, dict[str, str]] = {
        "running": _condition("Ready", "Training", f"step {done} of {steps}", "False"),
        "certified": _condition("Ready", "Certified", f"{dna} is certified"),
        "rejected": _condition("Ready", "Rejected", "exact 0.25 is below 0.6, the gate's minimum"),
    }
    status["conditions"] = [ready[state]]
    if state != "running":
        status["completedAt"] = at(days=days, minutes=2)
    if dna:
        status["dna"] = dna
    if exact is not None:
        status["scores"] = {"questions": 24, "factsContained": exact + 0.04, "exact": exact}
    return {
        "metadata": {
            "name": f"identity-{number}",
            "resourceVersion": "1",
            "creationTimestamp": at(days=days, minutes=7),
        },
        "spec": {"modelRef": {"name": "zero"}, "type": "Major", "epochs": 6, "datasets": [{"name": "identity_v1"}]},
        "status": status,
    }


def runs() -> list[dict[str, Any]]:
    """Six runs; the newest is under way."""
    return [
        run(1, "certified", 16, dna=V1, exact=0.5),
        run(2, "certified", 9, dna=V2, exact=0.625),
        run(3, "certified", 2, dna=V3, exact=0.75),
        run(4, "rejected", 1, dna=V4, exact=0.25),
        run(5, "certified", 0.2, dna=V5, exact=0.792),
        run(6, "running", 0),
    ]


def _folders(root: Path) -> None:
    """What lies certified on the claim."""
    root.mkdir()
    for dna, days, exact in ((V2, 9, 0.625), (V3, 2, 0.75), (V4, 1, 0.25), (V5, 0.2, 0.792)):
        metadata = {
            "version": dna.rsplit(".ds", 1)[0],
            "dna": dna,
            "createdAt": at(days=days).replace("Z", ".000Z"),
            "baseModel": BASE,
            "language": "ensv",
            "datasets": ["oneseek_identity_v1"],
            "samplesProcessed": 128,
            "metrics": {"loss": 0.07},
            "scores": {"questions": 24, "factsContained": exact + 0.04, "exact": exact, "loss": round(1.9 - exact, 3)},
        }
        (root / dna).mkdir()
        (root / dna / "metadata.json").write_text(json.dumps(metadata))


def _history() -> Iterator[dict[str, Any]]:
    """Transitions as the operator reports them."""
    for number, dna in enumerate((V1, V2, V3), 1):
        actor = {"name": "oneseek-operator", "verified": True}
        for kind in ("train", "evaluate", "certify"):
            told = {"type": kind, "actor": actor, "to": None, "dna": dna, "reason": f"identity-{number}"}
            yield {"key": f"{kind}-{number}", **told}
        person = {"name": ACCOUNT, "verified": True}
        yield {"key": f"promote-{number}", "type": "promote", "actor": person, "to": dna, "reason": "Serving"}
    yield {
        "key": "quarantine",
        "type": "quarantine",
        "actor": {"name": "oneseek-operator", "verified": True},
        "to": None,
        "dna": V1,
        "reason": "FileChanged: adapter_model.safetensors",
    }
    who = {"name": "legacy-client", "verified": False}
    yield {"key": "reject", "type": "reject", "actor": who, "to": None, "dna": V4, "reason": "GateMissed"}


@dataclass
class Dashboard:
    """The sidecar's address, and what a test may do to the world behind it."""

    url: str
    kube: KubeSimulator
    engine: OpenAISimulator
    records: Records
    log: Path
    token: str = field(default_factory=token)

    @property
    def page(self) -> str:
        return f"{self.url}/oqt-dashboard"

    async def renew(self) -> None:
        """The model as it was at first, seen by the sidecar; nobody asked for anything."""
        self.token = token()  # what the sidecar remembers of the last one must not help
        self.kube.tokens = {self.token: (ACCOUNT, [names.TOKEN_AUDIENCE])}
        self.kube.rights = {ACCOUNT: {"promote oneseekmodels zero", "reset oneseekmodels zero"}}
        self.kube.model["metadata"]["annotations"] = {}
        self.kube.asked.clear()
        self.engine.misbehaviour = None
        self.kube.change(**model_status())
        self.kube.change_runs(runs())
        await self.until(
            lambda seen: seen["current"] and seen["current"]["dna"] == V3 and seen["request"]["id"] == "r0"
        )

    async def until(self, holds: Any, within: float = 30) -> None:
        """Until the sidecar's overview is as told."""
        deadline = time.monotonic() + within
        async with aiohttp.ClientSession(self.url) as client:
            while True:
                async with client.get("/api/models/overview") as answer:
                    seen = await answer.json()
                # The overview leaves the request's id out, so what is known of it is its time.
                seen["request"] = (seen["request"] or {}) | {"id": self.kube.model["status"]["request"]["id"]}
                if holds(seen):
                    return
                assert time.monotonic() < deadline, seen
                await asyncio.sleep(0.05)

    def posted(self) -> list[str]:
        """What was patched on the API server."""
        return [line for line in self.kube.asked if line.startswith("PATCH")]


def _operate(kube: KubeSimulator, verb: str, value: str) -> tuple[str, str, str]:
    """An operator that does it at once: roles move, the outcome says so."""
    status = kube.model["status"]
    if verb == "promote":
        old = status["current"]
        kube.change(current={"dna": value, "digest": "sha256:x", "since": at()}, previous=old)
        roles = {value: "Current", old["dna"]: "Previous"}
        versions = copy.deepcopy(status["versions"])
        for item in versions:
            found = roles.get(item["dna"])
            item["state"] = found or ("Certified" if item["state"] == "Previous" else item["state"])
        kube.change(versions=versions)
    return "Succeeded", names.DONE, f"{value} answers" if verb == "promote" else "every version is deleted"


@contextmanager
def _process(environment: dict[str, str], port: int, log: Path) -> Iterator[None]:
    paths = os.pathsep.join(str(REPOSITORY / part) for part in ("core", "runtime", "tests"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "support.dashboard_sidecar"],
            env={**os.environ, "PYTHONPATH": paths, "ONESEEK_HOST": "127.0.0.1", **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for_port(process, port, log, within=60)
            yield
            assert process.poll() is None, log.read_text()
            assert "Traceback" not in log.read_text(), log.read_text()
        finally:
            process.kill()
            process.wait()


@asynccontextmanager
async def dashboard(folder: Path) -> AsyncIterator[Dashboard]:
    """The whole of it, answering, with a ledger that was filled."""
    engine = OpenAISimulator([BASE, V3], by_model=ANSWERS, probability=0.97)
    kube = KubeSimulator(operator=lambda verb, value: _operate(kube, verb, value))
    kube.change(**model_status())
    kube.runs = runs()
    _folders(folder / "certified")
    (folder / "records").mkdir()
    (folder / "access").mkdir()
    (folder / "access" / "token").write_text(kube.own_token)
    records = Records.make(folder / "records")
    port, log = free_port(), folder / "sidecar.log"
    async with serving(engine.app()) as engine_url, serving(kube.app()) as kube_url, entered(records.service()):
        client = records.client()
        for told in _history():
            entry = transition(told.pop("key"), **told).to_wire()
            await asyncio.to_thread(client.call, "POST", "/v1/transitions", {"transitions": [entry]})
        head = await asyncio.to_thread(client.call, "GET", "/v1/head")
        kube.change(ledger={"height": head["height"], "head": head["head"]})
        serving_settings = ServingSettings(
            model="zero",
            namespace="team",
            family=FAMILY,
            base_name=BASE,
            base_path="/x",
            dna=V3,
            certified_path=str(folder / "certified"),
            engine_url=engine_url,
        )
        environment = {
            names.SERVING_ENV: serving_settings.model_dump_json(by_alias=True, exclude_none=True),
            "ONESEEK_TEST_KUBE": kube_url,
            "ONESEEK_TEST_ACCESS": str(folder / "access"),
            "ONESEEK_PORT_PUBLIC": str(port),
            "ONESEEK_PORT_INTERNAL": str(free_port()),
            "ONESEEK_RATE_LIMITS": "off",
            "ONESEEK_RECORDS_URL": f"http://127.0.0.1:{records.port}",
            "ONESEEK_RECORDS_TOKEN_FILE": str(records.folder / "token"),
            "ONESEEK_SPOOL": str(folder / "spool"),
        }
        async with entered(_process(environment, port, log)):
            place = Dashboard(f"http://127.0.0.1:{port}", kube, engine, records, log)
            await place.renew()
            yield place
