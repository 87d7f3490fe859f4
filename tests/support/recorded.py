"""Route × case × status, as the contract tests saw them: docs/reference/routes.md is written from this list and proved by it.

A sidecar alone (tests/legacy) is sent what a pod cannot easily be brought to, a deployed model (tests/cluster) what takes an
API server and records, and both of them all the rest.

PYTHONPATH=core:runtime:tests python -m support.recorded     # writes the page
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiohttp
import jsonschema_rs
from yarl import URL

from oneseek_runtime.sidecar.api.auth import right_of
from oneseek_runtime.sidecar.api.openapi import document
from oneseek_runtime.sidecar.api.operation import Operation
from oneseek_runtime.sidecar.api.table import GROUPS, SOCKETS, operations
from oneseek_runtime.sidecar.http.rate_limit import ROUTERS
from support.kube_simulator import jwt
from support.legacy import BASE, DNA

PAGE = Path(__file__).resolve().parents[2] / "docs/reference/routes.md"
JSON = {"Content-Type": "application/json"}
UNKNOWN = "OneSeek-7B-Zero.v9.9.sv.dsIdentity.00000000.00000000"
STRANGER = {"Authorization": f"Bearer {jwt('nobody')}"}
ELSEWHERE = {"Origin": "https://elsewhere.example", "Sec-Fetch-Site": "cross-site"}
TOKEN = {"Authorization": "Bearer TOKEN"}  # whose place a token of somebody who may promote takes


@dataclass(frozen=True)
class Case:
    """One request and what comes back. `body` is sent as JSON, bytes as they are."""

    route: str
    case: str
    status: int
    path: str = ""
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    engine: str = "answers"  # or: busy, broken
    where: Literal["both", "alone", "deployed"] = "both"

    @property
    def alone(self) -> bool:
        """Whether a sidecar alone is sent it."""
        return self.where != "deployed"

    @property
    def deployed(self) -> bool:
        """Whether a deployed model is sent it: no pod's engine is made to fail for it."""
        return self.where != "alone" and self.engine == "answers"

    @property
    def method(self) -> str:
        return self.route.split(" ", 1)[0]

    @property
    def url(self) -> str:
        return self.path or self.route.split(" ", 1)[1]

    @property
    def operation(self) -> Operation:
        return next(row for row in operations() if f"{row.method} {row.path}" == self.route)


CHAT = {"messages": [{"role": "user", "content": "hej"}]}
LESSON = {"question": "Vem är du?", "rawResponses": [{"model": "a", "response": "Jag är OneSeek."}]}
NOTHING_TO_LEARN = {"question": "Vem är du?", "rawResponses": []}
LONG_AGO = {"dateRange": {"start": "2020-01-01T00:00:00.000Z", "end": "2020-02-01T00:00:00.000Z"}}
TEACH, TRAIN, OLD_TEACH = "POST /api/oqt/micro-train", "POST /api/oqt/train", "POST /api/training/micro"
QUERY, CURRENT = "POST /api/oqt/query", "POST /api/models/set-current"
MULTI = "POST /api/oqt/multi-model-query"
SCRIPT = "/oqt-dashboard/assets/app-0a1b2c3d.js"
ONE_RUN = "/api/training/identity/metrics"
RUN_FOLDER = "/models/oneseek-certified/identity"

