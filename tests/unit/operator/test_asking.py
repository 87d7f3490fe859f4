"""The operator asks pods, and what answers may be anybody's: bombs, redirects, foreign pods, forged certificates."""

from __future__ import annotations

import gzip
import inspect
import resource
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.errors import OneSeekError
from oneseek_core.roles import Role
from oneseek_core.serving.analysis import AnalysisRequest
from oneseek_core.serving.sidecar import SidecarState
from oneseek_core.serving.swap import SwapRequest
from oneseek_operator.certificates import Issued
from oneseek_operator.clients import sidecar as module
from oneseek_operator.clients.pod_http import LARGEST, Peer, PodHttpClient
from oneseek_operator.clients.records import ModelRecords
from oneseek_operator.clients.sidecar import ModelSidecars
from oneseek_operator.errors import SidecarError
from support.access import NAME, TOKENS, trust
from support.asgi import serving
from support.ledgers import transition
from support.tls import over_tls

HERE = "127.0.0.1"
BOMB = gzip.compress(b"0" * (300 * 1024**2), 9)  # 300 KB on the wire
Handler = Callable[[Request], Awaitable[Response]]
Ask = Callable[[ModelSidecars, ModelRecords], Awaitable[object]]

CALLERS: dict[str, Ask] = {
    "state": lambda pods, _: pods.state(HERE),
    "changes": lambda pods, _: pods.changes(HERE, 1, wait=1),
    "verdict": lambda pods, _: pods.verdict(HERE),
    "hand_over": lambda pods, _: pods.hand_over(HERE, None),
    "analyse": lambda pods, _: pods.analyse(HERE, AnalysisRequest()),
    "served": lambda pods, _: pods.served(HERE),
    "swap": lambda pods, _: pods.swap(HERE, SwapRequest()),
    "previous": lambda pods, _: pods.previous(HERE, None),
    "append": lambda _, records: records.append([transition("a")]),
    "head": lambda _, records: records.head(),
    "proof": lambda _, records: records.proof(
        LedgerHead(height=1, head="a" * 64, root="b" * 64), LedgerHead(height=2, head="c" * 64, root="d" * 64)
    ),
}


