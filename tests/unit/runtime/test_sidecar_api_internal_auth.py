"""Every path of the internal port × every role; nothing that is refused has an effect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from oneseek_core.roles import Role
from oneseek_runtime.engine.settings import EngineSettings
from oneseek_runtime.sidecar.api.internal import INTERNAL
from oneseek_runtime.sidecar.app import create_apps
from oneseek_runtime.sidecar.handover.forwarding import PEER_TOKEN
from oneseek_runtime.sidecar.http.paths import PEER_PREFIX
from oneseek_runtime.verify import watch
from support.access import ACCEPTED, TOKENS, headers
from support.asgi import serving
from support.legacy import BASE, DNA, Service, service

QUERY = "/api/oqt/query"
MAY = {
    ("GET", "/health"): None,
    ("GET", "/internal/ready"): None,
    ("GET", "/internal/state"): Role.OPERATOR,
    ("GET", "/internal/changes"): Role.OPERATOR,
    ("POST", "/internal/probe"): Role.OPERATOR,
    ("POST", "/internal/analysis"): Role.OPERATOR,
    ("POST", "/internal/handover"): Role.OPERATOR,
    ("POST", "/internal/drain"): Role.OPERATOR,
    ("POST", "/internal/swap"): Role.OPERATOR,
    ("POST", "/internal/previous"): Role.OPERATOR,
    ("POST", "/internal/engine/v1/chat/completions"): Role.SIDECAR,
}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Service]:
    async for found in service(tmp_path, dna=DNA, rate_limits=False):
        yield found


def test_every_path_has_its_role() -> None:
    assert {(method, path): role for path, _, method, role in INTERNAL} == MAY


@pytest.mark.parametrize(("method", "path"), MAY, ids=lambda value: str(value).replace("/", "."))
async def test_only_its_role_comes_to_a_path(place: Service, method: str, path: str) -> None:
    async with aiohttp.ClientSession(f"http://{place.address}") as client:
        for role in (*Role, None):
            shown = headers(role) if role else {}
            query = {"wait": "0"} if path.endswith("changes") else {}
            async with client.request(method, path, headers=shown, params=query) as answer:
                needed = MAY[method, path]
                refused = {401} if role is None else {403}
                if role in (Role.PREPARE, Role.READER, Role.BEFORE):
                    refused = {401, 403}
                assert (answer.status in refused) == (needed is not None and role is not needed), (role, answer.status)


async def test_a_stranger_s_orders_change_nothing(place: Service) -> None:
    async with aiohttp.ClientSession(f"http://{place.address}") as client:
        orders = {
            "handover": {"handover": {"dna": DNA, "addresses": ["10.6.6.6"]}},
            "drain": {"draining": True},
            "previous": {"previous": {"dna": "forged", "addresses": ["10.6.6.6"]}},
            "analysis": {"probes": [{"question": "?"}]},
            "swap": {"serial": 2**53},
        }
        for path, body in orders.items():
            for shown in ({}, headers(Role.SIDECAR), {"Authorization": "Bearer " + "0" * 64}):
                async with client.post(f"/internal/{path}", json=body, headers=shown) as answer:
                    assert answer.status in (401, 403)
    async with place.internal.get("/internal/state") as answer:
        state = await answer.json()
    assert state["draining"] is False
    assert not {"handover", "previous", "analysis", "swap"} & set(state)


async def test_what_is_passed_on_is_taken_from_this_model_s_pods_alone(place: Service) -> None:
    body = {"question": "Vem är du?"}
    for shown in ({}, headers(Role.OPERATOR), headers(Role.SIDECAR), {PEER_TOKEN.decode(): "Bearer x"}):
        told = {**shown, "oneseek-client": "9.9.9.9"}
        async with aiohttp.ClientSession() as client:
            url = f"http://{place.address}{PEER_PREFIX}{QUERY}"
            async with client.post(url, json=body, headers=told) as answer:
                assert answer.status in (401, 403)
    assert place.engine.requests == []
    async with aiohttp.ClientSession() as client:
        told = {PEER_TOKEN.decode(): f"Bearer {TOKENS[Role.SIDECAR]}"}
        async with client.post(url, json=body, headers=told) as answer:
            assert answer.status == 200


async def test_what_a_pod_of_the_release_before_passes_on_is_answered_on_the_public_port(place: Service) -> None:
    told = {"oneseek-client": "9.9.9.9"}
    async with place.client.post(f"{PEER_PREFIX}{QUERY}", json={"question": "?"}, headers=told) as answer:
        assert (answer.status, (await answer.json())["version"]) == (200, DNA)
    async with place.client.get(f"{PEER_PREFIX}/v1/models") as answer:
        assert answer.status == 200
    for path in (f"{PEER_PREFIX}/internal/state", "/internal/state", f"{PEER_PREFIX}x"):
        async with place.client.get(path) as answer:
            assert answer.status == 404


async def test_another_pod_asks_this_one_s_engine_a_question_and_nothing_else(place: Service) -> None:
    shown = headers(Role.SIDECAR)
    body = {"model": BASE, "messages": [{"role": "user", "content": "?"}]}
    async with aiohttp.ClientSession(f"http://{place.address}", headers=shown) as client:
        async with client.post("/internal/engine/v1/chat/completions", json=body) as answer:
            assert (answer.status, (await answer.json())["model"]) == (200, BASE)
        for path in ("load_lora_adapter", "unload_lora_adapter", "models"):
            async with client.post(f"/internal/engine/v1/{path}", json={}) as answer:
                assert answer.status == 403, "no role comes to a path that is none"


async def test_a_socket_is_closed_before_it_is_one(place: Service) -> None:
    async with aiohttp.ClientSession(f"http://{place.address}") as client:
        for path in ("/internal/state", f"{PEER_PREFIX}/ws", "/health"):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(path)
            assert refused.value.status == 403


async def test_without_digests_nobody_is_let_in(place: Service) -> None:
    serving_settings = place.deps.settings.serving.model_copy(update={"accepted": {}})
    deps = replace(place.deps, settings=replace(place.deps.settings, serving=serving_settings))
    async with serving(create_apps(deps)[1]) as url, aiohttp.ClientSession(url) as client:
        for role in Role:
            async with client.get("/internal/state", headers=headers(role)) as answer:
                assert answer.status == 401
    assert ACCEPTED


def test_engine_and_verifier_listen_to_their_own_pod_alone() -> None:
    assert EngineSettings.host == "127.0.0.1"
    assert watch._LOOPBACK == "127.0.0.1"
    assert asyncio.iscoroutinefunction(watch._serve)
