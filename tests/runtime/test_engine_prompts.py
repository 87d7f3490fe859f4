"""Prompts that are long: what cannot fit is refused unread, and nobody waits for more than one of them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from oneseek_runtime.engine.app import create_app
from oneseek_runtime.engine.errors import InvalidRequestError
from oneseek_runtime.engine.model import LoadedModel, load
from oneseek_runtime.engine.wire import Asked
from oneseek_runtime.engine.worker import Worker
from support.asgi import serving
from support.tiny_model import tiny_base


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    folder: Path = tmp_path_factory.mktemp("engine")
    tiny_base(folder)
    return load(base=folder, base_name="tiny", precision="fp32", threads=1)


def request(text: str, *, chat: bool) -> dict[str, Any]:
    said = {"messages": [{"role": "user", "content": text}]} if chat else {"prompt": text}
    return {"model": "tiny", "max_tokens": 1, **said}


@pytest.mark.parametrize("chat", [True, False], ids=["chat", "completion"])
def test_megabytes_are_refused_without_being_tokenized(
    engine: LoadedModel, monkeypatch: pytest.MonkeyPatch, chat: bool
) -> None:
    monkeypatch.setattr(engine, "_tokenizer", None)
    with pytest.raises(
        InvalidRequestError, match=r"maximum context length is 512 tokens\. .* 1000000 characters"
    ) as caught:
        engine.prompt(Asked.parse(request("a" * 1_000_000, chat=chat), chat=chat))
    assert caught.value.code == "context_length_exceeded"


async def test_others_are_answered_between_two_prompts(engine: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = engine.prompt

    def slow(asked: Asked) -> list[int]:
        time.sleep(0.05)  # as a tokenizer does: in the event loop
        return prompt(asked)

    monkeypatch.setattr(engine, "prompt", slow)
    worker = Worker(engine, limit=64)
    worker.start()
    async with serving(create_app(engine, worker)) as url, aiohttp.ClientSession(url) as session:

        async def ask() -> int:
            async with session.post("/v1/chat/completions", json=request("hej", chat=True)) as response:
                return response.status

        asking = [asyncio.create_task(ask()) for _ in range(30)]
        waits = []
        while not all(task.done() for task in asking):
            began = time.monotonic()
            async with session.get("/v1/models") as response:
                assert response.status == 200
            waits.append(time.monotonic() - began)
        assert {await task for task in asking} == {200}
    assert max(waits) < 0.5, "for 1.5 s nobody else was answered"
