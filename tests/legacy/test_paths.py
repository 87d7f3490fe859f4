"""What clients of the old service (Express) could write: a slash at the end, capitals; no redirect, the body is kept."""

from __future__ import annotations

import pytest

from support.legacy import DNA, Service

QUESTION = {"question": "Vem är du?"}


@pytest.mark.parametrize("path", ["/api/oqt/query/", "/API/OQT/Query", "/Api/Oqt/Query/", "/API/OQT/QUERY/"])
async def test_a_question_is_answered_with_its_body_and_counted_by_the_same_limit(version: Service, path: str) -> None:
    status, plain, plain_headers = await version.json("POST", "/api/oqt/query", json=QUESTION)
    async with version.client.post(path, json=QUESTION, allow_redirects=False) as response:
        assert response.status == status == 200
        body = await response.json()
        left = int(response.headers["RateLimit-Remaining"])
    assert (body["response"], body["version"]) == (plain["response"], DNA)
    assert left == int(plain_headers["RateLimit-Remaining"]) - 1, "another way to write it is no way round the limit"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/oqt/status/"),
        ("GET", "/API/OQT/Status"),
        ("GET", "/HEALTH"),
        ("GET", "/Api/Models/Current/"),
        ("POST", "/v1/chat/completions/"),
        ("GET", "/v1/models/"),
        ("GET", f"/v1/models/{DNA}/"),
        ("GET", f"/Models/oneseek-certified/{DNA}/metadata.json"),
        ("GET", "/models/OneSeek-certified/x/metadata.json"),
        ("GET", "/api/oqt/query/"),
        ("GET", "/nope/"),
    ],
)
async def test_each_is_answered_as_its_plain_form(unlimited: Service, method: str, path: str) -> None:
    plain = {
        "/API/OQT/Status": "/api/oqt/status",
        "/HEALTH": "/health",
        "/Api/Models/Current/": "/api/models/current",
        f"/Models/oneseek-certified/{DNA}/metadata.json": f"/models/oneseek-certified/{DNA}/metadata.json",
    }.get(path, path.removesuffix("/"))
    body = {"json": {"messages": [{"role": "user", "content": "Hej"}], "model": "default"}} if method == "POST" else {}
    answers = []
    for written in (plain, path):
        async with unlimited.client.request(method, written, allow_redirects=False, **body) as response:
            answers.append((response.status, response.headers["Content-Type"], response.headers.get("Allow")))
    assert answers[0] == answers[1]


async def test_capitals_of_openais_paths_are_not_taken(unlimited: Service) -> None:
    async with unlimited.client.get("/V1/models") as response:
        assert response.status == 404
