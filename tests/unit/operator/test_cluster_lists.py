"""Lists from the API server: in pages, and bounded together, because one namespace may hold more than the operator's memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from kubernetes.aio import client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from oneseek_operator.clients import kubernetes
from oneseek_operator.clients.kubernetes import Cluster
from oneseek_operator.errors import ClusterError
from support.asgi import serving


@dataclass
class ApiServer:
    """ConfigMaps of one namespace, each with so many bytes of data."""

    count: int = 0
    size: int = 10
    asked: list[dict[str, str]] = field(default_factory=list)
    refusal: Response | None = None

    async def __call__(self, request: Request) -> Response:
        self.asked.append(dict(request.query_params))
        if self.refusal:
            return self.refusal
        first, limit = int(request.query_params.get("continue") or 0), int(request.query_params["limit"])
        last = min(first + limit, self.count)
        items = [
            {"metadata": {"name": f"map-{number}", "managedFields": [{"manager": "m"}]}, "data": {"x": "x" * self.size}}
            for number in range(first, last)
        ]
        more = {"continue": str(last)} if last < self.count else {}
        return JSONResponse({"metadata": {"resourceVersion": "1", **more}, "items": items})


@pytest.fixture
def api() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def cluster(api: ApiServer) -> AsyncIterator[Cluster]:
    async def answer(request: Request) -> Response:
        return await api(request)

    async with serving(Starlette(routes=[Route("/api/v1/namespaces/team/configmaps", answer)])) as url:
        made = Cluster(client.ApiClient(client.Configuration(host=url)))
        yield made
        await made.close()


async def test_a_list_is_read_page_by_page_without_managed_fields(cluster: Cluster, api: ApiServer) -> None:
    api.count = 250
    found = await cluster.list("ConfigMap", "team", {"a": "b"}, fields="reason=x")
    assert [item["metadata"] for item in found] == [{"name": f"map-{number}"} for number in range(250)]
    same = {"labelSelector": "a=b", "fieldSelector": "reason=x", "limit": "100"}
    assert api.asked == [same, {**same, "continue": "100"}, {**same, "continue": "200"}]


async def test_a_list_that_is_larger_than_it_may_be_is_read_no_further(
    cluster: Cluster, api: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "_LIST_BYTES", 1024**2)
    api.count, api.size = 10_000, 5000
    with pytest.raises(ClusterError, match="/api/v1/namespaces/team/configmaps holds more than 1 MiB"):
        await cluster.list("ConfigMap", "team")
    assert len(api.asked) == 3, "two pages fit"
    api.count, api.size = 1, 2 * 1024**2
    with pytest.raises(ClusterError, match="holds more than 1 MiB"):
        await cluster.list("ConfigMap", "team")


async def test_a_page_that_cannot_be_had_any_more_ends_the_list(cluster: Cluster, api: ApiServer) -> None:
    body = json.dumps({"message": "the provided continue parameter is too old"})
    headers = {"Retry-After": "Tue, 01 Dec 2026 12:00:00 GMT"}  # a date is legal, too
    api.refusal = Response(body, 410, headers=headers, media_type="application/json")
    with pytest.raises(ClusterError, match="too old") as caught:
        await cluster.list("ConfigMap", "team")
    assert (caught.value.status, caught.value.retry_after) == (410, None)
