"""The Secret with the private keys, which only certify mounts, and the ConfigMap with the public keys. Pure.

Neither has an owner: they outlive the model as its claim does, since versions on the claim stay signed with them.
"""

from __future__ import annotations

from typing import Any

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.resources.model import labels

__all__ = ["secret", "secret_name", "trusted", "trusted_name"]


def secret_name(model: OneSeekModel) -> str:
    """The Secret with the private keys: the spec's, or one named after the model."""
    return model.spec.certification.signing_key_secret or f"{model.metadata.name}-signing-keys"


def trusted_name(model: OneSeekModel) -> str:
    """The ConfigMap with the public keys."""
    return f"{model.metadata.name}-trusted-keys"


def secret(model: OneSeekModel, *, signing_key: str, ledger_key: str) -> dict[str, Any]:
    """The private keys, PEM."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "Opaque",
        "metadata": _meta(model, secret_name(model)),
        "stringData": {"signing.key": signing_key, "ledger.key": ledger_key},
    }


def trusted(model: OneSeekModel, *, made: str | None, pending: bool) -> dict[str, Any]:
    """The public keys, PEM: the model's own, if it has one, and those of the spec."""
    meta = _meta(model, trusted_name(model))
    meta["annotations"] = {names.ANNOTATION_KEYS: "pending" if pending else "ready"}
    keys = {f"trusted-{index}.pub": key for index, key in enumerate(model.spec.certification.trusted_keys)}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta,
        "data": {**({"model.pub": made} if made else {}), **keys},
    }


def _meta(model: OneSeekModel, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": model.metadata.namespace,
        "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER, **labels(model, "keys")},
    }
