"""The kinds of things that are tried, each a function that makes an `Attempt.call`.

`$name` in any text is a fact of the place: `$namespace`, `$pod` (a serving pod's address), `$first`, `$current` (versions).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from support.tenant.attempt import Call, Seen, Who
from support.tenant.place import Place, conditions

__all__ = [
    "api",
    "created",
    "file",
    "keys_in",
    "noted",
    "osdo",
    "patched",
    "port",
    "python",
    "raw",
    "web",
    "with_its_token",
]

Object = dict[str, Any]
_TYPES = {"merge": "application/merge-patch+json", "apply": "application/apply-patch+yaml", "": "application/json"}


def path(of: str) -> str:
    """An API path: as it stands, or short for one in the model's namespace."""
    if of.startswith("/"):
        return of
    group, _, rest = of.partition(":") if ":" in of.partition("/")[0] else ("", "", of)
    root = {"": "/api/v1", "ours": "/apis/oneseek.io/v1alpha1"}.get(group, f"/apis/{group}/v1")
    return f"{root}/namespaces/$namespace/{rest}"


def api(method: str, of: str, body: Object | None = None, *, patch: str = "", headers: Mapping[str, str] = {}) -> Call:
    """One call to the API server with the actor's own token; `group:plural/name` is in the model's namespace."""

    def call(place: Place, who: Who) -> Seen:
        kind = _TYPES[patch or ("merge" if method == "PATCH" else "")]
        return place.ask(
            who, method, place.fill(path(of)), place.fill(body), {"Content-Type": kind, **place.fill(dict(headers))}
        )

    return call


def noted(kind: str, name: str, headers: Mapping[str, str] = {}, **notes: str) -> Call:
    """Our annotations on an object; `_` stands for `-`."""
    annotations = {f"oneseek.io/{key.replace('_', '-')}": value for key, value in notes.items()}
    return api("PATCH", f"ours:{kind}/{name}", {"metadata": {"annotations": annotations}}, headers=headers)


def patched(spec: Object, kind: str = "oneseekmodels", name: str = "zero") -> Call:
    """A change of a spec."""
    return api("PATCH", f"ours:{kind}/{name}", {"spec": spec})


def created(manifest: Object, reason: str = "", *, before: Sequence[Call] = (), within: float = 45) -> Call:
    """A model or run of the actor's, after what prepares the ground; `reason` is waited for in its conditions.

    What is said is the API server's refusal, or every condition in the end. The object is deleted again.
    """

    def call(place: Place, who: Who) -> Seen:
        for step in before:
            seen = step(place, who)
            if seen.status >= 400:
                return Seen(f"the ground could not be prepared: {seen.said}", seen.status)
        kind, meta = manifest["kind"], place.fill(manifest["metadata"])
        plural = "oneseekmodels" if kind == "OneSeekModel" else "trainingruns"
        of = f"/apis/oneseek.io/v1alpha1/namespaces/{meta['namespace']}/{plural}"
        seen = place.ask(who, "POST", of, place.fill(manifest), {"Content-Type": "application/json"})
        if seen.status != 201:
            return seen
        kube = place.elsewhere if meta["namespace"] == place.elsewhere.namespace else place.kube
        said = conditions(kube, kind, meta["name"], reason, within=within) if reason else "it was taken"
        kube.delete(kind.lower(), meta["name"])
        return Seen(said)

    return call


def port(host: str, number: int, method: str, of: str, body: Any = None, **headers: str) -> Call:
    """An HTTP request from the actor's pod, over TLS where the port speaks it."""

    def call(place: Place, who: Who) -> Seen:
        told = {key.replace("_", "-"): value for key, value in headers.items()}
        return place.hands(who).do(
            "http",
            host=place.fill(host),
            port=number,
            method=method,
            path=place.fill(of),
            body="" if body is None else json.dumps(place.fill(body)),
            headers=place.fill(told),
        )

    return call


def web(method: str, of: str, body: Any = None, **headers: str) -> Call:
    """An HTTP request of a client to the model's public port; the path goes as it stands."""
    return port("$service", 80, method, of, body, **headers)


_FIND = """
import json, os
folder = os.environ.get("ONESEEK_ACCESS")
token = open(folder + "/token" if folder else os.environ["ONESEEK_RECORDS_TOKEN_FILE"]).read().strip()
host, _, number = os.environ["ONESEEK_RECORDS_URL"].split("//")[1].partition(":")
said = json.dumps([host, int(number), token])
"""


def with_its_token(host: str, number: int, method: str, of: str, body: Any = None) -> Call:
    """A request with the token that the sidecar itself has; with no host, to the records service."""

    def call(place: Place, who: Who) -> Seen:
        there, its, token = json.loads(place.hands(who).do("python", block=_FIND).said)
        return port(host or there, number or its, method, of, body, Authorization=f"Bearer {token}")(place, who)

    return call


def raw(host: str, number: int, data: str, *, how: str = "") -> Call:
    """Bytes to a port, as they stand; `\\n` is sent as CR LF. `how`: plain, or tls; empty: TLS where it is spoken."""

    def call(place: Place, who: Who) -> Seen:
        text = place.fill(data).replace("\n", "\r\n")
        return place.hands(who).do("raw", host=place.fill(host), port=number, data=text, how=how)

    return call


def file(verb: str, name: str, text: str = "owned") -> Call:
    """Read or write a file of the actor's pod."""
    return lambda place, who: place.hands(who).do(verb, path=place.fill(name), text=place.fill(text))


def osdo(name: str, *arguments: Any) -> Call:
    """A function of `os` in the actor's pod."""
    return lambda place, who: place.hands(who).do("call", name=name, arguments=place.fill(list(arguments)))


def python(block: str) -> Call:
    """Code in the actor's pod, which leaves its answer in `said`."""
    return lambda place, who: place.hands(who).do("python", block=place.fill(block))


def keys_in(*roots: str) -> Call:
    """Look for a private key or a token of ours in the environment and below the roots."""
    return lambda place, who: place.hands(who).do("find", roots=list(roots), words=place.secrets)
