"""Whether the ledger contains the witnessed head. Pure: two heads, and the proof of the records service.

The witness (`status.ledger`) is the head when the operator last appended something. An older copy, or another history, shows
by its height, its head, or a missing proof (RFC 6962). Nothing is appended to such a ledger until a person acknowledges it.
"""

from __future__ import annotations

from dataclasses import dataclass

from oneseek_core import names
from oneseek_core.api.v1alpha1.model import OneSeekModel
from oneseek_core.api.v1alpha1.model_status import LedgerHead
from oneseek_core.ledger import BlockError, parse_block
from oneseek_core.merkle import verify_consistency

__all__ = ["Proof", "difference", "sentence"]


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof that a higher ledger contains the witness: `path`, between the roots; or the witnessed block itself.

    A witness that the previous release wrote has no root. Its block proves less: only the service says that the newest block
    follows from it.
    """

    path: tuple[bytes, ...] | None = None
    block: bytes | None = None


def difference(witness: LedgerHead, found: LedgerHead, proof: Proof) -> str:
    """How the found ledger contradicts the witness; empty if it is the same, or contains it."""
    if found.height < witness.height:
        return "it ends before that"
    if found.height == witness.height:
        return "" if found.head == witness.head else "it has another last block"
    if witness.root is not None and found.root is not None and proof.path is not None:
        roots = (bytes.fromhex(witness.root), bytes.fromhex(found.root))
        proved = verify_consistency(witness.height, found.height, *roots, proof.path)
        return "" if proved else "it does not prove that it goes on from there"
    return "" if _is_block(proof.block, witness) else "it has another block there"


def _is_block(line: bytes | None, witness: LedgerHead) -> bool:
    try:
        block = parse_block(line or b"")
    except BlockError:
        return False
    return (block.number, block.hash) == (witness.height - 1, witness.head)


def sentence(model: OneSeekModel, witness: LedgerHead, found: LedgerHead, how: str) -> str:
    """What is wrong with the ledger, and what to do."""
    meta = model.metadata
    return (
        f"the ledger of {meta.name} was witnessed at height {witness.height} with head {witness.head}, but the records"
        f" service now holds one of height {found.height} with head {found.head}: {how}; restore the newer copy of the"
        f" records, or go on with this one: kubectl annotate oneseekmodel {meta.name} -n {meta.namespace}"
        f" {names.request_annotation(names.ACKNOWLEDGE_VERB)}={found.head}"
    )
