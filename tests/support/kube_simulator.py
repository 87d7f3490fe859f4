"""A working simulator of the Kubernetes API as a sidecar uses it: token and access reviews, one model, watches.

It speaks HTTP, so the real client is what is tested. `operator` plays the operator: given a request it says the outcome.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from oneseek_core import names


def jwt(owner: str, **claims: Any) -> str:
    """A token of audience `oneseek` as far as it can be read without its key; `owner` is what the simulator knows it by."""
    parts = ({"alg": "RS256"}, {"sub": owner, "aud": [names.TOKEN_AUDIENCE], **claims})
    head, body = (base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    return f"{head}.{body}.c2lnbmF0dXJl"


def _owner(token: str) -> str:
    body = token.split(".")[1]
    return str(json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["sub"])


Object = dict[str, Any]
Answer = tuple[str, str, str]  # outcome, reason, message

_MODELS = "/apis/oneseek.io/v1alpha1/namespaces/{namespace}/oneseekmodels"


def succeed(_verb: str, _value: str) -> Answer:
    """An operator that does whatever it is asked."""
    return "Succeeded", names.DONE, "done"


@dataclass
class KubeSimulator:
    """`tokens`: token, or whose (see `jwt`) -> (owner, audiences), or why it is refused. `rights`: owner -> `verb resource` it may do."""

    tokens: dict[str, tuple[str, list[str]] | str] = field(default_factory=dict)
    rights: dict[str, set[str]] = field(default_factory=dict)
    operator: Callable[[str, str], Answer | None] = succeed
    own_token: str = "own"
    forbidden: set[str] = field(default_factory=set)  # parts of paths that answer 403
    away: bool = False
    asked: list[str] = field(default_factory=list)  # method and path of each request
    conflicts: int = 0  # so many patches find that somebody was faster
    runs: list[Object] = field(default_factory=list)
    model: Object = field(
        default_factory=lambda: {
            "kind": "OneSeekModel",
            "metadata": {"name": "zero", "namespace": "team", "resourceVersion": "1", "annotations": {}},
            "spec": {},
            "status": {},
        }
    )
    _version: int = 1
    _requests: int = 0
    _watchers: list[asyncio.Queue[Object | None]] = field(default_factory=list)
    _run_watchers: list[asyncio.Queue[Object | None]] = field(default_factory=list)

    def app(self) -> Starlette:
        """The HTTP face."""
        review = "/apis/authorization.k8s.io/v1/namespaces/{namespace}/localsubjectaccessreviews"
        return Starlette(
            routes=[
                Route("/apis/authentication.k8s.io/v1/tokenreviews", self._guard(self._token), methods=["POST"]),
                Route(review, self._guard(self._access), methods=["POST"]),
                Route(_MODELS, self._guard(self._models)),
                Route(_MODELS.replace("oneseekmodels", "trainingruns"), self._guard(self._runs)),
                Route(_MODELS + "/zero", self._guard(self._one), methods=["GET", "PATCH"]),
            ]
        )

    # -- what a test does to the cluster ---------------------------------------------------------------------------

    def change(self, **status: Any) -> None:
        """Somebody writes the model's status."""
        self.model["status"] |= status
        self._bump()

    def change_runs(self, runs: list[Object]) -> None:
        """Somebody writes the training runs: these are there now, under these names."""
        self.runs = runs
        for item in runs:
            self._version += 1
            item["metadata"]["resourceVersion"] = str(self._version)
            for queue in self._run_watchers:
                queue.put_nowait({"type": "MODIFIED", "object": copy.deepcopy(item)})

    def expire_watches(self) -> None:
        """The API server no longer knows where the watches stood."""
        gone = {"kind": "Status", "code": 410, "message": "too old resource version"}
        self._tell({"type": "ERROR", "object": gone})

    def end_watches(self) -> None:
        """The API server closes the watches, as it does every few minutes."""
        self._tell(None)

    @property
    def watching(self) -> int:
        """How many watches are open."""
        return len(self._watchers)

    def _bump(self) -> None:
        self._version += 1
        self.model["metadata"]["resourceVersion"] = str(self._version)
        self._tell({"type": "MODIFIED", "object": copy.deepcopy(self.model)})

    def _tell(self, event: Object | None) -> None:
        for queue in self._watchers:
            queue.put_nowait(event)

    # -- the API ---------------------------------------------------------------------------------------------------

    def _guard(self, endpoint: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            self.asked.append(f"{request.method} {request.url.path}")
            if self.away:
                return _status(503, "apiserver is shutting down")
            if request.headers.get("authorization") != f"Bearer {self.own_token}":
                return _status(401, "Unauthorized")
            if any(part in request.url.path for part in self.forbidden):
                return _status(403, "the sidecar may not do this")
            answer: Response = await endpoint(request)
            return answer

        return guarded

    async def _token(self, request: Request) -> Response:
        spec = (await request.json())["spec"]
        found = self.tokens.get(spec["token"]) or self.tokens.get(_owner(spec["token"]), "invalid bearer token")
        if isinstance(found, str):
            return JSONResponse({"status": {"authenticated": False, "error": found}}, 201)
        owner, audiences = found
        user = {"username": owner, "uid": f"uid-{owner}", "groups": ["system:authenticated"], "extra": {"a": ["b"]}}
        return JSONResponse({"status": {"authenticated": True, "user": user, "audiences": audiences}}, 201)

    async def _access(self, request: Request) -> Response:
        spec = (await request.json())["spec"]
        assert spec["groups"] == ["system:authenticated"], "groups carry rights too"
        assert spec["extra"] == {"a": ["b"]}
        wanted = spec["resourceAttributes"]
        assert wanted["namespace"] == request.path_params["namespace"]
        words = " ".join([wanted["verb"], wanted["resource"], *([wanted["name"]] if "name" in wanted else [])])
        return JSONResponse({"status": {"allowed": words in self.rights.get(spec["user"], set())}}, 201)

    async def _one(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse(self.model)
        patch = (await request.json())["metadata"]
        if self.conflicts:
            self.conflicts -= 1
            self._bump()
        if patch["resourceVersion"] != self.model["metadata"]["resourceVersion"]:
            return _status(409, "the object has been modified")
        self.model["metadata"]["annotations"] |= patch["annotations"]
        self._bump()
        self._operate()
        return JSONResponse(self.model)

    def _operate(self) -> None:
        """What the operator does once it sees a request: take it, act, say the outcome."""
        notes = self.model["metadata"]["annotations"]
        verb = next((item for item in names.REQUEST_VERBS if names.request_annotation(item) in notes), None)
        if verb is None:
            return
        value = notes[names.request_annotation(verb)]
        answer = self.operator(verb, value)
        if answer is None:  # it has not looked yet
            return
        self._requests += 1
        by = notes.pop(names.ANNOTATION_REQUESTED_BY, "")
        del notes[names.request_annotation(verb)]
        request = {"id": f"r{self._requests}", "verb": verb, "value": value, "requestedBy": by, "outcome": "Pending"}
        self.change(request=request | {"reason": names.REQUESTED})
        outcome, reason, message = answer
        if outcome != "Pending":
            self.change(request=request | {"outcome": outcome, "reason": reason, "message": message})

    async def _models(self, request: Request) -> Response:
        assert request.query_params["fieldSelector"] == "metadata.name=zero", "the account may read no other"
        return self._listed(request, [self.model])

    async def _runs(self, request: Request) -> Response:
        return self._listed(request, self.runs)

    def _listed(self, request: Request, items: list[Object]) -> Response:
        if request.query_params.get("watch"):
            queue: asyncio.Queue[Object | None] = asyncio.Queue()
            if items == [self.model]:
                if int(request.query_params["resourceVersion"]) < self._version:
                    queue.put_nowait({"type": "MODIFIED", "object": copy.deepcopy(self.model)})
                self._watchers.append(queue)
            else:
                self._run_watchers.append(queue)
            return StreamingResponse(self._events(queue), media_type="application/json")
        first, limit = int(request.query_params.get("continue") or 0), int(request.query_params["limit"])
        more = {"continue": str(first + limit)} if len(items) > first + limit else {}
        meta = {"resourceVersion": str(self._version), **more}
        return JSONResponse({"metadata": meta, "items": items[first : first + limit]})

    async def _events(self, queue: asyncio.Queue[Object | None]) -> AsyncIterator[bytes]:
        try:
            while (event := await queue.get()) is not None:
                yield json.dumps(event).encode() + b"\n"
        finally:
            for watchers in (self._watchers, self._run_watchers):
                if queue in watchers:
                    watchers.remove(queue)


def _status(code: int, message: str) -> Response:
    return JSONResponse({"kind": "Status", "code": code, "message": message}, code)
