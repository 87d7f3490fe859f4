"""Every route, case by case: the status, and a body of the shape that the OpenAPI document promises."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from oneseek_runtime.sidecar.api.openapi import document
from oneseek_runtime.sidecar.api.table import operations
from support.legacy import DNA, Service, run_object, service
from support.openai_simulator import broken, busy
from support.recorded import CASES, PAGE, Case, answers_as_the_table_says, page

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Service]:
    async for item in service(tmp_path, dna=DNA, rate_limits=False):
        item.cluster.put("trainingruns", run_object("identity"))
        assert await item.deps.cluster.informer.until(lambda informer: informer.runs or None, seconds=10)
        yield item


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.alone], ids=lambda case: f"{case.route}-{case.case}"[:80]
)
async def test_it_answers_as_the_table_says(place: Service, case: Case) -> None:
    place.engine.misbehaviour = {"busy": busy, "broken": broken}.get(case.engine)
    await answers_as_the_table_says(place.client, case)


def test_every_route_has_a_case() -> None:
    assert {case.route for case in CASES} == {f"{row.method} {row.path}" for row in operations()}


def test_every_status_that_a_route_of_ours_names_is_a_case_or_said_to_be_none() -> None:
    """What only a cluster or a token brings about is tried in tests/cluster; records in tests/records."""
    elsewhere = {
        ("POST", "/api/models/set-current"): {202, 409, 500},
        ("POST", "/api/oqt/micro-train"): {409},
        ("POST", "/api/oqt/train"): {200},  # it would start a run
        ("GET", "/oqt-dashboard"): {404},
        ("POST", "/api/models/reset"): {200, 202, 400, 409, 500, 503},
    }
    # A folder that cannot be read, a body over 50 MB, too many questions at once: tests of their own.
    special = {500, 413, 429, 503}
    for row in operations():
        seen = {case.status for case in CASES if case.operation is row}
        missing = set(row.answers) - seen - elsewhere.get((row.method, row.path), set()) - special
        assert not missing, (row.path, missing)


def test_the_committed_document_and_table_are_those_of_this_code() -> None:
    assert json.loads(DOCUMENT.read_text()) == document(), "run `make openapi` and commit"
    assert PAGE.read_text() == page(), "run `make openapi` and commit"


async def test_the_document_is_served(place: Service) -> None:
    status, body, _ = await place.json("GET", "/openapi.json")
    assert (status, body) == (200, document())


def test_the_document_names_every_route_and_nothing_else() -> None:
    named = {(method.upper(), path) for path, methods in document()["paths"].items() for method in methods}
    assert named == {(row.method, row.path.replace(":path}", "}")) for row in operations()}
    identities = [item["operationId"] for methods in document()["paths"].values() for item in methods.values()]
    assert len(identities) == len(set(identities))
