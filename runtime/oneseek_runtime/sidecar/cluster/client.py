"""[I/O] A minimal Kubernetes API client for the sidecar's own service account.

A client library would be larger than the sidecar. The token is read for each request, because the kubelet renews the file; the
CA bundle is read again when it changes.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol

import aiohttp

from oneseek_core import names
from oneseek_core.api import lenient
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.network import failure
from oneseek_core.secret import SecretError, read_word
from oneseek_runtime.sidecar.errors import (
    KubeConflictError,
    KubeError,
    KubeExpiredError,
    KubeForbiddenError,
    KubeNotFoundError,
    KubeUnavailableError,
)

__all__ = ["Access", "Kube", "KubeClient", "Listing", "NoKube", "Plural", "User"]

Object = dict[str, Any]
Plural = Literal["oneseekmodels", "trainingruns"]

_SECONDS = 10.0
_WATCH_SECONDS = 290  # then the API server ends the watch, which is resumed
_SILENT_SECONDS = _WATCH_SECONDS + 30
_ERRORS = {401: KubeForbiddenError, 403: KubeForbiddenError, 404: KubeNotFoundError, 409: KubeConflictError}
_LINE_BYTES = 2**22  # one object in a watch; the API server itself stores no larger ones than 1.5 MiB
_UNAVAILABLE = (429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class User:
    """The user of a token as returned by TokenReview."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, list[str]] | None = None


@dataclass(frozen=True, slots=True)
class Access:
    """An RBAC permission in the model's namespace; `name` empty: not for one object."""

    verb: str
    resource: Plural
    name: str = ""

    def __str__(self) -> str:
        """As in `kubectl auth can-i`."""
        return f"{self.verb} {self.resource}.{names.GROUP}" + (f"/{self.name}" if self.name else "")


@dataclass(frozen=True, slots=True)
class Listing:
    """Listed objects and the resourceVersion to watch from."""

    items: list[Object]
    resource_version: str


class Kube(Protocol):
    """The sidecar's calls to the Kubernetes API. All raise KubeError; see its subclasses."""

    async def review(self, token: str) -> User | str:
        """TokenReview for audience `oneseek`: the user, or the reason why the token is refused."""

    async def allows(self, user: User, access: Access) -> bool:
        """LocalSubjectAccessReview: whether RBAC allows it in the model's namespace."""

    async def model(self) -> OneSeekModel:
        """Get the OneSeekModel, read leniently."""

    async def annotate(self, notes: Mapping[str, str], *, resource_version: str) -> None:
        """Set annotations of the OneSeekModel; KubeConflictError if it changed since it was read."""

    async def list(self, plural: Plural) -> Listing:
        """List the model itself, or the runs of its namespace."""

    def watch(self, plural: Plural, resource_version: str) -> AsyncIterator[tuple[str, Object]]:
        """Yields (ADDED | MODIFIED | DELETED | BOOKMARK, object) until the server ends the watch."""


class NoKube:
    """A sidecar outside a cluster: every call raises KubeUnavailableError."""

    async def _unavailable(self, *_arguments: Any, **_options: Any) -> NoReturn:
        raise KubeUnavailableError(
            "this sidecar has no access to a Kubernetes API: its pod has no service account token"
        )

    review = allows = model = annotate = list = _unavailable

    async def watch(self, plural: Plural, resource_version: str) -> AsyncIterator[tuple[str, Object]]:
        """Refuse."""
        await self._unavailable()
        yield "", {}