CASES = (
    Case(QUERY, "a question", 200, body={"question": "Vem är du?"}),
    Case(QUERY, "unknown keys beside it", 200, body={"question": "hej", "persona": "x", "user_id": 7, "context": []}),
    Case(QUERY, "white space", 200, body={"question": " "}),
    Case(QUERY, "options out of range", 200, body={"question": "q", "options": {"temperature": 9, "maxTokens": -1}}),
    Case(QUERY, "a form", 200, body=b"question=hej", headers={"Content-Type": "application/x-www-form-urlencoded"}),
    Case(QUERY, "no body", 400, body=b"", headers=JSON),
    Case(QUERY, "an empty question", 400, body={"question": ""}),
    Case(QUERY, "a question that is no text", 400, body={"question": 7}),
    Case(QUERY, "malformed JSON", 400, body=b"{", headers=JSON),
    Case(QUERY, "bytes that are no UTF-8", 400, body=b'{"question":"\xff"}', headers=JSON),
    Case(QUERY, "more than 200,000 values", 413, body=b'{"q":[' + b"1," * 300_000 + b"1]}", headers=JSON),
    Case(QUERY, "the engine's queue is full", 503, body={"question": "q"}, engine="busy"),
    Case(QUERY, "the engine fails", 500, body={"question": "q"}, engine="broken"),
    Case(MULTI, "a question to base and version", 200, body={"question": "Vem är du?"}),
    Case(MULTI, "without training", 200, body={"question": "hej", "enableTraining": False, "persona": "x"}),
    Case(MULTI, "with models elsewhere, none named", 200, body={"question": "AI?", "includeExternal": True}),
    Case(MULTI, "white space", 200, body={"question": " "}),
    Case(MULTI, "no body", 400, body=b"", headers=JSON),
    Case(MULTI, "a question that is no text", 400, body={"question": 7}),
    Case(MULTI, "malformed JSON", 400, body=b"{", headers=JSON),
    Case(MULTI, "the engine's queue is full", 503, body={"question": "q"}, engine="busy"),
    Case(MULTI, "the engine fails", 500, body={"question": "q"}, engine="broken"),
    Case("GET /api/oqt/status", "a version answers", 200),
    Case("GET /api/oqt/status", "the engine is away", 200, engine="broken"),
    Case("GET /api/oqt/metrics", "a version answers", 200),
    Case("GET /api/oqt/metrics", "the engine is away", 200, engine="broken"),
    Case("GET /api/oqt/queries", "records away", 200, where="alone"),
    Case("GET /api/oqt/queries", "records there", 200, where="deployed"),
    Case("GET /api/oqt/queries", "limit=-1", 400, path="/api/oqt/queries?limit=-1"),
    Case("GET /api/oqt/queries", "limit=abc", 200, path="/api/oqt/queries?limit=abc"),
    Case("GET /api/oqt/ledger/verify", "records away", 200, where="alone"),
    Case("GET /api/oqt/ledger/verify", "records there", 200, where="deployed"),
    Case("GET /api/oqt/ledger/stats", "records away", 500, where="alone"),
    Case("GET /api/oqt/ledger/stats", "records there", 200, where="deployed"),
    Case(TEACH, "no token", 401, body=LESSON),
    Case(TEACH, "a token, but no API server", 503, body=LESSON, headers=STRANGER, where="alone"),
    Case(TEACH, "no body", 400, body=b"", headers={**JSON, **TOKEN}, where="deployed"),
    Case(TEACH, "malformed JSON", 400, body=b"{", headers={**JSON, **TOKEN}, where="deployed"),
    Case(TEACH, "no answers", 200, body=NOTHING_TO_LEARN, headers=TOKEN, where="deployed"),
    Case(TEACH, "a question with answers", 200, body=LESSON, headers=TOKEN, where="deployed"),
    Case(TRAIN, "no token", 401, body=b"", headers=JSON),
    Case(TRAIN, "a token, but no API server", 503, body=b"", headers={**JSON, **STRANGER}, where="alone"),
    Case(TRAIN, "malformed JSON", 400, body=b"{", headers={**JSON, **TOKEN}, where="deployed"),
    Case(TRAIN, "a file", 400, body={"dataSource": "file"}, headers=TOKEN, where="deployed"),
    Case(TRAIN, "nothing recorded in that time", 409, body=LONG_AGO, headers=TOKEN, where="deployed"),
    Case("GET /api/oqt/ledger/blocks", "records away", 503, where="alone"),
    Case("GET /api/oqt/ledger/blocks", "records there", 200, where="deployed"),
    Case("GET /api/oqt/ledger/blocks", "before=-1", 400, path="/api/oqt/ledger/blocks?before=-1"),
    Case("GET /v1/models", "a version answers", 200),
    Case("GET /v1/models", "the engine is away", 503, engine="broken"),
    Case("GET /v1/models/{model}", "the OneSeekModel's name", 200, path="/v1/models/demo"),
    Case("GET /v1/models/{model}", "the DNA", 200, path=f"/v1/models/{DNA}"),
    Case("GET /v1/models/{model}", "unknown", 404, path="/v1/models/gpt-4"),
    Case("GET /v1/models/{model}", "the engine is away", 503, path="/v1/models/demo", engine="broken"),
    Case("POST /v1/chat/completions", "`default`", 200, body={"model": "default", **CHAT}),
    Case("POST /v1/chat/completions", "no model named", 200, body=CHAT),
    Case("POST /v1/chat/completions", "the base model", 200, body={"model": BASE, **CHAT}),
    Case("POST /v1/chat/completions", "an unknown model", 404, body={"model": "gpt-4", **CHAT}),
    Case("POST /v1/chat/completions", "malformed JSON", 400, body=b"{", headers=JSON),
    Case("POST /v1/chat/completions", "no messages", 400, body={"model": "default"}),
    Case("POST /v1/chat/completions", "the engine's queue is full", 503, body=CHAT, engine="busy"),
    Case("POST /v1/completions", "`default`", 200, body={"model": "default", "prompt": "hej"}),
    Case("POST /v1/completions", "an unknown model", 404, body={"model": "gpt-4", "prompt": "hej"}),
    Case("POST /v1/completions", "no prompt", 400, body={"model": "default"}),
    Case("GET /api/models/certified", "two versions", 200),
    Case("GET /api/models/current", "a link", 200),
    Case(CURRENT, "no token", 401, body={"modelId": DNA}),
    Case(CURRENT, "a token, but no API server", 503, body={"modelId": DNA}, headers=STRANGER, where="alone"),
    Case(CURRENT, "no token of this cluster", 401, body={"modelId": DNA}, headers=STRANGER, where="deployed"),
    Case(CURRENT, "no body", 400, body=b"", headers={**JSON, **TOKEN}, where="deployed"),
    Case(CURRENT, "an unknown version", 404, body={"modelId": UNKNOWN}, headers=TOKEN, where="deployed"),
    Case(CURRENT, "the version that answers", 200, body={"modelId": DNA}, headers=TOKEN, where="deployed"),
    Case("POST /api/models/reset", "no token", 401, body=b"", headers=JSON),
    Case("POST /api/models/reset", "by a page of another origin", 403, body=b"", headers={**JSON, **ELSEWHERE}),
    Case("POST /api/models/reset", "a text", 415, body=b"x", headers={"Content-Type": "text/plain"}),
    Case("GET /api/models/merge/manifests", "", 200),
    Case("GET /api/models/merge/versions", "", 200),
    Case("GET /api/models/gguf", "", 200),
    Case("GET /api/models/gguf/active", "", 200),
    Case("POST /api/models/merge", "no body", 400, body=b"", headers=JSON),
    Case("POST /api/models/merge", "all fields", 501, body={"baseModel": "b", "adapters": ["a"]}),
    Case("POST /api/models/merge/quick", "no mergeType", 400, body={"modelId": DNA}),
    Case("POST /api/models/merge/quick", "all fields", 501, body={"modelId": DNA, "mergeType": "micro"}),
    Case("POST /api/models/gguf/export", "no body", 400, body=b"", headers=JSON),
    Case("POST /api/models/gguf/export", "all fields", 501, body={"modelPath": "x"}),
    Case("POST /api/models/gguf/set-active", "no body", 400, body=b"", headers=JSON),
    Case("POST /api/models/gguf/set-active", "all fields", 501, body={"ggufName": "x"}),
    Case(OLD_TEACH, "no token", 401, body=LESSON),
    Case(OLD_TEACH, "a token, but no API server", 503, body=LESSON, headers=STRANGER, where="alone"),
    Case(OLD_TEACH, "no body", 400, body=b"", headers={**JSON, **TOKEN}, where="deployed"),
    Case(OLD_TEACH, "malformed JSON", 400, body=b"{", headers={**JSON, **TOKEN}, where="deployed"),
    Case(OLD_TEACH, "no answers", 200, body=NOTHING_TO_LEARN, headers=TOKEN, where="deployed"),
    Case(OLD_TEACH, "a question with answers", 200, body=LESSON, headers=TOKEN, where="deployed"),
    Case("GET /api/training/micro/status", "records away", 503, where="alone"),
    Case("GET /api/training/micro/status", "records there", 200, where="deployed"),
    Case("GET /api/training/micro/stats", "records away", 503, where="alone"),
    Case("GET /api/training/micro/stats", "records there", 200, where="deployed"),
    Case("GET /api/training/active", "a run under way", 200),
    Case("GET /api/training/{run}/metrics", "a run", 200, path=ONE_RUN),
    Case("GET /api/training/{run}/metrics", "unknown", 404, path="/api/training/nobody/metrics"),
    Case("GET /api/admin/training/status", "a run under way", 200),
    Case("GET /api/admin/datasets", "", 200),
    Case("GET /api/autonomy/state", "", 200),
    Case("GET /api/autonomy/config", "", 200),
    Case("GET /api/admin/models", "", 200),
    Case("GET /api/admin/models/available", "", 200),
    Case("GET /api/admin/models/discover-base", "", 200),
    Case("GET /api/admin/models/{id}/metadata", "a version", 200, path=f"/api/admin/models/{DNA}/metadata"),
    Case("GET /api/admin/models/{id}/metadata", "unknown", 404, path="/api/admin/models/x/metadata"),
    Case("GET /models/{path:path}", "metadata.json", 200, path=f"/models/oneseek-certified/{DNA}/metadata.json"),
    Case(
        "GET /models/{path:path}",
        "through CURRENT",
        200,
        path="/models/oneseek-certified/OneSeek-7B-Zero-CURRENT/metadata.json",
    ),
    Case("GET /models/{path:path}", "a run's live_metrics.json", 200, path=f"{RUN_FOLDER}/live_metrics.json"),
    Case(
        "GET /models/{path:path}",
        "metadata.json of a run that made no version yet",
        404,
        path=f"{RUN_FOLDER}/metadata.json",
        where="alone",
    ),
    Case(
        "GET /models/{path:path}",
        "metadata.json of a run: its version's",
        200,
        path=f"{RUN_FOLDER}/metadata.json",
        where="deployed",
    ),
    Case("GET /models/{path:path}", "weights", 404, path=f"/models/oneseek-certified/{DNA}/adapter_model.safetensors"),
    Case("GET /models/{path:path}", "out of the folder", 404, path="/models/oneseek-certified/%2e%2e/metadata.json"),
    Case("GET /api/admin/models/{id}/download", "", 501, path=f"/api/admin/models/{DNA}/download"),
    Case("POST /api/admin/training/start", "", 410, body={}),
    Case("GET /", "a version answers", 200),
    Case("GET /", "the engine is away", 200, engine="broken"),
    Case("POST /infer", "a text", 200, body={"text": "hej"}),
    Case("POST /infer", "no text", 422, body={}),
    Case("POST /infer", "out of range", 422, body={"text": "hej", "temperature": 3}),
    Case("POST /infer", "malformed JSON", 400, body=b"{", headers=JSON),
    Case("POST /infer", "the engine fails", 500, body={"text": "hej"}, engine="broken"),
    Case("POST /inference/oneseek", "a text", 200, body={"text": "hej", "max_length": 5}),
    Case("POST /inference/oneseek", "an empty text", 422, body={"text": ""}),
    Case("POST /api/inference/infer", "a text", 200, body={"text": "hej"}),
    Case("POST /api/inference/infer", "no text", 422, body={}),
    Case("POST /api/inference/infer", "the engine fails", 503, body={"text": "hej"}, engine="broken"),
    Case("POST /infer-legacy", "", 410, body={}),
    Case("POST /inference/llama", "", 410, body={}),
    Case("POST /inference/mistral", "", 410, body={}),
    Case("GET /api/inference/status", "a version answers", 200),
    Case("GET /api/inference/status", "the engine is away", 200, engine="broken"),
    Case("GET /models/status", "a version answers", 200),
    Case("GET /models/status", "the engine is away", 200, engine="broken"),
    Case("GET /api/chat/characters", "", 200),
    Case("GET /api/chat/characters/{id}", "the default", 200, path="/api/chat/characters/oneseek-medveten"),
    Case("GET /api/chat/characters/{id}", "unknown", 404, path="/api/chat/characters/x"),
    Case("GET /oqt-dashboard", "", 200),
    Case("GET /oqt-dashboard/{path:path}", "the page", 200, path="/oqt-dashboard/"),
    Case("GET /oqt-dashboard/{path:path}", "a script", 200, path=SCRIPT, where="alone"),
    Case("GET /oqt-dashboard/{path:path}", "out of the folder", 404, path="/oqt-dashboard/%2e%2e/pages.py"),
    Case("GET /api/models/overview", "", 200),
    Case("GET /api/training/runs", "a run under way", 200),
    Case("GET /health", "", 200),
    Case("GET /api/health", "a version answers", 200),
    Case("GET /api/health", "the engine is away", 200, engine="broken"),
    Case("GET /openapi.json", "", 200),
)


