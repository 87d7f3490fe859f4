"""[I/O] The operator's own authority: kept in a Secret of its namespace, beside its key, and replaced before it ends."""

from __future__ import annotations

import base64
import json
import logging
import ssl
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from oneseek_core import names
from oneseek_operator.certificates import Issued, bundle, signer, with_successor
from oneseek_operator.errors import ClusterError, ConflictError
from oneseek_operator.reconcile.ports import AuthorityView, ClusterPort

__all__ = ["SECRET", "Authority"]

SECRET = "oneseek-operator-authority"  # noqa: S105 - a name, not a secret
_DATA = "authorities.json"

log = logging.getLogger(__name__)


class Authority:
    """Those that are trusted, oldest first, as the Secret had them last."""

    def __init__(self, cluster: ClusterPort, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._held: tuple[Issued, ...] = ()
        self._context = _context()

    async def view(self, now: datetime) -> AuthorityView:
        """Whom a model's parts trust, and who signs; first made, or followed by another one, where that is due.

        Raises:
            ClusterError: the Secret cannot be read or written.
        """
        if with_successor(self._held, now) != self._held:
            await self._keep(now)
        return AuthorityView(bundle(self._held), tuple(one.fingerprint for one in self._held))

    def issue(self, host: str, now: datetime) -> tuple[str, Issued]:
        """A certificate for a name, and the fingerprint of who signed it. After `view`."""
        signing = signer(self._held, now)
        return signing.fingerprint, signing.leaf(host, now)

    def trust(self) -> ssl.SSLContext:
        """For connections of the operator's own."""
        return self._context

    async def _keep(self, now: datetime) -> None:
        """Read what is there, and write what is missing; another operator may be about the same."""
        there = await self._cluster.get("Secret", self._namespace, SECRET)
        held = _parsed(there)
        wanted = with_successor(held, now)
        if wanted != held:
            try:
                if there is None:
                    await self._cluster.create(self._manifest(wanted))
                else:
                    version = {"resourceVersion": there["metadata"]["resourceVersion"]}
                    await self._cluster.replace(self._manifest(wanted, **version))
            except ConflictError:
                log.info("another operator writes the Secret %s/%s too", self._namespace, SECRET)
            wanted = _parsed(await self._cluster.get("Secret", self._namespace, SECRET))
            log.info("the operator's authorities: %s", ", ".join(one.fingerprint for one in wanted))
        if not wanted:
            raise ClusterError(f"the Secret {self._namespace}/{SECRET} cannot be read back")
        self._held, self._context = wanted, _context(wanted)

    def _manifest(self, held: Sequence[Issued], **meta: str) -> dict[str, Any]:
        data = json.dumps([{"certificate": one.certificate, "key": one.key} for one in held])
        labels = {names.LABEL_MANAGED_BY: names.FIELD_MANAGER}
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": {"name": SECRET, "namespace": self._namespace, "labels": labels, **meta},
            "data": {_DATA: base64.b64encode(data.encode()).decode()},
        }


def _context(held: Sequence[Issued] = ()) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks names and certificates; trusts nobody but these
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if held:
        context.load_verify_locations(cadata=bundle(held))
    return context


def _parsed(secret: dict[str, Any] | None) -> tuple[Issued, ...]:
    """What a Secret holds; one that a hand has spoilt holds nothing, and is written anew."""
    data = (secret or {}).get("data", {}).get(_DATA, "")
    try:
        found = [Issued(item["certificate"], item["key"]) for item in json.loads(base64.b64decode(data) or b"[]")]
        return tuple(sorted(found, key=lambda one: one.since))
    except (ValueError, KeyError, TypeError):
        return ()
