"""Who asked for something, as the annotation `oneseek.io/requested-by` says it and as the ledger believes it.

With the admission policy the API server has made sure of the value: it is the writer's own user name, or, written by a
model's sidecar, `<person> via <sidecar's account>`: the person is whose token the sidecar had reviewed, and the value
itself says who vouches for that. Nobody but that sidecar can write a value that ends so.
"""

from __future__ import annotations

from oneseek_core import names
from oneseek_core.ledger_entries import Actor

__all__ = ["LEGACY_CLIENT", "actor_of", "via_sidecar"]

LEGACY_CLIENT = "legacy-client (unverified)"  # the person of a request over HTTP while auth.mode is Legacy
_LIMIT = 512  # characters of an annotation's value that are kept


def via_sidecar(person: str, model: str) -> str:
    """The annotation's value where a model's sidecar asks for somebody."""
    tail = f" via {names.sidecar_account(model)}"
    return person[: _LIMIT - len(tail)] + tail


def actor_of(requested_by: str, *, field_manager: str, admission_policy: bool) -> Actor:
    """The ledger's actor: the name the policy made true, else what is known, marked unverified."""
    name = requested_by[:_LIMIT] or field_manager or "unknown"
    vouched = bool(requested_by) and not requested_by.startswith(LEGACY_CLIENT)
    return Actor(name=name, verified=admission_policy and vouched)
