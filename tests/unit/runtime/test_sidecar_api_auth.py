"""Who may ask for a change over HTTP: the real routes, the real client, a simulated Kubernetes API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from oneseek_core import names
from oneseek_core.serving.settings import ServingSettings
from oneseek_runtime.sidecar.api.auth import right_of
from oneseek_runtime.sidecar.api.table import operations
from oneseek_runtime.sidecar.app import create_app
from oneseek_runtime.sidecar.cluster.client import KubeClient
from oneseek_runtime.sidecar.deps import ClusterAccess, Deps
from oneseek_runtime.sidecar.engine.client import OpenAIEngine
from oneseek_runtime.sidecar.lifecycle import Lifecycle
from oneseek_runtime.sidecar.settings import SidecarSettings
from support.asgi import serving
from support.kube_simulator import KubeSimulator, jwt
from support.sessions import connected

FAMILY = "OneSeek-7B-Zero"
NEW = f"{FAMILY}.v2.0.sv.dsIdentity.0a1b2c3d.4e5f6a7b"
OLD = f"{FAMILY}.v1.0.sv.dsIdentity.8f3a1c9d.2e7f4b1a"
MERGED = f"{FAMILY}.v1.5.sv.dsIdentity.11111111.22222222"
RIGHT = "right"
NO_ENGINE = OpenAIEngine("http://127.0.0.1:1")  # nothing here asks it anything
SET_CURRENT, RESET = "/api/models/set-current", "/api/models/reset"
DEEDS = {SET_CURRENT: "promote", RESET: "reset"}  # the RBAC verb that a route wants


@dataclass
class Cluster:
    """A sidecar that is served, the API it talks to, and a clock that a test moves."""

    kube: KubeSimulator
    token_file: Path
    client: httpx.AsyncClient
    now: float = 0.0

    async def post(self, path: str, body: Any = None, token: str | None = RIGHT) -> tuple[int, dict[str, Any], Any]:
        headers = {"Authorization": f"Bearer {jwt(token) if token else ''}"} if token is not None else {}
        response = await self.client.post(path, content=b"" if body is None else json.dumps(body), headers=headers)
        return response.status_code, response.json(), response.headers

    def asked(self, what: str) -> int:
        """How often the API was asked for something."""
        return sum(what in line for line in self.kube.asked)

    @property
    def requested_by(self) -> str:
        """Whom the last request names."""
        return str(self.kube.model["status"]["request"]["requestedBy"])


def asking(deps: Deps) -> httpx.AsyncClient:
    """A client of the whole public app; the simulated API behind it is a real server."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(deps)), base_url="http://sidecar")


@asynccontextmanager
async def sidecar(tmp_path: Path, *, settings: dict[str, Any] | None = None, **told: str) -> AsyncIterator[Cluster]:
    """A sidecar in a simulated cluster."""
    certified = tmp_path / "certified"
    for folder in (certified / NEW, certified / OLD, certified / "merged" / MERGED):
        folder.mkdir(parents=True)
    access = tmp_path / "access"
    access.mkdir()
    (access / "token").write_text("own")
    kube = KubeSimulator(
        tokens={
            "right": ("anna", ["oneseek"]),
            "editor": ("bo", ["oneseek"]),
            "stranger": ("system:serviceaccount:other:cesar", ["oneseek"]),
            "expired": "service account token has expired",
            "unaware": ("dag", []),
        },
        rights={"anna": {f"{verb} oneseekmodels zero" for verb in DEEDS.values()}, "bo": {"patch oneseekmodels zero"}},
    )
    serving_settings = ServingSettings.model_validate(
        {
            "model": "zero", "namespace": "team", "family": FAMILY, "base_name": "tiny", "base_path": "/b",
            "certified_path": str(certified), **told,
        }
    )  # fmt: skip
    own = replace(SidecarSettings(serving_settings, rate_limits=False, request_seconds=0.3), **(settings or {}))
    async with (
        serving(kube.app()) as api,
        connected(KubeClient, api, namespace="team", model="zero", access=access) as client,
    ):
        has = ClusterAccess.through(client, "zero", clock=lambda: cluster.now)
        cluster = Cluster(kube, access / "token", asking(Deps(own, NO_ENGINE, Lifecycle(), cluster=has)))
        keeping = asyncio.create_task(has.informer.run())
        try:
            yield cluster
        finally:
            kube.end_watches()
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    """The usual one."""
    async with sidecar(tmp_path) as made:
        yield made


