"""[I/O] The operator's certificate authorities: kept in a Secret of its namespace, and replaced before they expire."""

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
    """The trusted authorities, oldest first, as the Secret had them last."""

    def __init__(self, cluster: ClusterPort, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._held: tuple[Issued, ...] = ()
        self._context = _context()

    async def view(self, now: datetime) -> AuthorityView:
        """The certificates that a model's pods trust; creates the first authority, or a successor, if one is due.

        Raises:
            ClusterError: the Secret cannot be read or written.
        """
        if with_successor(self._held, now) != self._held:
            await self._keep(now)
        return AuthorityView(bundle(self._held), tuple(one.fingerprint for one in self._held))

    def issue(self, host: str, now: datetime) -> tuple[str, Issued]:
        """A certificate for a host name, and the fingerprint of its authority. Call `view` first."""
        signing = signer(self._held, now)
        return signing.fingerprint, signing.leaf(host, now)

    def trust(self) -> ssl.SSLContext:
        """The TLS context of the operator's own connections."""
        return self._context

    async def _keep(self, now: datetime) -> None:
        """Read the Secret, and write what is missing; another operator may do the same at this moment."""
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
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks names and certificates; trusts only `held`
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if held:
        context.load_verify_locations(cadata=bundle(held))
    return context


def _parsed(secret: dict[str, Any] | None) -> tuple[Issued, ...]:
    """The authorities in a Secret; none if it cannot be parsed, so that it is written again."""
    data = (secret or {}).get("data", {}).get(_DATA, "")
    try:
        found = [Issued(item["certificate"], item["key"]) for item in json.loads(base64.b64decode(data) or b"[]")]
        return tuple(sorted(found, key=lambda one: one.since))
    except (ValueError, KeyError, TypeError):
        return ()