@pytest.mark.parametrize(
    "lie",
    [
        {"verdict": {"ok": False, "reason": "x y", "message": ""}},
        {"verdict": {"ok": False, "reason": "R" * 129, "message": ""}},
        {"swap": {"serial": 1, "phase": "Failed", "reason": "<b>", "message": "m"}},
    ],
    ids=lambda lie: str(lie)[:60],
)
async def test_a_pod_that_says_what_no_status_can_hold_has_said_nothing(
    lie: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def state(_: Request) -> Response:
        return JSONResponse(STATE.to_wire() | lie)

    async with answered_by(state, monkeypatch) as (pods, _):
        with pytest.raises(SidecarError, match="gave no SidecarState"):
            await pods.state(HERE)


def test_the_walk_meets_every_caller() -> None:
    public = {
        name
        for kind in (ModelSidecars, ModelRecords)
        for name, one in inspect.getmembers(kind, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    assert public == set(CALLERS), "a new caller is walked too: add it"


@asynccontextmanager
async def answered_by(handler: Handler, patch: pytest.MonkeyPatch) -> AsyncIterator[tuple[ModelSidecars, ModelRecords]]:
    """The operator's ways to pods, all of which lead to one handler."""
    methods = ["GET", "POST"]
    app = Starlette(routes=[Route("/{rest:path}", handler, methods=methods)])
    http = PodHttpClient.connect()
    try:
        async with serving(app) as url:
            port = int(url.rpartition(":")[2])
            patch.setattr(module, "_SERVICE_PORT", port)
            patch.setattr(module.names, "PORT_VERIFY", port)
            peer = Peer(HERE, port, f"at {HERE}")
            yield ModelSidecars(http, {HERE: peer}), ModelRecords(http, peer)
    finally:
        await http.close()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_packed_answer_is_refused_unopened(caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted = []

    async def bomb(request: Request) -> Response:
        accepted.append(request.headers["accept-encoding"])
        return Response(BOMB, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    async with answered_by(bomb, monkeypatch) as ways:
        before = peak()
        with pytest.raises(OneSeekError, match="a packed body"):
            await CALLERS[caller](*ways)
    assert peak() - before < 10 * 1024**2
    assert set(accepted) == {"identity"}


@pytest.mark.parametrize("caller", CALLERS)
async def test_an_endless_answer_is_read_to_a_bound(caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = 0

    async def pieces(request: Request) -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1024**3 and not await request.is_disconnected():
            sent += 64 * 1024
            yield b" " * (64 * 1024)

    async def endless(request: Request) -> Response:
        return StreamingResponse(pieces(request))

    async with answered_by(endless, monkeypatch) as ways:
        with pytest.raises(OneSeekError, match="answered with more than 256 KiB"):
            await CALLERS[caller](*ways)
    assert LARGEST < sent < 64 * 1024**2, "the connection was given up, so the rest was not even made"


@pytest.mark.parametrize("caller", CALLERS)
async def test_a_redirect_leads_nowhere(caller: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def redirect(request: Request) -> Response:
        asked.append(request.url.path)
        return RedirectResponse("/secret", status_code=307)

    async with answered_by(redirect, monkeypatch) as ways:
        with pytest.raises(OneSeekError, match="answered 307"):
            await CALLERS[caller](*ways)
    assert "/secret" not in asked


@pytest.mark.parametrize("caller", CALLERS)
async def test_nothing_of_a_foreign_page_is_quoted_and_a_sentence_is_bounded(
    caller: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies: list[Response] = [
        Response("<h1>Authorization: Bearer abc</h1>", 500),
        JSONResponse({"error": {"token": "abc"}, "secret": "abc"}, 500),
        JSONResponse({"error": "no\x1b[31m space\n left " + "x" * 5000}, 500),
    ]

    async def foreign(_: Request) -> Response:
        return bodies[-1]

    async with answered_by(foreign, monkeypatch) as ways:
        said = []
        while bodies:
            with pytest.raises(OneSeekError, match="answered 500") as told:
                await CALLERS[caller](*ways)
            said.append(str(told.value))
            bodies.pop()
    assert "no [31m space left xxx" in said[0]
    assert len(said[0]) < 400
    assert said[0].isprintable()
    assert not [text for text in said[1:] if "abc" in text]


@pytest.mark.parametrize("caller", [name for name in CALLERS if name not in ("served", "append", "head", "proof")])
async def test_an_address_that_is_no_pod_of_this_model_s_is_asked_nothing(caller: str) -> None:
    http = PodHttpClient.connect()
    with pytest.raises(SidecarError, match=r"at 127\.0\.0\.1 is no pod that was seen to be this model's own"):
        await CALLERS[caller](ModelSidecars(http, {}), ModelRecords(http, None))
    await http.close()


STATE = SidecarState(base_name="tiny", ready=True, open_connections=0)


async def test_a_pod_that_speaks_tls_is_asked_once_it_has_proved_whose_it_is() -> None:
    shown = []

    async def state(request: Request) -> Response:
        shown.append(request.headers["authorization"])
        return JSONResponse(STATE.to_wire())

    app, http = Starlette(routes=[Route("/internal/state", state)]), PodHttpClient.connect()

    async def ask(**changes: Any) -> SidecarState:
        async with over_tls(app, **changes) as port:
            peer = Peer(HERE, port, f"at {HERE}", TOKENS[Role.OPERATOR], trust(), NAME)
            return await ModelSidecars(http, {HERE: peer}).state(HERE)

    assert await ask() == STATE
    assert shown.pop() == f"Bearer {TOKENS[Role.OPERATOR]}"
    now = datetime.now(UTC)
    forged = {
        "another model's": {"host": NAME.replace("demo", "other")},
        "the model of that name before it": {"host": NAME.replace("u-1", "u-0")},
        "another authority's": {"authority": Issued.authority(now)},
        "one that ended": {"now": now - timedelta(days=200)},
    }
    async with serving(app) as url:
        peer = Peer(HERE, int(url.rpartition(":")[2]), f"at {HERE}", TOKENS[Role.OPERATOR], trust(), NAME)
        with pytest.raises(SidecarError, match="no TLS could be agreed upon"):
            await ModelSidecars(http, {HERE: peer}).state(HERE)
    for what, changes in forged.items():
        with pytest.raises(SidecarError, match="no certificate of this model's"):
            await ask(**changes)
        assert shown == [], f"{what}: no token was shown"
    await http.close()
