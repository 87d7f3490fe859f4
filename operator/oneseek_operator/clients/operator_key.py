"""[I/O] The operator's key, in a Secret of its namespace; every model's tokens are derived from it.

Created once, by the operator that starts first.
"""

from __future__ import annotations

import base64
import secrets

from oneseek_core import names
from oneseek_core.secret import keep
from oneseek_operator.clients.kubernetes import Cluster
from oneseek_operator.errors import ClusterError

__all__ = ["SECRET", "load_key"]

SECRET = "oneseek-operator-key"  # noqa: S105 - a name, not a secret


async def load_key(cluster: Cluster, namespace: str) -> bytes:
    """The key of 32 bytes, created if there is none.

    Raises:
        ClusterError: the Secret cannot be read or does not hold a key.
    """
    fresh = secrets.token_bytes(32)
    await cluster.create(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {
                "name": SECRET,
                "namespace": namespace,
                "labels": {names.LABEL_MANAGED_BY: names.FIELD_MANAGER},
            },
            "data": {"key": base64.b64encode(fresh).decode()},
        }
    )
    found = await cluster.get("Secret", namespace, SECRET)
    text = (found or {}).get("data", {}).get("key", "")
    key = base64.b64decode(text)
    keep(text)
    keep(key)
    if len(key) < len(fresh):
        raise ClusterError(f"the Secret {namespace}/{SECRET} holds no key; delete it and the operator makes another")
    return key
