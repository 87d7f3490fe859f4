"""oneseek_dna.json and a version's ledger_proof.json, in the old readers' form. Pure.

Ed25519 signatures are deterministic: equal content and key give equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from oneseek_core.digest import canonical_json, digest_bytes
from oneseek_core.dna import Dna
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_runtime.artifact.layout import TORCH_WEIGHTS, WEIGHTS

__all__ = ["dna_file", "immutable_hash", "ledger_proof", "signed_bytes"]

_UNSIGNED_FIELDS = ("signature", "signer_public_key")


def dna_file(request: CertifyRequest, dna: Dna) -> bytes:
    """oneseek_dna.json; the one base model has the whole weight."""
    value = {
        "dna": str(dna),
        "model": request.family,
        "version": f"{request.major}.{request.micro}",
        "final_weights": {request.base_name: 1.0},
        "dataset_categories": list(dna.tags),
        "timestamp": request.created_at,
    }
    return canonical_json(value) + b"\n"


def ledger_proof(
    request: CertifyRequest, dna: Dna, table: Mapping[str, tuple[str, int]], key: Ed25519PrivateKey | None
) -> bytes:
    """ledger_proof.json; without a key `signature` is null, which old readers call UNSIGNED.

    `dataset_hashes` is empty, because old readers resolve its paths in their working directory; the extra key `datasets` names the
    datasets by digest. `weights` puts every weight file at the root under the signature.
    """
    value: dict[str, Any] = {
        "event": "training",
        "model": request.family,
        "version": f"{request.major}.{request.micro}",
        "dna": str(dna),
        "dataset_hashes": [],
        "datasets": [dataset.to_wire() for dataset in request.datasets],
        "final_weights": {request.base_name: 1.0},
        "weights": {name: table[name][0] for name in (WEIGHTS, TORCH_WEIGHTS) if name in table},
        "training_config": {"epochs": request.epochs, "base_lr": request.learning_rate, "seed": request.seed},
        "timestamp": request.created_at,
    }
    value["immutable_hash"] = immutable_hash(value)
    value["signature"] = key.sign(signed_bytes(value)).hex() if key else None
    value["signer_public_key"] = key.public_key().public_bytes_raw().hex() if key else None
    return canonical_json(value) + b"\n"


def immutable_hash(proof: Mapping[str, Any]) -> str:
    """`sha256:...` of the proof's canonical JSON without this field, the signature and the signer's key."""
    return digest_bytes(canonical_json({k: v for k, v in _content(proof).items() if k != "immutable_hash"}))


def signed_bytes(proof: Mapping[str, Any]) -> bytes:
    """The signed bytes: all fields but the signature and the signer's key."""
    return canonical_json(_content(proof))


def _content(proof: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in proof.items() if key not in _UNSIGNED_FIELDS}
