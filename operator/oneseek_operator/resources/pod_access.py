"""How a model's pods authenticate each other: tokens by role, certificates, what they trust, and the volumes for these. Pure.

A token is derived from the operator's key, a role, and the model with its uid. The Secret of tokens has their digest in its
name and never changes; Secrets of certificates are replaced in place, so a renewal restarts no pod. The operator reads none
of them: an annotation of the access ConfigMap says what was written, and until when it is valid.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any, Literal

from oneseek_core import names
from oneseek_core.api.base import ApiModel
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.digest import canonical_json
from oneseek_core.roles import Role, token_digest
from oneseek_operator.resources import common
from oneseek_operator.resources.model import labels
from oneseek_operator.settings import Settings

__all__ = [
    "PARTS",
    "LeafNote",
    "Part",
    "Written",
    "accepted",
    "config",
    "config_name",
    "env",
    "host",
    "leaf_secret",
    "leaf_secret_name",
    "mount",
    "secret",
    "secret_name",
    "token",
    "token_before",
    "volume",
]

Part = Literal["serving", "records"]
PARTS: tuple[Part, ...] = ("serving", "records")  # parts with a certificate

_FOLDER = "/access"
_IN_SECRET = (Role.SIDECAR, Role.PREPARE, Role.READER)  # the operator's own token is only in its memory


class LeafNote(ApiModel):
    """A certificate that was written."""

    authority: str
    since: str
    until: str


class Written(ApiModel):
    """What was written for a model: the name of the Secret with the tokens, and the certificates by part."""

    tokens: str
    leaves: dict[str, LeafNote] = {}


def token(model: OneSeekModel, settings: Settings, role: Role) -> str:
    """The role's token for this model: 64 hex digits."""
    meta = model.metadata
    return _derived(settings, canonical_json([role, meta.namespace, meta.name, meta.uid]))


def token_before(model: OneSeekModel, settings: Settings) -> str:
    """The token of pods of the previous release: one for all roles."""
    return _derived(settings, f"{model.metadata.namespace}/{model.metadata.name}".encode())


def _derived(settings: Settings, about: bytes) -> str:
    key = settings.token_key.get_secret_value()
    if not key:
        raise ValueError("tokens are derived from the operator's key, and there is none")
    return hmac.new(key, about, hashlib.sha256).hexdigest()


def accepted(model: OneSeekModel, settings: Settings, *roles: Role) -> dict[str, str]:
    """Digests of these roles' tokens, for a server to compare with."""
    derive = {Role.BEFORE: token_before(model, settings)}
    return {role: token_digest(derive.get(role) or token(model, settings, role)) for role in roles}


def config_name(model: OneSeekModel) -> str:
    """The ConfigMap with the certificates that a model's pods trust."""
    return f"{model.metadata.name}-access"


def secret_name(model: OneSeekModel, settings: Settings) -> str:
    """The Secret with the tokens; other tokens have another name."""
    digests = accepted(model, settings, *_IN_SECRET)
    return f"{model.metadata.name}-access-{names.short_hash(*digests.values())}"


def leaf_secret_name(model: OneSeekModel, part: Part) -> str:
    """The Secret with a part's certificate; no other model ever uses that name."""
    return f"{model.metadata.name}-{part}-tls-{names.short_hash(model.metadata.uid)}"


def host(model: OneSeekModel, part: Part) -> str:
    """The host name in a part's certificate."""
    meta = model.metadata
    if part == "records":
        return names.records_host(meta.name, meta.namespace)
    return names.serving_name(meta.name, meta.namespace, meta.uid)


def secret(model: OneSeekModel, settings: Settings) -> dict[str, Any]:
    """The tokens by role; each pod mounts only its own role's."""
    held = {str(role): token(model, settings, role) for role in _IN_SECRET}
    return _secret(model, secret_name(model, settings), held)


def leaf_secret(model: OneSeekModel, part: Part, *, certificate: str, key: str) -> dict[str, Any]:
    """A part's certificate and its key, PEM."""
    return _secret(model, leaf_secret_name(model, part), {"tls.crt": certificate, "tls.key": key})


def _secret(model: OneSeekModel, name: str, held: Mapping[str, str]) -> dict[str, Any]:
    meta = common.meta(model, name, labels(model, "access"))
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta, "stringData": dict(held)}


def config(model: OneSeekModel, written: Written, *, bundle: str) -> dict[str, Any]:
    """What the model's pods trust (`bundle`, PEM), and a note of what was written."""
    meta = common.meta(model, config_name(model), labels(model, "access"))
    meta["annotations"] = {names.ANNOTATION_ACCESS: canonical_json(written.to_wire()).decode()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"ca.crt": bundle}}


def volume(
    model: OneSeekModel, settings: Settings, role: Role, *, part: Part | None = None, tls: bool | None = None
) -> dict[str, Any]:
    """A role's token; with TLS (None: as the chart says) the trusted certificates, and the certificate of `part`."""
    items = [{"key": str(role), "path": "token"}]
    sources: list[dict[str, Any]] = [{"secret": {"name": secret_name(model, settings), "items": items}}]
    if settings.internal_tls if tls is None else tls:
        sources.append({"configMap": {"name": config_name(model), "items": [{"key": "ca.crt", "path": "ca.crt"}]}})
        if part:
            items = [{"key": key, "path": key} for key in ("tls.crt", "tls.key")]
            sources.append({"secret": {"name": leaf_secret_name(model, part), "items": items}})
    return {"name": names.ACCESS_VOLUME, "projected": {"sources": sources, "defaultMode": 0o440}}


def mount() -> dict[str, Any]:
    """Its mount, in the one container that uses it."""
    return {"name": names.ACCESS_VOLUME, "mountPath": _FOLDER, "readOnly": True}


def env() -> dict[str, Any]:
    """The environment variable that names the mount."""
    return {"name": names.ACCESS_ENV, "value": _FOLDER}
