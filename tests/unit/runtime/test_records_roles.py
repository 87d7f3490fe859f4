"""Every route of the records service × every role: who is let in is decided here once more, or the walk fails."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from oneseek_core.roles import Role
from oneseek_runtime.records.app import ROUTES, create_app
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.records.sqlite import SqliteStore
from oneseek_runtime.records.windows import Windows
from support.access import ACCEPTED, TOKENS, headers
from support.asgi import serving
from support.ledgers import transition

OPERATOR, SIDECAR, PREPARE, READER, BEFORE = Role.OPERATOR, Role.SIDECAR, Role.PREPARE, Role.READER, Role.BEFORE
RECORDING, LEDGER = {SIDECAR, BEFORE}, {OPERATOR, SIDECAR, BEFORE, READER}
MAY = {
    ("POST", "/v1/transitions"): {OPERATOR},
    ("POST", "/v1/queries"): RECORDING,
    ("GET", "/v1/queries"): RECORDING,
    ("POST", "/v1/entries"): RECORDING,
    ("GET", "/v1/documents/{collection}"): RECORDING,
    ("GET", "/v1/head"): LEDGER,
    ("GET", "/v1/blocks"): LEDGER,
    ("GET", "/v1/checkpoints"): LEDGER,
    ("GET", "/v1/proof/inclusion"): LEDGER,
    ("GET", "/v1/proof/consistency"): LEDGER,
    ("GET", "/v1/stats"): LEDGER,
    ("GET", "/v1/verify"): LEDGER,
    ("POST", "/v1/questions"): RECORDING,
    ("POST", "/v1/windows"): RECORDING,
    ("GET", "/v1/windows"): RECORDING,
    ("POST", "/v1/windows/due"): RECORDING,
    ("POST", "/v1/windows/{number:int}/taken"): RECORDING,
    ("GET", "/v1/windows/{number:int}/questions"): {SIDECAR, BEFORE, PREPARE},
}


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[str]:
    store, windows = SqliteStore.open(tmp_path, Signer.from_file("o", None)), Windows.open(tmp_path)
    try:
        async with serving(create_app(store, ACCEPTED, windows)) as url:
            yield url
    finally:
        windows.close()
        store.close()


def test_every_route_has_its_roles() -> None:
    assert {(method, path): set(roles) for method, path, _, roles in ROUTES} == MAY


@pytest.mark.parametrize(("method", "path"), MAY, ids=lambda value: value.replace("/", "."))
async def test_only_its_roles_come_to_a_route(service: str, method: str, path: str) -> None:
    url = service + path.replace("{collection}", "oqt_queries").replace("{number:int}", "1")
    async with aiohttp.ClientSession() as client:
        for role in Role:
            async with client.request(method, url, headers=headers(role)) as answer:
                body = await answer.text()
                assert (answer.status == 403) == (role not in MAY[method, path]), (role, answer.status, body)
                assert answer.status != 401
        for token in ("", "x" * 64, TOKENS[OPERATOR].upper(), "Ä"):
            async with client.request(method, url, headers={"Authorization": f"Bearer {token}"}) as answer:
                assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("role", [role for role in Role if role is not OPERATOR])
async def test_nobody_but_the_operator_writes_a_transition_or_takes_its_key(service: str, role: Role) -> None:
    body = {"transitions": [transition("promote-1").to_wire()]}
    async with aiohttp.ClientSession(service) as client:
        async with client.post("/v1/transitions", json=body, headers=headers(role)) as answer:
            assert (answer.status, (await answer.json())["reason"]) == (403, "Forbidden")
        if role in RECORDING:
            queries = {"queries": [{"query": {"queryId": "promote-1", "question": "?"}}]}
            async with client.post("/v1/queries", json=queries, headers=headers(role)) as answer:
                assert answer.status == 200
        async with client.post("/v1/transitions", json=body, headers=headers(OPERATOR)) as answer:
            found = await answer.json()
            assert (answer.status, found["blocks"][0]["appended"]) == (200, True), "the key was free"


async def test_a_token_of_before_opens_nothing_once_no_such_pod_is_there(tmp_path: Path) -> None:
    store, windows = SqliteStore.open(tmp_path, Signer.from_file("o", None)), Windows.open(tmp_path)
    accepted = {role: digest for role, digest in ACCEPTED.items() if role != BEFORE}
    async with serving(create_app(store, accepted, windows)) as url, aiohttp.ClientSession(url) as client:
        async with client.get("/v1/head", headers=headers(BEFORE)) as answer:
            assert answer.status == 401
        async with client.get("/health") as answer:
            assert answer.status == 200
    windows.close()
    store.close()