class KubeClient:
    """The API server at `url`, called through `session`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        *,
        namespace: str,
        model: str,
        access: Path = Path(names.API_ACCESS_PATH),
    ) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._namespace = namespace
        self._model = model
        self._access = access
        self._context: tuple[int, ssl.SSLContext] | None = None

    @classmethod
    def in_pod(
        cls, session: aiohttp.ClientSession, environment: Mapping[str, str], *, namespace: str, model: str
    ) -> KubeClient | None:
        """The client of a pod with a service account token; None without one."""
        host = environment.get("KUBERNETES_SERVICE_HOST")
        if not host or not (Path(names.API_ACCESS_PATH) / "token").exists():
            return None
        host = f"[{host}]" if ":" in host else host
        port = environment.get("KUBERNETES_SERVICE_PORT", "443")
        return cls(session, f"https://{host}:{port}", namespace=namespace, model=model)

    async def review(self, token: str) -> User | str:
        """See `Kube`. A token for another audience is refused."""
        spec = {"token": token, "audiences": [names.TOKEN_AUDIENCE]}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        answer = await self._call("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)
        status = answer.get("status", {})
        if not status.get("authenticated"):
            return str(status.get("error") or "the API server does not know it")
        if names.TOKEN_AUDIENCE not in status.get("audiences", []):  # the authenticator does not support audiences
            return f"it was not made for the audience {names.TOKEN_AUDIENCE!r}"
        user = status.get("user", {})
        groups = tuple(user.get("groups") or ())
        return User(user.get("username", ""), user.get("uid", ""), groups, user.get("extra"))

    async def allows(self, user: User, access: Access) -> bool:
        """See `Kube`."""
        attributes = {"namespace": self._namespace, "verb": access.verb, "group": names.GROUP}
        attributes |= {"resource": access.resource, **({"name": access.name} if access.name else {})}
        spec: Object = {"user": user.name, "uid": user.uid, "groups": list(user.groups)}
        spec |= {"resourceAttributes": attributes, **({"extra": dict(user.extra)} if user.extra else {})}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "LocalSubjectAccessReview",
            "metadata": {"namespace": self._namespace},
            "spec": spec,
        }
        path = f"/apis/authorization.k8s.io/v1/namespaces/{self._namespace}/localsubjectaccessreviews"
        answer = await self._call("POST", path, body)
        return answer.get("status", {}).get("allowed") is True

    async def model(self) -> OneSeekModel:
        """See `Kube`."""
        return lenient.read(OneSeekModel, await self._call("GET", f"{self._path('oneseekmodels')}/{self._model}"))

    async def annotate(self, notes: Mapping[str, str], *, resource_version: str) -> None:
        """See `Kube`."""
        body = {"metadata": {"annotations": dict(notes), "resourceVersion": resource_version}}
        path = f"{self._path('oneseekmodels')}/{self._model}?fieldManager=oneseek-sidecar"
        await self._call("PATCH", path, body, content_type="application/merge-patch+json")

    async def list(self, plural: Plural) -> Listing:
        """See `Kube`."""
        answer = await self._call("GET", self._path(plural) + self._only(plural, "?"))
        return Listing(list(answer.get("items") or []), answer["metadata"]["resourceVersion"])

    async def watch(self, plural: Plural, resource_version: str) -> AsyncIterator[tuple[str, Object]]:
        """See `Kube`."""
        path = f"{self._path(plural)}?watch=1&allowWatchBookmarks=true&timeoutSeconds={_WATCH_SECONDS}"
        path += f"&resourceVersion={resource_version}" + self._only(plural, "&")
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_SECONDS, sock_read=_SILENT_SECONDS)
        try:
            async with self._open("GET", path, timeout=timeout) as response:
                if response.status != 200:
                    raise _refusal("GET", path, response.status, await response.read())
                async for line in response.content:
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        raise _refusal("GET", path, event["object"].get("code", 500), json.dumps(event["object"]))
                    yield event["type"], event["object"]
        except aiohttp.ConnectionTimeoutError as error:
            raise KubeUnavailableError(f"the Kubernetes API accepted no connection within {_SECONDS:g} s") from error
        except TimeoutError as error:
            raise KubeUnavailableError(f"the watch on {plural} said nothing for {_SILENT_SECONDS} s") from error
        except (OSError, aiohttp.ClientError) as error:
            raise KubeUnavailableError(f"the watch on {plural} broke off: {failure(error)}") from error
        except ValueError as error:
            raise KubeUnavailableError(f"the watch on {plural} broke off: an event is no JSON") from error

    def _path(self, plural: Plural) -> str:
        return f"/apis/{names.API_VERSION}/namespaces/{self._namespace}/{plural}"

    def _only(self, plural: Plural, mark: str) -> str:
        """Restricts a list of models to our own: the account may read no other."""
        return f"{mark}fieldSelector=metadata.name%3D{self._model}" if plural == "oneseekmodels" else ""

    async def _call(
        self, method: str, path: str, body: Object | None = None, *, content_type: str = "application/json"
    ) -> Object:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        data = None if body is None else json.dumps(body).encode()
        try:
            async with self._open(method, path, timeout=timeout, data=data, content_type=content_type) as response:
                answer = await response.read()
                status = response.status
        except TimeoutError as error:
            raise KubeUnavailableError(f"the Kubernetes API did not answer within {_SECONDS:g} s") from error
        except (OSError, aiohttp.ClientError) as error:
            raise KubeUnavailableError(f"the Kubernetes API cannot be reached: {failure(error)}") from error
        if status >= 400:
            raise _refusal(method, path, status, answer)
        value: Object = json.loads(answer)
        return value

    def _open(
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,
        data: bytes | None = None,
        content_type: str = "application/json",
    ) -> aiohttp.client._RequestContextManager:
        headers = {"Authorization": f"Bearer {self._token()}", "Accept": "application/json"}
        if data is not None:
            headers["Content-Type"] = content_type
        context = self._ssl() if self._url.startswith("https") else True
        return self._session.request(
            method, self._url + path, data=data, headers=headers, timeout=timeout, ssl=context, read_bufsize=_LINE_BYTES
        )

    def _token(self) -> str:
        try:
            return read_word(self._access / "token", "the token of the pod's service account")
        except SecretError as error:
            raise KubeUnavailableError(str(error)) from error

    def _ssl(self) -> ssl.SSLContext:
        bundle = self._access / "ca.crt"
        changed = bundle.stat().st_mtime_ns
        if self._context is None or self._context[0] != changed:
            self._context = (changed, ssl.create_default_context(cafile=str(bundle)))
        return self._context[1]


def _refusal(method: str, path: str, status: int, answer: bytes | str) -> KubeError:
    """An error with the API server's own message."""
    try:
        said = str(json.loads(answer).get("message", ""))
    except (ValueError, AttributeError):
        said = ""
    sentence = said or f"{method} {path.partition('?')[0]} was answered with status {status}"
    if status == 410:
        return KubeExpiredError(sentence)
    if status in _UNAVAILABLE:
        return KubeUnavailableError(f"the Kubernetes API is not available: {sentence}")
    return _ERRORS.get(status, KubeError)(sentence)
