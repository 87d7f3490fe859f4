"""What a site that a colleague opens may do and see: every route that changes something, and every one that is private."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oneseek_runtime.sidecar.api.auth import right_of
from oneseek_runtime.sidecar.api.table import operations
from oneseek_runtime.sidecar.http.origins import foreign_origin, may_read
from support.kube_simulator import jwt
from support.legacy import DNA, Service, model_object, service

EVIL = "https://evil.example"
FRONT = "https://front.example.org"
CHANGING = [row for row in operations() if row.endpoint and right_of(row.endpoint)]
PRIVATE = [row.path for row in operations() if row.private]


def head(**fields: str) -> list[tuple[bytes, bytes]]:
    named = {"host": "zero.example.org", **fields}
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(head(), id="no page"),
        pytest.param(head(origin="https://zero.example.org"), id="own"),
        pytest.param(head(origin="https://zero.example.org", sec_fetch_site="same-origin"), id="own, and said so"),
        pytest.param(head(origin="http://zero.example.org:80"), id="own, default port"),
        pytest.param(head(origin="http://ZERO.example.org"), id="own, capitals"),
        pytest.param(head(host="zero.example.org:8443", origin="https://zero.example.org:8443"), id="own, a port"),
        pytest.param(
            head(host="10.1.2.3:8080", origin="http://localhost:3000", sec_fetch_site="same-origin"),
            id="a proxy renames the host, the browser knows better",
        ),
        pytest.param(head(host="localhost:3001", origin="http://localhost:3000", sec_fetch_site="same-site"), id="local"),
        pytest.param(head(host="127.0.0.1:3001", origin="http://[::1]:3000"), id="local by number"),
        pytest.param(head(sec_fetch_site="none"), id="a person typed it"),
        pytest.param(head(origin=FRONT, sec_fetch_site="cross-site"), id="named"),
    ],
)  # fmt: skip
def test_who_is_no_foreign_page(sent: list[tuple[bytes, bytes]]) -> None:
    assert foreign_origin(sent, {FRONT}) is None
    assert may_read(sent, {FRONT})


@pytest.mark.parametrize(
    ("sent", "called"),
    [
        pytest.param(head(origin=EVIL), EVIL, id="another site"),
        pytest.param(head(origin=EVIL, sec_fetch_site="cross-site"), EVIL, id="and said so"),
        pytest.param(head(sec_fetch_site="cross-site"), "another site", id="without an origin"),
        pytest.param(head(origin="https://wiki.example.org", sec_fetch_site="same-site"), "https://wiki.example.org", id="same-site"),
        pytest.param(head(origin="null"), "null", id="a sandbox or a file"),
        pytest.param(head(origin="*"), "*", id="a star"),
        pytest.param(head(origin="https://zero.example.org:444"), "https://zero.example.org:444", id="another port"),
        pytest.param(head(origin="http://localhost:3000"), "http://localhost:3000", id="local page, other machine"),
        pytest.param(head(host="localhost:3001", origin=EVIL), EVIL, id="other page, local machine"),
        pytest.param(head(host="localhost:3001", origin="http://localhost.evil.example"), "http://localhost.evil.example", id="begins so"),
        pytest.param(head(origin="https://zero.example.org.evil.example"), "https://zero.example.org.evil.example", id="begins like ours"),
        pytest.param(head(origin="https://zero.example.org:x"), "https://zero.example.org:x", id="no port"),
        pytest.param(head(origin="file://"), "file://", id="no host"),
        pytest.param(head(origin="x" * 300), "another site", id="too long to show"),
        pytest.param(head(origin="\x1b[2J"), "another site", id="not to be printed"),
    ],
)  # fmt: skip
def test_who_is_one(sent: list[tuple[bytes, bytes]], called: str) -> None:
    assert foreign_origin(sent, {FRONT, "*"}) == called, "that everybody may read lets nobody change anything"
    assert not may_read(sent, {FRONT})
    assert may_read(sent, {"*"})


@pytest.fixture(params=["Token", "Legacy"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Service]:
    origins = frozenset({FRONT})
    async for item in service(tmp_path, dna=DNA, rate_limits=False, auth=request.param, allowed_origins=origins):
        item.cluster.put("oneseekmodels", model_object())
        yield item


def test_the_walk_meets_the_routes_that_the_old_service_had_open() -> None:
    assert {row.path for row in CHANGING} >= {
        "/api/models/reset",
        "/api/models/set-current",
        "/api/oqt/train",
        "/api/oqt/micro-train",
        "/api/training/micro",
    }
    assert set(PRIVATE) == {"/api/oqt/queries", "/api/oqt/ledger/blocks", "/api/models/overview", "/api/training/runs"}


@pytest.mark.parametrize("path", [row.path for row in CHANGING])
@pytest.mark.parametrize(
    "sent",
    [
        {"Origin": EVIL},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://wiki.example.org", "Sec-Fetch-Site": "same-site"},
        {"Origin": EVIL, "Authorization": f"Bearer {jwt('anna')}"},
    ],
    ids=["origin", "sandbox", "site", "neighbour", "token"],
)
async def test_a_page_of_elsewhere_changes_nothing(place: Service, path: str, sent: dict[str, str]) -> None:
    before = await place.cluster.model()
    for body, kind in (("", "application/json"), ('{"confirm":"RESET"}', "text/plain"), ("confirm=RESET", None)):
        headers = sent | ({"Content-Type": kind} if kind else {"Content-Type": "application/x-www-form-urlencoded"})
        status, answer, _ = await place.json("POST", path, data=body, headers=headers)
        assert status == 403
        assert "may not change this model; name its origin in spec.serving.cors.allowedOrigins" in answer["error"]
    assert await place.cluster.model() == before


@pytest.mark.parametrize("path", [row.path for row in CHANGING])
@pytest.mark.parametrize("kind", ["text/plain", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x"])
async def test_what_a_page_may_post_unasked_is_no_body_of_a_change(place: Service, path: str, kind: str) -> None:
    status, answer, _ = await place.json("POST", path, data=b'{"confirm":"RESET"}', headers={"Content-Type": kind})
    assert (status, answer["error"]) == (415, "this route changes the model and takes `Content-Type: application/json`")


@pytest.mark.parametrize("path", [row.path for row in CHANGING])
@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        None,
    ],
)
async def test_what_old_clients_send_comes_through(place: Service, path: str, kind: str | None) -> None:
    headers = {"Content-Type": kind} if kind else {}
    async with place.client.post(path, data=b"", headers=headers, skip_auto_headers=["Content-Type"]) as response:
        assert response.status not in (403, 415)
    async with place.client.post(path, data=b"", headers=headers | {"Origin": FRONT}) as response:
        assert response.status not in (403, 415)


async def test_a_question_from_elsewhere_is_answered_and_learned_from_by_nobody(place: Service) -> None:
    asked = {"question": "Vem är du?"}
    status, answer, headers = await place.json(
        "POST", "/api/oqt/multi-model-query", json=asked, headers={"Origin": EVIL}
    )
    assert (status, headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert "No training was started: a page of https://evil.example may not" in answer["training"]["error"]


@pytest.mark.parametrize("path", PRIVATE)
async def test_what_others_asked_is_read_by_pages_of_ours_and_those_named(place: Service, path: str) -> None:
    for origin, told in (
        (EVIL, None),
        ("null", None),
        (FRONT, FRONT),
        ("http://localhost:3000", "http://localhost:3000"),
    ):
        async with place.client.get(path, headers={"Origin": origin}) as response:
            assert response.headers.getall("Access-Control-Allow-Origin", []) == ([told] if told else [])
            assert "Origin" in response.headers["Vary"]


async def test_everybody_may_read_where_the_spec_says_so(tmp_path: Path) -> None:
    async for place in service(tmp_path, dna=DNA, auth="Legacy", allowed_origins=frozenset({"*"})):
        for path in PRIVATE:
            async with place.client.get(path, headers={"Origin": EVIL}) as response:
                assert response.headers.getall("Access-Control-Allow-Origin") == ["*"]
        status, _, _ = await place.json("POST", "/api/models/set-current", json={}, headers={"Origin": EVIL})
        assert status == 403


async def test_a_socket_tells_a_page_of_elsewhere_no_question(place: Service) -> None:
    async with place.client.ws_connect("/ws/training?runId=micro-training", headers={"Origin": EVIL}) as socket:
        closed = await socket.receive()
        assert (closed.data, closed.extra) == (
            1008,
            "this page's origin is not in spec.serving.cors.allowedOrigins of the OneSeekModel",
        )
    for origin in (FRONT, "http://localhost:3000"):
        async with place.client.ws_connect("/ws/training?runId=micro-training", headers={"Origin": origin}) as socket:
            assert (await socket.receive_json())["type"] == "initial_state"
    async with place.client.ws_connect("/ws/training?runId=a-run", headers={"Origin": EVIL}) as socket:
        assert (await socket.receive_json())["type"] == "initial_state", "how a run goes is no secret"


# -- the word --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("auth", ["Legacy"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", None),
        ("", {}),
        ("", {"confirm": "reset"}),
        ("", {"confirm": True}),
        ("", ["RESET"]),
        ("?confirm=yes", None),
        ("?RESET", None),
    ],
)
async def test_where_nobody_is_asked_for_a_token_a_reset_wants_the_word(
    tmp_path: Path, auth: str, path: str, body: object
) -> None:
    async for place in service(tmp_path, dna=DNA, rate_limits=False, auth=auth):
        place.cluster.put("oneseekmodels", model_object())
        sent = {"json": body} if body is not None else {"data": b"", "headers": {"Content-Type": "application/json"}}
        status, answer, _ = await place.json("POST", f"/api/models/reset{path}", **sent)
        assert (status, answer["details"]) == (400, "NotConfirmed")
        assert 'post {"confirm":"RESET"}, or an empty body to /api/models/reset?confirm=RESET' in answer["error"]
        assert (await place.cluster.model()).metadata.annotations == {}


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("?confirm=RESET", {"data": b"", "headers": {"Content-Type": "application/json"}}),
        ("?confirm=RESET", {}),
        ("", {"json": {"confirm": "RESET"}}),
        ("", {"data": {"confirm": "RESET"}}),
    ],
    ids=["query", "query alone", "json", "form"],
)
async def test_with_the_word_it_is_asked_of_the_operator(tmp_path: Path, path: str, sent: dict[str, object]) -> None:
    async for place in service(tmp_path, dna=DNA, auth="Legacy", request_seconds=0.05):
        place.cluster.put("oneseekmodels", model_object())
        status, _, _ = await place.json("POST", f"/api/models/reset{path}", **sent)
        assert status == 202
        assert (await place.cluster.model()).metadata.annotations["oneseek.io/reset"] == "RESET"
