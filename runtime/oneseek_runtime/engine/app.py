"""The engine's HTTP face: the part of the OpenAI API that is used, over a worker that generates."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ExceptionHandler

from oneseek_runtime.engine.errors import AdapterError, InvalidRequestError, RequestError
from oneseek_runtime.engine.model import LoadedModel
from oneseek_runtime.engine.slots import Slots
from oneseek_runtime.engine.wire import (
    Answer,
    Asked,
    adapter_error_body,
    chunk,
    error_body,
    model_list,
    usage,
    whole_answer,
)
from oneseek_runtime.engine.worker import Job, Worker

__all__ = ["create_app"]

_BODY_LIMIT = 8 * 1024 * 1024  # bytes


def create_app(model: LoadedModel, worker: Worker, slots: Slots | None = None) -> Starlette:
    """The app of a model that is loaded and warm: before that there is no port to ask.

    Without `slots` what is loaded stays: as in vLLM, the two calls that change it are then no routes at all.
    """
    routes = [
        Route("/health", _health),
        Route("/v1/models", _models),
        Route("/v1/chat/completions", _chat, methods=["POST"]),
        Route("/v1/completions", _completions, methods=["POST"]),
    ]
    if slots is not None:
        routes.append(Route("/v1/load_lora_adapter", _load_adapter, methods=["POST"]))
        routes.append(Route("/v1/unload_lora_adapter", _unload_adapter, methods=["POST"]))
    handlers: dict[int | type[Exception], ExceptionHandler] = {
        RequestError: _refused,
        AdapterError: _adapter_refused,
        HTTPException: _no_route,
        Exception: _defect,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.tokenizing = asyncio.Lock()
    app.state.model, app.state.worker, app.state.created, app.state.slots = model, worker, int(time.time()), slots
    return app


async def _health(_request: Request) -> Response:
    return _json({"status": "ok"})


async def _models(request: Request) -> Response:
    return _json(model_list(request.app.state.model.names, request.app.state.created))


async def _load_adapter(request: Request) -> Response:
    return PlainTextResponse(await request.app.state.slots.load(await _body(request)))


async def _unload_adapter(request: Request) -> Response:
    return PlainTextResponse(await request.app.state.slots.unload(await _body(request)))


async def _chat(request: Request) -> Response:
    return await _complete(request, chat=True)


async def _completions(request: Request) -> Response:
    return await _complete(request, chat=False)


async def _complete(request: Request, *, chat: bool) -> Response:
    model: LoadedModel = request.app.state.model
    asked = Asked.parse(await _body(request), chat=chat)
    adapter = model.adapter(asked.model)
    async with (
        request.app.state.tokenizing
    ):  # one in each turn of the event loop, so that others are answered in between
        await asyncio.sleep(0)
        prompt = model.prompt(asked)
    job = Job(prompt, asked.sampling, adapter, asyncio.get_running_loop())
    request.app.state.worker.submit(job)
    answer = Answer(
        id=("chatcmpl-" if chat else "cmpl-") + uuid.uuid4().hex,
        created=int(time.time()),
        model=adapter.name,
        chat=chat,
        logprobs=asked.logprobs,
        prompt_tokens=len(prompt),
    )
    if asked.stream:
        events = _events(answer, job, include_usage=asked.include_usage)
        return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
    return await _whole(request, answer, job)


async def _whole(request: Request, answer: Answer, job: Job) -> Response:
    """Collect the pieces; a client that goes away ends the generation before its next token."""
    collecting = asyncio.create_task(_collect(answer, job))
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait((collecting, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not collecting.done():
            return Response(status_code=499)  # nobody reads it
        collecting.result()
        return _json(whole_answer(answer))
    finally:
        job.cancelled.set()
        collecting.cancel()
        leaving.cancel()
        await asyncio.gather(collecting, leaving, return_exceptions=True)


async def _collect(answer: Answer, job: Job) -> None:
    async for piece in job.pieces():
        answer.text += piece.text
        answer.tokens.extend(piece.tokens)
        answer.finish_reason = piece.reason


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _events(answer: Answer, job: Job, *, include_usage: bool) -> AsyncIterator[bytes]:
    """Server-sent events, one per piece. Starlette closes this when the client leaves, which cancels the job."""
    try:
        first = True
        async for piece in job.pieces():
            answer.tokens.extend(piece.tokens)
            answer.finish_reason = piece.reason
            yield _event(chunk(answer, piece.text, piece.tokens, first=first, last=piece.reason is not None))
            first = False
        if include_usage:
            yield _event(chunk(answer, "", ()) | {"choices": [], "usage": usage(answer)})
        yield b"data: [DONE]\n\n"
    finally:
        job.cancelled.set()


async def _body(request: Request) -> object:
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > _BODY_LIMIT:
            raise InvalidRequestError(f"the body is larger than {_BODY_LIMIT // 1024**2} MB")
    try:
        return json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"the body is not valid JSON: {error}") from error


async def _refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestError):
        raise error
    return _json(error_body(error), error.status)


async def _adapter_refused(_request: Request, error: Exception) -> Response:
    if not isinstance(error, AdapterError):
        raise error
    return _json(adapter_error_body(error), error.status)


async def _no_route(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    sentence = f"there is no {request.method} {request.url.path}"
    return _json(error_body(InvalidRequestError(sentence, code="unknown_url")), error.status_code)


async def _defect(_request: Request, _error: Exception) -> Response:
    """A defect of ours: the traceback is in the log, the client gets the API's shape."""
    body = {"message": "generation failed; see the engine's log", "type": "server_error", "param": None, "code": None}
    return _json({"error": body}, 500)


def _event(body: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False).encode("utf-8", "replace") + b"\n\n"


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(data, status, media_type="application/json")