@pytest.mark.parametrize("path", [SET_CURRENT, RESET])
@pytest.mark.parametrize(
    ("token", "status", "sentence"),
    [
        (None, 401, "needs `Authorization: Bearer TOKEN`"),
        ("", 401, "holds no bearer token"),
        ("nonsense", 401, "the token is refused: invalid bearer token; make one with `kubectl create token"),
        ("expired", 401, "has expired"),
        ("unaware", 401, "was not made for the audience 'oneseek'"),
        ("stranger", 403, "other:cesar may not {verb} oneseekmodels.oneseek.io/zero in namespace team"),
        ("editor", 403, "bo may not {verb} oneseekmodels.oneseek.io/zero in namespace team"),
        ("right", 200, ""),
    ],
)
async def test_who_may_change_the_model(
    cluster: Cluster, path: str, token: str | None, status: int, sentence: str
) -> None:
    found, body, headers = await cluster.post(path, {"modelId": NEW}, token)
    assert found == status, body
    assert ("WWW-Authenticate" in headers) == (status == 401)
    assert sentence.replace("{verb}", DEEDS[path]) in body.get("error", "")
    assert (cluster.asked("PATCH") == 1) == (status == 200), "who may not, changes nothing"


async def test_who_may_do_one_deed_may_not_do_another(cluster: Cluster) -> None:
    cluster.kube.rights["bo"] = {"promote oneseekmodels zero"}
    assert (await cluster.post(SET_CURRENT, {"modelId": NEW}, "editor"))[0] == 200
    assert (await cluster.post(RESET, token="editor"))[0] == 403


async def test_the_challenge_tells_a_bad_token_from_none(cluster: Cluster) -> None:
    _, _, none = await cluster.post(RESET, token=None)
    _, _, bad = await cluster.post(RESET, token="expired")
    assert none["WWW-Authenticate"] == 'Bearer realm="oneseek"'
    assert bad["WWW-Authenticate"] == 'Bearer realm="oneseek", error="invalid_token"'


async def test_reads_are_open(cluster: Cluster) -> None:
    for path in ("/api/models/certified", "/api/models/current", "/health"):
        assert (await cluster.client.get(path)).status_code == 200


async def test_a_token_is_asked_about_once_a_minute(cluster: Cluster) -> None:
    for _ in range(3):
        assert (await cluster.post(RESET))[0] == 200
    assert (cluster.asked("tokenreviews"), cluster.asked("localsubjectaccessreviews")) == (1, 1)
    cluster.now = 61.0
    cluster.kube.tokens[RIGHT] = "revoked"
    assert (await cluster.post(RESET))[0] == 401


async def test_a_refusal_is_not_remembered(cluster: Cluster) -> None:
    assert (await cluster.post(RESET, token="editor"))[0] == 403
    cluster.kube.rights["bo"].add("reset oneseekmodels zero")
    assert (await cluster.post(RESET, token="editor"))[0] == 200


async def test_no_token_is_ever_printed(cluster: Cluster, capfd: pytest.CaptureFixture[str]) -> None:
    for token in ("right", "editor", "expired"):
        _, body, _ = await cluster.post(RESET, token=token)
        assert token not in str(body).split() or token == "right"
    captured = capfd.readouterr()
    assert "Bearer" not in captured.out + captured.err


async def test_the_api_server_away_is_503_and_says_so(cluster: Cluster) -> None:
    cluster.kube.away = True
    status, body, headers = await cluster.post(RESET)
    assert (status, headers["Retry-After"]) == (503, "5")
    assert "apiserver is shutting down" in body["error"]


async def test_without_the_right_to_review_tokens_people_are_told_what_works(cluster: Cluster) -> None:
    cluster.kube.forbidden.add("tokenreviews")
    status, body, _ = await cluster.post(RESET)
    assert status == 503
    assert "auth.mode: Legacy" in body["error"]


async def test_the_sidecars_own_token_is_read_again_when_it_is_renewed(cluster: Cluster) -> None:
    assert (await cluster.post(RESET))[0] == 200
    cluster.kube.own_token = "renewed"
    cluster.token_file.write_text("renewed\n")
    assert (await cluster.post(SET_CURRENT, {"modelId": NEW}))[0] == 200