def fits(operation: Operation, status: int, body: Any) -> None:
    """Fail unless the OpenAPI document says that this operation may answer so."""
    responses = document()["paths"][_path(operation)][operation.method.lower()]["responses"]
    content = responses[str(status)]["content"]
    if body is None:
        assert "application/json" not in content
        return
    schema = {**content["application/json"]["schema"], "components": document()["components"]}
    jsonschema_rs.validate(schema, body)


async def answers_as_the_table_says(client: aiohttp.ClientSession, case: Case) -> None:
    """Send a case to a sidecar alone, and look at what comes back."""
    data = case.body if isinstance(case.body, bytes) or case.body is None else json.dumps(case.body).encode()
    headers = dict(case.headers)
    if data and not isinstance(case.body, bytes):
        headers["Content-Type"] = "application/json"
    url = URL(str(client._base_url).rstrip("/") + case.url, encoded=True)
    async with client.request(case.method, url, data=data, headers=headers) as response:
        text = await response.text()
        assert response.status == case.status, text
        readers = [] if case.operation.private else ["*"]
        assert response.headers.getall("Access-Control-Allow-Origin", []) == readers
        body: Any = json.loads(text) if "json" in response.headers["Content-Type"] else None
    fits(case.operation, case.status, body)


def _path(operation: Operation) -> str:
    return operation.path.replace(":path}", "}")


