"""A working OpenAI-compatible engine without a model: refuses what ours refuses, answers, streams, and can be told to misbehave."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from oneseek_runtime.engine.errors import RequestError
from oneseek_runtime.engine.wire import Asked, error_body


@dataclass
class OpenAISimulator:
    """`models` are loaded; each word of `answer(question)` is one token of probability `probability`."""

    models: list[str]
    answer: Callable[[str], str] = lambda question: f"You asked: {question}".encode(errors="replace").decode()
    probability: float = 0.5
    misbehaviour: Callable[[], Response] | None = None
    hold: asyncio.Event | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    abandoned: asyncio.Event = field(default_factory=asyncio.Event)  # a held client left
    raw: list[bytes] = field(default_factory=list)
    stream: tuple[bytes, ...] = ()  # what a streamed answer consists of
    pace: asyncio.Event | None = None
    failing: frozenset[str] = frozenset()  # models whose generation fails while the others answer
    refusing: bool = False  # every question is one that cannot be answered
    by_model: dict[str, str] = field(default_factory=dict)  # what a model says, whatever it is asked
    keys: list[str | None] = field(default_factory=list)  # the Authorization of each request
    echo: str | None = None  # what answers are signed with, instead of the model that was asked

    def app(self) -> Starlette:
        """The HTTP face."""
        return Starlette(
            routes=[
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/completions", self._chat, methods=["POST"]),
            ]
        )

    async def _models(self, _request: Request) -> Response:
        if self.misbehaviour:
            return self.misbehaviour()
        return JSONResponse({"object": "list", "data": [{"id": name, "object": "model"} for name in self.models]})

    async def _chat(self, request: Request) -> Response:
        self.raw.append(await request.body())
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers.get("authorization"))
        self.arrived.set()
        if self.misbehaviour:
            return self.misbehaviour()
        if self.hold is not None and await self._left_while_held(request, self.hold):
            self.abandoned.set()
            return Response(status_code=499)
        if body["model"] not in self.models:
            return JSONResponse({"error": {"message": f"no model {body['model']}"}}, 404)
        if self.refusing:
            told = {"message": "the prompt is too long", "code": "context_length_exceeded"}
            return JSONResponse({"error": told}, 400)
        if body["model"] in self.failing:
            return JSONResponse({"error": {"message": "out of memory", "type": "server_error"}}, 500)
        try:
            asked = Asked.parse(body, chat="chat" in request.url.path)
        except RequestError as error:
            return JSONResponse(error_body(error), error.status)
        if body.get("stream"):
            return StreamingResponse(self._events(), media_type="text/event-stream")
        if not asked.chat:
            choice = {"index": 0, "text": self.answer(str(asked.prompt)), "logprobs": None, "finish_reason": "stop"}
            usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
            head = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"]}
            return JSONResponse({**head, "choices": [choice], "usage": usage})
        text = self.by_model.get(body["model"]) or self.answer(asked.messages[-1]["content"])
        words = (text.split() or [""])[: int(body.get("max_tokens") or 160)]
        logprob = math.log(self.probability)
        return JSONResponse(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": self.echo or body["model"],
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": " ".join(words)},
                        "logprobs": {"content": [{"token": word, "logprob": logprob} for word in words]},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": 3, "completion_tokens": len(words), "total_tokens": 3 + len(words)},
            }
        )

    async def _events(self) -> AsyncIterator[bytes]:
        """One event per `stream`; the next only after `pace` was set, where there is one."""
        try:
            for event in self.stream:
                yield event
                if self.pace is not None:
                    await self.pace.wait()
                    self.pace.clear()
        except asyncio.CancelledError:
            self.abandoned.set()
            raise

    @staticmethod
    async def _left_while_held(request: Request, hold: asyncio.Event) -> bool:
        leaving = asyncio.create_task(request.receive())
        holding = asyncio.create_task(hold.wait())
        await asyncio.wait((leaving, holding), return_when=asyncio.FIRST_COMPLETED)
        left = not holding.done()
        leaving.cancel()
        holding.cancel()
        await asyncio.gather(leaving, holding, return_exceptions=True)
        return left


def busy() -> Response:
    """What an engine with a full queue says."""
    return JSONResponse({"error": {"message": "128 requests are waiting"}}, 503)


def broken() -> Response:
    """A proxy's error page in place of the engine."""
    return PlainTextResponse("<html>oops</html>", 200)
