"""[I/O] Secrets that the operator creates for a model: signing keys, records key, access tokens and certificates."""

from __future__ import annotations

from datetime import datetime

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_operator.actions import MakeAccess
from oneseek_operator.conditions import timestamp
from oneseek_operator.observe.ownership import refuse_foreign, unknown_secret
from oneseek_operator.reconcile.ports import AuthorityPort, ClusterPort
from oneseek_operator.reconcile.signing_keys import Keys
from oneseek_operator.resources import keys as build_keys
from oneseek_operator.resources import pod_access as build_access
from oneseek_operator.resources import records as build_records

__all__ = ["make_access", "make_keys", "make_records_secret", "mark_records"]


async def make_access(action: MakeAccess, cluster: ClusterPort, authority: AuthorityPort, now: datetime) -> None:
    """Write tokens, certificates, then the ConfigMap; a crash before the ConfigMap writes all of them again."""
    model, leaves = action.model, dict(action.written.leaves)
    await cluster.create(action.tokens)
    for part in action.parts:
        signed_by, leaf = authority.issue(build_access.host(model, part), now)
        secret = build_access.leaf_secret(model, part, certificate=leaf.certificate, key=leaf.key)
        if not await cluster.create(secret):
            await cluster.replace(secret)
        leaves[part] = build_access.LeafNote(
            authority=signed_by, since=timestamp(leaf.since), until=timestamp(leaf.until)
        )
    written = action.written.model_copy(update={"leaves": leaves})
    await cluster.apply(build_access.config(model, written, bundle=action.bundle))


async def make_keys(model: OneSeekModel, cluster: ClusterPort, *, pending: bool) -> None:
    """Create the Secret and the public half, without reading either back.

    The public half is written first, marked as pending. If the Secret exists while it is pending, an earlier attempt ended in
    between, and the pending public half belongs to it. Otherwise the Secret is created now, and the public half is written again
    to match it.
    """
    keys = Keys.generate()
    private = build_keys.secret(model, signing_key=keys.signing_private, ledger_key=keys.ledger_private)
    if not pending:
        # A model that has signed may have lost its public half, which its status reports; a new one took a foreign name.
        if model.status.base_model is None and not await cluster.create(private, dry_run=True):
            how = f"restore the ConfigMap {build_keys.trusted_name(model)!r} with its public half"
            raise unknown_secret(build_keys.secret_name(model), how)
        await cluster.apply(build_keys.trusted(model, made=keys.signing_public, pending=True))
    made = await cluster.create(private)
    if made:
        await cluster.apply(build_keys.trusted(model, made=keys.signing_public, pending=False))
        return
    there = await cluster.get("ConfigMap", model.metadata.namespace, build_keys.trusted_name(model))
    public = (there or {}).get("data", {}).get("model.pub") if pending else None
    if public is None:
        # Never leave a public key that may not match: a pending half without a key makes the next reconcile report it.
        await cluster.apply(build_keys.trusted(model, made=None, pending=True))
        return
    await cluster.apply(build_keys.trusted(model, made=public, pending=False))


async def make_records_secret(model: OneSeekModel, cluster: ClusterPort, *, known: bool) -> None:
    """Create the Secret unless it exists; unless it is `known` as the model's, it must not exist.

    The mark is written before the Secret, once it is certain that none of its name exists: after a crash in between, the Secret
    must not count as a stranger's.
    """
    secret = build_records.secret(model, checkpoint_key=Keys.generate().ledger_private)
    if not known:
        if not await cluster.create(secret, dry_run=True):
            about = f"{build_keys.trusted_name(model)} {names.ANNOTATION_RECORDS}=made"
            raise unknown_secret(build_records.name(model), f"say so: kubectl annotate configmap {about}")
        await mark_records(model, cluster)
    await cluster.create(secret)


async def mark_records(model: OneSeekModel, cluster: ClusterPort) -> None:
    """Annotate the ConfigMap of the public keys, which outlives the model as the Secret does."""
    there = await cluster.get("ConfigMap", model.metadata.namespace, build_keys.trusted_name(model))
    if there is not None:
        refuse_foreign(there, build_keys.trusted(model, made=None, pending=False))
        await cluster.annotate(there, {names.ANNOTATION_RECORDS: "made"})
