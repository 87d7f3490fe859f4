"""[I/O] Objects in and out of the API server, as plain data.

What an object means is decided elsewhere; here an HTTP status becomes a value or an error. An object is applied, scaled or
deleted by uid, and under the name of a manifest only an object that is ours (`ownership`) is changed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Self

import aiohttp
from kubernetes.aio import client, config

from oneseek_core import names
from oneseek_core.network import failure
from oneseek_operator.errors import ClusterError, ConflictError, ListTooLargeError
from oneseek_operator.observe.ownership import claims_of, refuse_foreign, refuse_foreign_claim

__all__ = ["Cluster"]

Object = dict[str, Any]

_TIMEOUT = 15.0  # seconds
_CONFLICT, _NOT_FOUND, _INVALID = 409, 404, 422
_NEVER_READ = "Secret"  # the operator may create Secrets and read none
_PAGE = 100  # objects a request
_LIST_BYTES = 32 * 1024**2  # of one list: one namespace must not fill the operator's memory
_LOG_BYTES = 256 * 1024  # of a log's tail, whose lines have no limit

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PATHS = {
    "OneSeekModel": (f"/apis/{names.API_VERSION}", names.MODELS),
    "TrainingRun": (f"/apis/{names.API_VERSION}", names.TRAINING_RUNS),
    "Job": ("/apis/batch/v1", "jobs"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "ReplicaSet": ("/apis/apps/v1", "replicasets"),
    "StatefulSet": ("/apis/apps/v1", "statefulsets"),
    "Service": ("/api/v1", "services"),
    "Pod": ("/api/v1", "pods"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "Event": ("/api/v1", "events"),
    "Secret": ("/api/v1", "secrets"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
    "ClusterRoleBinding": (_RBAC, "clusterrolebindings"),  # of no namespace: ""
}


class Cluster:
    """The API server as the operator's service account sees it."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api

    @classmethod
    async def connect(cls) -> Self:
        """With the pod's service account; outside a cluster with KUBECONFIG."""
        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        return cls(client.ApiClient(configuration))

    async def close(self) -> None:
        """Release the connections."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, kind: str, namespace: str, name: str) -> Object | None:
        """One object; None if there is none."""
        return await self._request("GET", _path(kind, namespace, name), missing_ok=True)

    async def list(
        self, kind: str, namespace: str, labels: Mapping[str, str] | None = None, *, fields: str = ""
    ) -> list[Object]:
        """The objects of a kind that carry all the labels and match a field selector, without their managed fields.

        Raises:
            ListTooLargeError: they are too large together.
        """
        query = {"labelSelector": ",".join(f"{key}={value}" for key, value in labels.items())} if labels else {}
        if fields:
            query["fieldSelector"] = fields
        path, items, size, query["limit"] = _path(kind, namespace), [], 0, str(_PAGE)
        while True:
            data = await self._send("GET", path, None, query, "")
            if (size := size + len(data)) > _LIST_BYTES:
                raise ListTooLargeError(_too_large(path))
            answer = json.loads(data)
            for item in answer["items"]:
                item["metadata"].pop("managedFields", None)  # up to half of an object, and not needed in a list
                items.append(item)
            query["continue"] = answer["metadata"].get("continue", "")
            if not query["continue"]:
                return items

    async def create(self, manifest: Object, *, dry_run: bool = False) -> bool:
        """Create an object; False if it exists, which is left as it is. `dry_run`: only check whether it would be created.

        Raises:
            NameTakenError: the existing object is somebody else's. Not for Secrets, which are not read.
        """
        meta = manifest["metadata"]
        query = {"fieldManager": names.FIELD_MANAGER, **({"dryRun": "All"} if dry_run else {})}
        try:
            await self._request("POST", _path(manifest["kind"], meta["namespace"]), body=manifest, query=query)
        except ConflictError:
            if manifest["kind"] == _NEVER_READ:
                return False
            there = await self.get(manifest["kind"], meta["namespace"], meta["name"])
            if there is None:  # gone meanwhile, or a conflict about something else
                raise
            refuse_foreign(there, manifest)
            return False
        return True

    async def apply(self, manifest: Object) -> None:
        """Server-side apply: create the object, or set the fields that are ours to what the manifest says.

        Fields of our own object that others changed are set back. An object that appears at this moment is not forced: a
        difference is a conflict.

        Raises:
            NameTakenError: the object, or a claim that it would use, is somebody else's.
            ConflictError: it was created, or created again, meanwhile.
        """
        meta, kind = manifest["metadata"], manifest["kind"]
        there = await self.get(kind, meta["namespace"], meta["name"])
        query = {"fieldManager": names.FIELD_MANAGER, "force": "false"}
        if there is None:
            for name, tags in claims_of(manifest):
                if claim := await self.get("PersistentVolumeClaim", meta["namespace"], name):
                    refuse_foreign_claim(claim, tags, manifest)
        else:
            refuse_foreign(there, manifest)
            query["force"] = "true"
            manifest = {**manifest, "metadata": {**meta, "uid": there["metadata"]["uid"]}}
        path = _path(kind, meta["namespace"], meta["name"])
        await self._patch(path, manifest, query, "application/apply-patch+yaml")

    async def replace(self, manifest: Object) -> None:
        """Write an object as it was read and changed.

        Raises:
            ConflictError: the object changed since.
        """
        meta = manifest["metadata"]
        path = _path(manifest["kind"], meta.get("namespace", ""), meta["name"])
        await self._request("PUT", path, body=manifest, query={"fieldManager": names.FIELD_MANAGER})

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str, grace: int | None = None) -> None:
        """Delete an object and, in the background, what it owns; fine if it is gone or has another uid."""
        body: Object = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        if grace is not None:
            body["gracePeriodSeconds"] = grace
        try:
            await self._request("DELETE", _path(kind, namespace, name), body=body, missing_ok=True)
        except ConflictError:
            return

    async def replace_status(self, kind: str, current: Object, status: Object) -> None:
        """Write the status of an object as it was read.

        Raises:
            ConflictError: the object changed since.
        """
        meta = current["metadata"]
        body = {**current, "status": status}
        query = {"fieldManager": names.FIELD_MANAGER}
        await self._request("PUT", _path(kind, meta["namespace"], meta["name"]) + "/status", body=body, query=query)

    async def annotate(self, current: Object, changes: Mapping[str, str | None]) -> None:
        """Set annotations, or remove those that are None, on an object as it was read.

        Raises:
            ConflictError: the object changed since.
        """
        meta = current["metadata"]
        body = {"metadata": {"resourceVersion": meta["resourceVersion"], "annotations": dict(changes)}}
        path = _path(current["kind"], meta["namespace"], meta["name"])
        query = {"fieldManager": names.FIELD_MANAGER}
        await self._request("PATCH", path, body=body, query=query, content_type="application/merge-patch+json")

    async def scale(self, namespace: str, deployment: str, replicas: int, *, uid: str) -> None:
        """Set the replicas of a Deployment; fine if it is gone.

        Raises:
            ConflictError: it was created again meanwhile.
        """
        body = {"metadata": {"uid": uid}, "spec": {"replicas": replicas}}
        path, query = _path("Deployment", namespace, deployment), {"fieldManager": names.FIELD_MANAGER}
        await self._patch(path, body, query, "application/merge-patch+json", missing_ok=True)

    async def log_tail(self, namespace: str, pod: str, *, container: str, lines: int) -> str:
        """The last lines of a container's log; empty if there is none yet."""
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(_LOG_BYTES)}
        try:
            return (await self._send("GET", _path("Pod", namespace, pod) + "/log", None, query, "")).decode(
                errors="replace"
            )
        except ClusterError as error:
            if error.status in (400, _NOT_FOUND, 500):  # the container has not started, or is gone
                return ""
            raise

    async def event(self, about: Object, *, warning: bool, reason: str, message: str) -> None:
        """Create an Event about an object."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        meta = about["metadata"]
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{meta['name'][:40]}-", "namespace": meta["namespace"]},
            "involvedObject": {
                "apiVersion": names.API_VERSION,
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                "uid": meta["uid"],
            },
            "type": "Warning" if warning else "Normal",
            "reason": reason,
            "message": message[:1024],
            "source": {"component": names.FIELD_MANAGER},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        await self._request("POST", _path("Event", meta["namespace"]), body=body)

    async def _patch(
        self, path: str, body: Object, query: Mapping[str, str], content_type: str, *, missing_ok: bool = False
    ) -> None:
        """A patch that names the uid it is meant for: the API server finds `metadata.uid` invalid if it is another."""
        try:
            await self._request("PATCH", path, body=body, query=query, content_type=content_type, missing_ok=missing_ok)
        except ClusterError as error:
            if error.status == _INVALID and "metadata.uid" in str(error):
                raise ConflictError(str(error), status=_CONFLICT) from error
            raise

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Object | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
        missing_ok: bool = False,
    ) -> Object | None:
        try:
            data = await self._send(method, path, body, query or {}, content_type)
        except ClusterError as error:
            if missing_ok and error.status == _NOT_FOUND:
                return None
            raise
        value: Object = json.loads(data)
        return value

    async def _send(
        self, method: str, path: str, body: Object | None, query: Mapping[str, str], content_type: str
    ) -> bytes:
        headers = {"Accept": "application/json, */*"}
        if body is not None:
            headers["Content-Type"] = content_type
        request = await self._api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        try:
            response = await self._api.call_api(*request, _request_timeout=_TIMEOUT)
            data = await _bounded(response.response, path)
        except TimeoutError as error:
            raise ClusterError(f"the API server did not answer {method} {path} within {_TIMEOUT:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ClusterError(f"the API server did not answer {method} {path}: {failure(error)}") from error
        if response.status < 400:
            return data
        message = _message(data) or f"{method} {path}: HTTP {response.status}"
        if response.status == _CONFLICT:
            raise ConflictError(message, status=_CONFLICT)
        after = response.headers.get("Retry-After", "")
        raise ClusterError(message, status=response.status, retry_after=float(after) if after.isdecimal() else None)


async def _bounded(response: aiohttp.ClientResponse, path: str) -> bytes:
    data = bytearray()
    async for piece in response.content.iter_any():
        data += piece
        if len(data) > _LIST_BYTES:
            response.close()
            raise ListTooLargeError(_too_large(path))
    return bytes(data)


def _too_large(path: str) -> str:
    return f"{path} holds more than {_LIST_BYTES // 1024**2} MiB; delete what is not needed there"


def _path(kind: str, namespace: str, name: str = "") -> str:
    prefix, plural = _PATHS[kind]
    within = f"/namespaces/{namespace}" if namespace else ""
    return f"{prefix}{within}/{plural}" + (f"/{name}" if name else "")


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data).get("message", ""))
    except (ValueError, AttributeError):
        return ""
