"""What the operator makes of names that are taken, of lying pods, of settings for pods, and of an older ledger."""

from __future__ import annotations

import gzip
import json
import resource
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.errors import OneSeekError
from oneseek_operator.errors import ClusterError, ConflictError
from oneseek_operator.reconcile import model as models
from support.asgi import serving
from support.audit.attempts import RefusedError
from support.audit.glue import CLUSTER, sidecar_client
from support.choices import status_of, trained
from support.driver import condition, settle
from support.makers import SETTINGS, model_manifest, run_manifest
from support.world import World

Object = dict[str, Any]
HERE = "127.0.0.1"
MODEL = ("OneSeekModel", "team", "zero")
LIMIT, MOST = 512 * 1024**2, 4 * 1024**3  # bytes: the operator's, in the chart; what an attempt may take here


async def make(_folder: Path, attempt: Callable[[str, Coroutine[Any, Any, str]], Coroutine[Any, Any, None]]) -> None:
    await attempt("service", service())
    await attempt("claim", claim())
    await attempt("redirect", redirect())
    await attempt("injector", injector())
    await attempt("ledger", ledger())
    await attempt("bomb", bomb())


class Written(World):
    """The simulated cluster, written to by the operator's real client: what it sends is judged as an API server does."""

    def __getattr__(self, name: str) -> Any:
        return getattr(CLUSTER, name).__get__(self)  # the client's own helpers

    async def apply(self, manifest: Object) -> None:
        await CLUSTER.apply(self, manifest)

    async def create(self, manifest: Object, **more: Any) -> bool:
        made: bool = await CLUSTER.create(self, manifest, **more)
        return made

    async def delete(self, kind: str, namespace: str, name: str, **more: Any) -> None:
        await CLUSTER.delete(self, kind, namespace, name, **more)

    async def _send(
        self, method: str, path: str, body: Object | None, query: Mapping[str, str], _content_type: str
    ) -> bytes:
        assert body is not None
        kind = body.get("kind") or next(one for one in ("PersistentVolumeClaim", "Job") if one.lower() in path)
        name = body.get("metadata", {}).get("name") or path.rsplit("/", 1)[1]
        key = (kind, "team", name)
        there = self.objects.get(key)
        self._judge(method, body, query, there)
        self.writes[f"{method} {kind}"] += 1
        if method == "DELETE":
            self.remove(self.objects[key])
            return b"{}"
        new = json.loads(json.dumps(body))
        if "dryRun" in query:
            return json.dumps(new).encode()
        if there:
            notes = there["metadata"].get("annotations", {}) | new["metadata"].get("annotations", {})
            new = {**there, **new, "metadata": {**there["metadata"], **new["metadata"], "annotations": notes}}
        self.stamp(new)
        self.objects[key] = new
        return json.dumps(new).encode()

    @staticmethod
    def _judge(method: str, body: Object, query: Mapping[str, str], there: Object | None) -> None:
        if method == "POST" and there is not None:
            raise ConflictError("it already exists", status=409)
        if method == "DELETE":
            uid = body.get("preconditions", {}).get("uid")
            if there is None:
                raise ClusterError("not found", status=404)
            if uid and uid != there["metadata"]["uid"]:
                raise ConflictError("the uid in the precondition is another", status=409)
        if method == "PATCH" and there is not None:
            if body["metadata"].get("uid", there["metadata"]["uid"]) != there["metadata"]["uid"]:
                raise ClusterError("metadata.uid: field is immutable", status=422)
            if query.get("force") != "true":
                raise ConflictError("conflict with another field manager", status=409)


def foreign(kind: str, name: str, **spec: Any) -> Object:
    """Somebody else's object, made by Helm."""
    meta = {"name": name, "namespace": "team", "uid": "somebodys", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"kind": kind, "metadata": {**meta, "labels": {names.LABEL_MANAGED_BY: "Helm"}}, "spec": spec}


async def delete_model(world: World) -> None:
    """`kubectl delete oneseekmodel zero`."""
    model = OneSeekModel.model_validate(world.objects[MODEL])
    await models.finish_deletion(model, cluster=world, settings=SETTINGS)
    world.remove(world.objects[MODEL])


