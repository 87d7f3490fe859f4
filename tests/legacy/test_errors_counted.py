"""What counts as an error of the version that answers: a watched version goes back for it, so no client brings one about."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.legacy import DNA, Service, service

CHAT = {"model": "default", "messages": [{"role": "user", "content": "hej"}]}
QUESTIONS = (
    ("/api/oqt/query", {"question": "hej"}, 400),
    ("/api/oqt/multi-model-query", {"question": "hej"}, 400),
    ("/infer", {"text": "hej"}, 422),
    ("/inference/oneseek", {"text": "hej"}, 422),
    ("/api/inference/infer", {"text": "hej"}, 422),
    ("/v1/chat/completions", CHAT, 400),
    ("/v1/completions", {"model": "default", "prompt": "hej"}, 400),
)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Service]:
    async for found in service(tmp_path, dna=DNA, rate_limits=False):
        yield found


async def asked(place: Service, method: str, path: str, **options: Any) -> int:
    async with place.client.request(method, path, **options) as response:
        await response.read()
        return response.status


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_what_the_engine_is_not_asked_is_no_error_of_the_version(place: Service) -> None:
    merge = {"baseModel": "a", "adapters": ["b", "c"]}
    assert await asked(place, "POST", "/api/models/merge", json=merge) == 501
    assert await asked(place, "GET", "/api/admin/models/1/download") == 501
    assert await asked(place, "GET", "/api/oqt/ledger/stats") == 500, "there are no records here"
    assert (place.lifecycle.requests, place.lifecycle.errors) == (0, 0), (
        "nor do they dilute the errors of those it is asked"
    )


async def test_numbers_beyond_any_float_are_no_defect(place: Service) -> None:
    huge = {"maxTokens": 10**400, "temperature": -(10**400), "top_p": 10**400}
    assert await asked(place, "POST", "/api/oqt/query", json={"question": "hej", "options": huge}) == 200
    claims = {"aud": "oneseek", "exp": 10**400}
    token = f"{part({'alg': 'RS256'})}.{part(claims)}.x"
    headers = {"Authorization": f"Bearer {token}"}
    assert await asked(place, "POST", "/api/oqt/train", json={}, headers=headers) in (401, 503)
    assert place.lifecycle.errors == 0


@pytest.mark.parametrize(("path", "body", "status"), QUESTIONS, ids=lambda value: str(value)[:30])
async def test_a_question_that_the_engine_refuses_is_the_client_s_fault(
    place: Service, path: str, body: dict[str, Any], status: int
) -> None:
    place.engine.refusing = True
    assert await asked(place, "POST", path, json=body) == status
    assert (place.lifecycle.requests, place.lifecycle.errors) == (1, 0)


@pytest.mark.parametrize(("path", "body", "status"), QUESTIONS, ids=lambda value: str(value)[:30])
async def test_a_question_at_which_the_engine_fails_is_an_error(
    place: Service, path: str, body: dict[str, Any], status: int
) -> None:
    del status
    place.engine.failing = frozenset(place.engine.models)
    told = await asked(place, "POST", path, json=body)
    assert told >= 500
    assert (place.lifecycle.requests, place.lifecycle.errors) == (1, int(told != 503))