def page() -> str:
    """docs/reference/routes.md."""
    lines = [
        "# Every route",
        "",
        "Made from the route table and the contract tests by `python -m support.recorded`. Status and body of each case are",
        "checked against `docs/openapi.json`'s shapes where the last column says: `pods` is a model that was trained, certified",
        "and promoted on a real cluster (`tests/cluster/test_contract.py`), `process` a sidecar process before an engine that can",
        "be made to fail (`tests/legacy/test_every_route.py`). What is different from the old service, what of it is not here,",
        "and what took its place: [old-service.md](old-service.md).",
        "",
        "Every answer carries `Access-Control-Allow-Origin: *`, but for the private ones: they tell what other people asked, or",
        "who asked for changes, and pages of other origins may read them only where `spec.serving.cors.allowedOrigins` names",
        "these. Such pages may change nothing either (403). `OPTIONS` is answered 204; an unknown path is a 404 page, a",
        "known one with another method a 405 with `Allow`. Bodies are at most 50 MB and 200,000 values (413), malformed ones",
        "400, and a client that takes more than 20 s for its headers or without a byte of its body is sent away (408, headers",
        "over 64 KB: 431). Limits count per client address and minute, all of `/api/oqt/*` but micro-train together; a limited",
        "answer carries `RateLimit-*`, a refused one (429) `Retry-After` too. Behind a proxy,",
        "`spec.serving.rateLimits.trustedProxies` says whose `X-Forwarded-For` counts.",
        "",
    ]
    for group, rows in GROUPS.items():
        lines += [f"## {group}", "", "| route | case | status | tried on |", "| --- | --- | --- | --- |"]
        for row in rows:
            notes = []
            if row.endpoint is not None and right_of(row.endpoint):
                notes.append("token")
            if row.private:
                notes.append("private")
            notes += [f"{router.limit}/min" for router in ROUTERS if router.covers(row.path)]
            name = f"`{row.method} {_path(row)}`" + (f" ({', '.join(notes)})" if notes else "")
            for case in (case for case in CASES if case.operation is row):
                tried = ", ".join(word for word, on in (("process", case.alone), ("pods", case.deployed)) if on)
                lines.append(f"| {name} | {case.case or row.summary} | {case.status} | {tried} |")
                name = ""
        lines.append("")
    lines += ["## WebSocket", "", "| route | what |", "| --- | --- |"]
    lines += [f"| `{socket.path}` | {socket.summary} |" for socket in SOCKETS]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