async def service() -> str:
    """A Service `zero` of a shop, and then a OneSeekModel `zero`."""
    world, key = Written(), ("Service", "team", "zero")
    world.objects[key] = foreign("Service", "zero", selector={"app": "shop"})
    world.apply_as_user(model_manifest())
    await settle(world)
    selector, said = world.objects[key]["spec"]["selector"], condition(world, "OneSeekModel", "zero")["message"]
    await delete_model(world)
    if selector == {"app": "shop"} and key in world.objects:
        raise RefusedError(said)
    return f"its selector became {selector}; deleted with the model: {key not in world.objects}"


async def claim() -> str:
    """A claim `zero-models` of somebody's, and then a OneSeekModel `zero` with reclaimPolicy Delete."""
    world, key = Written(), ("PersistentVolumeClaim", "team", "zero-models")
    world.objects[key] = foreign("PersistentVolumeClaim", "zero-models")
    world.apply_as_user(model_manifest(storage={"size": "1Gi", "reclaimPolicy": "Delete"}))
    await settle(world)
    said = condition(world, "OneSeekModel", "zero")["message"]
    await delete_model(world)
    if key in world.objects:
        raise RefusedError(said)
    return "it was deleted with the model"


def answering(handler: Callable[[Request], Coroutine[Any, Any, Response]]) -> Starlette:
    """An app of one answer for every path."""
    return Starlette(routes=[Route("/{rest:path}", handler, methods=["GET", "POST"])])


async def redirect() -> str:
    """A pod answers the operator's GET /internal/state with a redirect to another service."""
    reached: list[str] = []

    async def inner(request: Request) -> Response:
        reached.append(request.url.path)
        return JSONResponse({})

    async with serving(answering(inner)) as target:

        async def lead_on(_: Request) -> Response:
            return RedirectResponse(f"{target}/elsewhere")

        said = await _asked(lead_on)
    if not reached:
        raise RefusedError(said)
    return f"the operator asked {reached[0]} there"


async def bomb() -> str:
    """A pod answers it with 300 MiB, packed to 306 KB."""
    packed = gzip.compress(b'{"dna":"' + b"a" * (300 * 1024**2) + b'"}', 9)

    async def unpack(_: Request) -> Response:
        return Response(packed, headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})

    resource.setrlimit(resource.RLIMIT_AS, (MOST, MOST))  # this machine has other tenants
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    try:
        said = await _asked(unpack)
    except MemoryError:
        said = "out of memory"
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    if grown < LIMIT:
        raise RefusedError(f"{said} (grown by {grown / 1024**2:.0f} MiB)")
    return f"an answer of {len(packed) / 1000:.0f} KB took {grown / 1024**3:.1f} GiB (then: {said})"


async def _asked(handler: Callable[[Request], Coroutine[Any, Any, Response]]) -> str:
    """What the operator says after it asked a pod that answers so."""
    async with serving(answering(handler)) as url, sidecar_client(HERE, int(url.rpartition(":")[2])) as client:
        try:
            await client.state(HERE)
        except OneSeekError as error:
            return str(error)
        except ValueError as error:  # 69e4700 lets pydantic's error through
            return type(error).__name__
    return "it took the answer"


async def injector() -> str:
    """A run whose pods ask a service mesh's webhook for a sidecar of the run's choice."""
    asked = {"sidecar.istio.io/inject": "true", "inject.istio.io/templates": "mine"}
    world = World()
    world.apply_as_user(model_manifest())
    await settle(world)
    world.apply_as_user(run_manifest(pod={"annotations": asked}))
    await settle(world)
    job = world.objects["Job", "team", "first-certify"]
    found = job["spec"]["template"]["metadata"].get("annotations", {})
    if asked.items() <= found.items():
        mounted = [one["name"] for one in job["spec"]["template"]["spec"]["volumes"] if "secret" in one]
        return f"the certify pod carries both annotations, and mounts {mounted}"
    told = {key: value for key, value in found.items() if "inject" in key}
    raise RefusedError(f"the certify pod carries {told or 'none of them'}")


async def ledger() -> str:
    """The ledger's first two blocks in place of all of them; then one more version is trained."""
    world = await trained(2)
    witness = status_of(world)["ledger"]["height"]
    world.ledger = dict(list(world.ledger.items())[:1])
    await settle(world)
    world.apply_as_user(run_manifest("third"))
    await settle(world)
    now = status_of(world)["ledger"]["height"]
    if now == witness and len(world.ledger) == 1:
        raise RefusedError(condition(world, "OneSeekModel", "zero", names.RECORDS_AVAILABLE)["message"])
    return f"new entries followed its last block, and the witnessed height in the status fell from {witness} to {now}"
