"""Whether the ledger goes on from what the operator witnessed. Pure: two heads, and what the records service gave as proof.

The witness (`status.ledger`) is the ledger as it was when the operator last entered something. A copy from before that,
or of another history, shows by its height, its head or the proof that it lacks (RFC 6962). Nothing is entered into such a
ledger, and it replaces no witness, until a person acknowledges it.
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
    """What shows that a higher ledger goes on from the witness: `path`, from root to root; or the witnessed block itself.

    A witness that was written by the release before has no root. Its block, which holds the hashes of all before it, is
    less: nothing but the service's word says that the newest block follows from it.
    """

    path: tuple[bytes, ...] | None = None
    block: bytes | None = None


def difference(witness: LedgerHead, found: LedgerHead, proof: Proof) -> str:
    """How the ledger that was found contradicts the witness; empty where it is the same one, or goes on from it."""
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
    """What is wrong with the ledger, and what to do about it."""
    meta = model.metadata
    return (
        f"the ledger of {meta.name} was witnessed at height {witness.height} with head {witness.head}, but the records"
        f" service now holds one of height {found.height} with head {found.head}: {how}; restore the newer copy of the"
        f" records, or go on with this one: kubectl annotate oneseekmodel {meta.name} -n {meta.namespace}"
        f" {names.request_annotation(names.ACKNOWLEDGE_VERB)}={found.head}"
    )