async def test_the_request_names_the_person_and_who_vouches(cluster: Cluster) -> None:
    await cluster.post(RESET)
    assert cluster.requested_by == "anna via oneseek-sidecar-zero"


async def test_legacy_mode_is_open_and_names_nobody(tmp_path: Path) -> None:
    async with sidecar(tmp_path, auth="Legacy") as cluster:
        assert (await cluster.post(RESET, {"confirm": "RESET"}, token=None))[0] == 200
        assert cluster.asked("tokenreviews") == 0
        assert cluster.requested_by == "legacy-client (unverified) via oneseek-sidecar-zero"


@pytest.mark.parametrize("auth", ["Token", "Legacy"])
async def test_where_the_account_may_not_patch_every_route_that_asks_says_so(tmp_path: Path, auth: str) -> None:
    asking = [row.path for row in operations() if row.endpoint is not None and right_of(row.endpoint)]
    assert len(asking) > 3
    async with sidecar(tmp_path, auth=auth, requests="Refused") as cluster:
        for path in asking:
            status, body, _ = await cluster.post(path, {})
            assert (path, status) == (path, 503)
            assert "install the chart with admissionPolicy: auto" in body["error"]
        assert cluster.asked("tokenreviews") == cluster.asked("PATCH") == 0


async def test_a_sidecar_outside_a_cluster_says_so() -> None:
    told = ServingSettings(model="z", namespace="t", family=FAMILY, base_name="b", base_path="/b")
    response = await asking(Deps(SidecarSettings(told), NO_ENGINE, Lifecycle())).post(
        RESET, headers={"Authorization": f"Bearer {jwt('x')}"}
    )
    assert response.status_code == 503
    assert "no access to a Kubernetes API" in response.json()["error"]


# -- what the routes answer ------------------------------------------------------------------------------------------


async def test_set_current_promotes_by_dna(cluster: Cluster) -> None:
    status, body, _ = await cluster.post(SET_CURRENT, {"modelId": OLD})
    assert status == 200
    assert set(body) == {"success", "message", "modelId", "modelPath", "symlinkPath", "note"}
    assert (body["modelId"], body["modelPath"].rsplit("/", 1)[1]) == (OLD, OLD)
    assert body["symlinkPath"].endswith(f"/{FAMILY}-CURRENT")
    asked = cluster.kube.model["status"]["request"]
    assert (asked["verb"], asked["value"]) == ("promote", OLD)


@pytest.mark.parametrize("body", [None, {}, {"modelId": ""}, {"modelId": None}, {"modelId": 1.0}, [1]])
async def test_set_current_needs_an_id(cluster: Cluster, body: Any) -> None:
    assert (await cluster.post(SET_CURRENT, body))[:2] == (400, {"error": "modelId is required"})


@pytest.mark.parametrize("model_id", [f"{FAMILY}.v9.9", f"{FAMILY}.v1.0/../../etc", f"{NEW}/..", f"{FAMILY}.v2.0"])
async def test_an_unknown_dna_is_404_and_touches_nothing(cluster: Cluster, model_id: str) -> None:
    status, body, _ = await cluster.post(SET_CURRENT, {"modelId": model_id})
    assert (status, body["error"], body["modelId"]) == (404, "Model directory not found", model_id)
    assert set(body) == {"error", "modelId", "expectedPath", "checkedPaths", "note"}
    assert len(body["checkedPaths"]) == 2
    assert cluster.asked("PATCH") == 0


@pytest.mark.parametrize("model_id", ["1.0", "../../etc/passwd", "x" * 10_000, "\ud800"])
async def test_an_id_that_is_no_dna_is_404_in_the_other_shape(cluster: Cluster, model_id: str) -> None:
    status, body, _ = await cluster.post(SET_CURRENT, {"modelId": model_id})
    assert (status, body["error"]) == (404, "Model version metadata not found")
    assert set(body) == {"error", "modelId", "triedFiles", "note"}
    assert len(body["triedFiles"]) == 2
    assert len(body["modelId"]) <= 253


async def test_a_merged_version_is_found_by_the_beginning_of_its_name(cluster: Cluster) -> None:
    status, body, _ = await cluster.post(SET_CURRENT, {"modelId": f"{FAMILY}.v1.5"})
    assert (status, body["modelId"]) == (200, MERGED)


