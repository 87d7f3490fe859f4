"""A slash at the end, and capitals: which path a route is found under, and what of a path keeps its letters."""

from __future__ import annotations

import re

import pytest

from oneseek_runtime.sidecar.api.table import SOCKETS, operations
from oneseek_runtime.sidecar.http.paths import KnownPaths

ROUTES = sorted({row.path for row in operations()} | {row.path for row in SOCKETS})
PATHS = KnownPaths(ROUTES)
NAME = "OneSeek-7B-Zero.v1.0.ensv.dsIdentity.0a1b2c3d.4e5f6a7b"


def filled(route: str) -> str:
    """The route with a name whose letters count."""
    return re.sub(r"\{\w+(:path)?\}", NAME, route)


@pytest.mark.parametrize("route", ROUTES)
def test_every_route_is_found_as_it_is_and_with_a_slash_at_the_end(route: str) -> None:
    path = filled(route)
    assert PATHS.route_path(path) == path
    if not route.endswith(":path}") and route + "/{path:path}" not in ROUTES:
        assert PATHS.route_path(path + "/") == path or path == "/"


@pytest.mark.parametrize("route", [route for route in ROUTES if not route.startswith("/v1")])
def test_every_old_route_is_found_whatever_the_case_of_its_own_words(route: str) -> None:
    upper = re.sub(r"\{\w+(:path)?\}", "{}", route).upper().replace("{}", NAME)
    assert PATHS.route_path(upper) == filled(route)
    assert PATHS.route_path(upper.title().replace(NAME.title(), NAME)) == filled(route)


@pytest.mark.parametrize(
    "path",
    [
        "/nope",
        "/nope/",
        "/NOPE",
        "//",
        "/api/oqt/query//",
        "//api/oqt/query",
        "/api//oqt/query",
        "/api/oqt/query/x",
        "/api/oqt",
        "/V1/chat/completions",
        "/v1/Chat/completions",
        "/v1/CHAT/COMPLETIONS/",
        "/v1/",
        "/internal/state",
        "/API/training//metrics",
        "",
    ],
)
def test_what_no_route_knows_is_left_alone(path: str) -> None:
    assert PATHS.route_path(path) == path


@pytest.mark.parametrize(
    ("written", "known"),
    [
        (
            "/Models/oneseek-certified/" + NAME + "/metadata.json",
            "/models/oneseek-certified/" + NAME + "/metadata.json",
        ),
        ("/models/Oneseek-Certified/x/Metadata.json", "/models/Oneseek-Certified/x/Metadata.json"),
        ("/OQT-Dashboard/assets/index-DkQ9.js", "/oqt-dashboard/assets/index-DkQ9.js"),
        ("/oqt-dashboard/", "/oqt-dashboard/"),
        ("/OQT-DASHBOARD", "/oqt-dashboard"),
        ("/API/Training/Identity-1/Metrics/", "/api/training/Identity-1/metrics"),
        ("/api/training/MICRO/stats", "/api/training/micro/stats"),
        ("/v1/models/" + NAME + "/", "/v1/models/" + NAME),
        ("/v1/chat/completions/", "/v1/chat/completions"),
        ("/WS/Training/", "/ws/training"),
        ("/Health/", "/health"),
    ],
)
def test_names_and_files_keep_their_letters(written: str, known: str) -> None:
    assert PATHS.route_path(written) == known
