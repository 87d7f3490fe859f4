"""What the API server is sent: nothing that could touch an object that is not ours, whatever happens meanwhile."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from oneseek_core import names
from oneseek_operator.clients.kubernetes import Cluster
from oneseek_operator.errors import ClusterError, ConflictError, NameTakenError

Object = dict[str, Any]
OWNER = {"kind": "OneSeekModel", "name": "zero", "uid": "u-1", "controller": True}


def service(**spec: Any) -> Object:
    """A Service as a builder makes it."""
    meta = {"name": "zero", "namespace": "team", "ownerReferences": [OWNER]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": spec}


def stateful_set() -> Object:
    """One that takes a claim by name."""
    tags = {names.LABEL_MODEL: "zero", names.LABEL_COMPONENT: "records"}
    spec = {"replicas": 0, "selector": {"matchLabels": tags}, "volumeClaimTemplates": [{"metadata": {"name": "data"}}]}
    meta = {"name": "zero-records", "namespace": "team", "ownerReferences": [OWNER]}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": meta, "spec": spec}


class Answers(Cluster):
    """The API server as far as one object is concerned: uids are preconditions, as on a real one."""

    def __init__(self, *there: Object) -> None:
        super().__init__(None)  # type: ignore[arg-type]  # nothing goes out
        self.objects = {item["metadata"]["name"]: item for item in there}
        self.sent: list[tuple[str, Object, Mapping[str, str]]] = []
        self.meanwhile: Callable[[], None] = lambda: None  # what others do between a look and a write

    async def _send(
        self, method: str, path: str, body: Object | None, query: Mapping[str, str], content_type: str
    ) -> bytes:
        name = (body or {}).get("metadata", {}).get("name") or path.rsplit("/", 1)[1]
        if method == "GET":
            if name not in self.objects:
                raise ClusterError(f"{name} not found", status=404)
            found = json.dumps(self.objects[name]).encode()
            self.meanwhile()
            return found
        assert body is not None
        self.sent.append((method, body, query))
        there = self.objects.get(name)
        if method == "POST" and there is not None:
            raise ConflictError(f"{name} already exists", status=409)
        wanted = body["metadata"].get("uid") if method == "PATCH" else body.get("preconditions", {}).get("uid")
        if wanted and (there is None or there["metadata"]["uid"] != wanted):
            if method == "DELETE" or there is None:
                raise ConflictError("Precondition failed: UID in precondition", status=409)
            raise ClusterError(f'metadata.uid: Invalid value: "{wanted}": field is immutable', status=422)
        if method == "PATCH" and query.get("force") == "false" and there is not None:
            raise ConflictError('Apply failed with 1 conflict: conflict with "somebody"', status=409)
        if method == "DELETE":
            self.objects.pop(name, None)
        elif query.get("dryRun") is None:
            meta = {"uid": there["metadata"]["uid"] if there else "new"}
            self.objects[name] = {**(there or {}), **body, "metadata": {**body["metadata"], **meta}}
        return json.dumps(self.objects.get(name, {})).encode()


def there(manifest: Object, uid: str, **meta: Any) -> Object:
    """The object as it lies at the API server."""
    found = copy.deepcopy(manifest)
    found["metadata"] |= {"uid": uid, **meta}
    return found


async def test_what_is_made_is_applied_without_force_so_that_nothing_new_is_taken_over() -> None:
    cluster = Answers()
    await cluster.apply(service())
    ((method, body, query),) = cluster.sent
    assert (method, query["force"], "uid" in body["metadata"]) == ("PATCH", "false", False)


async def test_what_others_changed_of_our_own_object_is_set_back_by_force() -> None:
    cluster = Answers(there(service(type="NodePort"), "s-1"))
    await cluster.apply(service(type="ClusterIP"))
    ((_, body, query),) = cluster.sent
    assert (query["force"], body["metadata"]["uid"]) == ("true", "s-1")
    assert cluster.objects["zero"]["spec"]["type"] == "ClusterIP"


@pytest.mark.parametrize(
    "owners",
    [[], [{**OWNER, "uid": "u-2", "name": "other"}], [{**OWNER, "controller": False}], [{**OWNER, "uid": "u-2"}]],
)
async def test_what_is_not_ours_gets_no_write(owners: list[Object]) -> None:
    cluster = Answers(there(service(), "s-1", ownerReferences=owners))
    for attempt in (cluster.apply, cluster.create):
        with pytest.raises(NameTakenError) as error:
            await attempt(service())
        of_before = [owner["uid"] for owner in owners if owner["name"] == "zero" and owner["controller"]]
        assert error.value.is_being_removed == bool(of_before)
    assert [method for method, _, _ in cluster.sent if method != "POST"] == []


async def test_an_object_that_appears_between_look_and_write_is_not_taken_over() -> None:
    cluster = Answers()

    async def get(kind: str, namespace: str, name: str) -> Object | None:
        cluster.objects["zero"] = there(service(type="LoadBalancer"), "s-2", ownerReferences=[])
        return None

    cluster.get = get  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        await cluster.apply(service())
    assert cluster.objects["zero"]["spec"]["type"] == "LoadBalancer"


async def test_an_object_that_is_another_one_by_the_time_of_the_write_is_left_alone() -> None:
    cluster = Answers(there(service(), "s-1"))
    other = there(service(type="LoadBalancer"), "s-2", ownerReferences=[])
    cluster.meanwhile = lambda: cluster.objects.update(zero=other)
    with pytest.raises(ConflictError):
        await cluster.apply(service())
    with pytest.raises(ConflictError):
        await cluster.scale("team", "zero", 3, uid="s-1")
    await cluster.delete("Service", "team", "zero", uid="s-1")
    assert cluster.objects["zero"] == other


async def test_a_claim_that_a_stateful_set_would_take_is_looked_at_first() -> None:
    claim = {"metadata": {"name": "data-zero-records-0", "labels": {"app": "shop"}, "uid": "c-1"}}
    cluster = Answers(claim)
    with pytest.raises(NameTakenError, match="the PersistentVolumeClaim 'data-zero-records-0' is there already"):
        await cluster.apply(stateful_set())
    assert cluster.sent == []
    claim["metadata"]["labels"] = dict(stateful_set()["spec"]["selector"]["matchLabels"])
    await cluster.apply(stateful_set())
    assert len(cluster.sent) == 1


async def test_a_conflict_that_is_about_something_else_is_tried_again() -> None:
    """A quota that was counted at the same moment is a 409, too."""
    cluster = Answers()

    async def busy(*_: Any, **__: Any) -> bytes:
        raise ConflictError("Operation cannot be fulfilled on resourcequotas", status=409)

    send, cluster._send = cluster._send, busy  # type: ignore[method-assign]
    manifest = service()
    with pytest.raises(ConflictError):
        await cluster.create(manifest)
    cluster._send = send  # type: ignore[method-assign]
    assert await cluster.create(manifest)
    assert not await cluster.create(there(manifest, "x"))


async def test_whether_a_secret_is_there_is_asked_without_reading_or_making_it() -> None:
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "zero-records", "namespace": "team"}}
    cluster = Answers()
    assert await cluster.create(secret, dry_run=True)
    assert cluster.objects == {}
    assert cluster.sent[-1][2]["dryRun"] == "All"
    cluster.objects["zero-records"] = there(secret, "x")
    cluster.meanwhile = lambda: pytest.fail("Secrets are never read")
    assert not await cluster.create(secret, dry_run=True)
    assert not await cluster.create(secret)