async def test_reset_answers_as_the_old_service_did(cluster: Cluster) -> None:
    status, body, _ = await cluster.post(RESET, {"anything": "at all"})
    assert status == 200
    assert set(body) == {"success", "message", "details", "ledger"}
    assert set(body["details"]) == {"certifiedDir", "basemodellerDir", "timestamp", "action", "preserved"}
    assert body["details"]["action"] == "Full reset completed"
    assert body["ledger"]["user"] == "anna"
    assert body["ledger"]["message"] == f"Full reset by anna on {body['ledger']['timestamp']}"
    asked = cluster.kube.model["status"]["request"]
    assert (asked["verb"], asked["value"]) == ("reset", "RESET")


@pytest.mark.parametrize(
    ("path", "failure"), [(SET_CURRENT, "Failed to set current model"), (RESET, "Failed to reset models")]
)
async def test_what_the_operator_makes_of_it_is_what_the_client_hears(
    cluster: Cluster, path: str, failure: str
) -> None:
    cluster.kube.operator = lambda _verb, _value: ("Refused", names.PINNED_BY_GIT, "spec.version pins a version")
    refused = await cluster.post(path, {"modelId": NEW})
    assert refused[:2] == (409, {"error": "spec.version pins a version", "details": "PinnedByGit"})
    cluster.kube.operator = lambda _verb, _value: ("Failed", "JobFailed", "the tree Job failed")
    failed = await cluster.post(path, {"modelId": NEW})
    assert failed[:2] == (500, {"error": failure, "details": "the tree Job failed"})
    cluster.kube.operator = lambda _verb, _value: ("Pending", "", "")
    status, body, _ = await cluster.post(path, {"modelId": NEW})
    assert (status, body["success"]) == (202, True)
    assert "kubectl get oneseekmodel zero" in body.get("note", body["message"])


@pytest.mark.parametrize("outcome", ["Succeeded", "Refused"])
async def test_the_current_version_set_again_is_no_error(cluster: Cluster, outcome: str) -> None:
    cluster.kube.operator = lambda _verb, _value: (outcome, names.ALREADY_CURRENT, "it answers already")
    status, body, _ = await cluster.post(SET_CURRENT, {"modelId": NEW})
    assert (status, body["success"]) == (200, True)
    assert "nothing had to change" in body["note"]


async def test_an_outcome_from_before_is_not_taken_for_ours(cluster: Cluster) -> None:
    assert (await cluster.post(SET_CURRENT, {"modelId": NEW}))[0] == 200
    cluster.kube.operator = lambda _verb, _value: None
    assert (await cluster.post(SET_CURRENT, {"modelId": NEW}))[0] == 202


async def test_the_same_request_is_joined_and_another_one_waits_its_turn(cluster: Cluster) -> None:
    pending = {"id": "r9", "verb": "reset", "value": "RESET", "outcome": "Pending", "requestedBy": "bo"}
    cluster.kube.change(request=pending)
    status, body, _ = await cluster.post(SET_CURRENT, {"modelId": NEW})
    assert (status, body["details"]) == (409, names.REQUEST_PENDING)
    assert (await cluster.post(RESET))[0] == 202
    assert cluster.asked("PATCH") == 0
    cluster.kube.change(request=pending | {"outcome": "Succeeded"})


async def test_a_request_that_the_operator_has_not_seen_yet_is_not_overwritten(cluster: Cluster) -> None:
    cluster.kube.model["metadata"]["annotations"]["oneseek.io/rollback"] = "previous"
    status, body, _ = await cluster.post(RESET)
    assert (status, body["details"]) == (409, names.REQUEST_PENDING)
    assert "oneseek.io/reset" not in cluster.kube.model["metadata"]["annotations"]


async def test_somebody_who_was_faster_makes_us_read_again(cluster: Cluster) -> None:
    cluster.kube.conflicts = 2
    assert (await cluster.post(RESET))[0] == 200
    cluster.kube.conflicts = 99
    status, body, _ = await cluster.post(RESET)
    assert status == 500
    assert "has been modified" in body["details"]


async def test_five_resets_a_minute(tmp_path: Path) -> None:
    async with sidecar(tmp_path, settings={"rate_limits": True}) as cluster:
        found = [await cluster.post(RESET) for _ in range(6)]
        assert [status for status, _, _ in found] == [200] * 5 + [429]
        assert found[-1][1] == {"error": "Too many reset requests. Please try again later.", "retryAfter": 60}
        assert (await cluster.post(SET_CURRENT, {"modelId": NEW}))[0] == 200, "a bucket of its own"
