"""provenance.intoto.json: a signed in-toto statement with SLSA's provenance predicate in a DSSE envelope. Pure.

The signature is deterministic ECDSA (RFC 6979): equal content and key give equal bytes, so the manifest can list the file.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from oneseek_core.digest import PREFIX, canonical_json
from oneseek_core.dna import Dna
from oneseek_core.jobs.certify import CertifyRequest
from oneseek_core.jobs.evaluate import ScoresFile
from oneseek_core.jobs.train import TrainReport

__all__ = ["PAYLOAD_TYPE", "PREDICATE_TYPE", "STATEMENT_TYPE", "envelope", "key_id", "pae", "statement"]

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://slsa.dev/provenance/v1"
BUILD_TYPE = "https://oneseek.io/training-run/v1"


def statement(
    request: CertifyRequest,
    report: TrainReport,
    dna: Dna,
    table: Mapping[str, tuple[str, int]],
    scores: tuple[ScoresFile, str] | None,
) -> dict[str, Any]:
    """The in-toto statement about the files in `table` (path -> digest, size)."""
    return {
        "_type": STATEMENT_TYPE,
        "subject": [
            {"name": f"{dna}/{path}", "digest": _digest(digest)} for path, (digest, _) in sorted(table.items())
        ],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": _parameters(request),
                "internalParameters": {"specDigest": request.spec_digest, "precision": report.precision},
                "resolvedDependencies": _dependencies(request),
            },
            "runDetails": {
                "builder": {"id": "https://oneseek.io/certify", "version": _images(request)},
                "metadata": {
                    "invocationId": request.run.uid,
                    "startedOn": report.started_at,
                    "finishedOn": request.created_at,
                },
                "byproducts": _byproducts(scores),
            },
        },
    }


def envelope(value: Mapping[str, Any], key: EllipticCurvePrivateKey) -> bytes:
    """The DSSE envelope: the statement's canonical JSON and a signature over it and its type."""
    payload = canonical_json(value)
    signature = key.sign(pae(payload), ECDSA(SHA256(), deterministic_signing=True))
    return (
        canonical_json(
            {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"keyid": key_id(key.public_key()), "sig": base64.b64encode(signature).decode()}],
            }
        )
        + b"\n"
    )


def pae(payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: the signed bytes."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def key_id(key: EllipticCurvePublicKey) -> str:
    """Hex SHA-256 of the key's PEM, as model-signing names keys."""
    return hashlib.sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _parameters(request: CertifyRequest) -> dict[str, Any]:
    return {
        "namespace": request.run.namespace,
        "run": request.run.name,
        "runUid": request.run.uid,
        "model": request.model.name,
        "type": request.type,
        "parent": request.parent,
        "language": request.language,
        "epochs": request.epochs,
        "batchSize": request.batch_size,
        "learningRate": request.learning_rate,
        "maximumLength": request.maximum_length,
        "seed": request.seed,
        "lora": request.lora.to_wire(),
        "autoStop": request.auto_stop.to_wire() if request.auto_stop else None,
    }


def _dependencies(request: CertifyRequest) -> list[dict[str, Any]]:
    rows = [
        {"name": f"base/{request.base_name}", "digest": _digest(request.base_digest)},
        {"name": "data/train.jsonl", "digest": _digest(request.data_digest)},
    ]
    rows.extend({"name": f"dataset/{item.name}", "digest": _digest(item.digest)} for item in request.datasets)
    for role, image in sorted(request.images.items()):
        name, _, digest = image.partition("@")
        rows.append({"name": f"image/{role}", "uri": name, **({"digest": _digest(digest)} if digest else {})})
    return rows


def _images(request: CertifyRequest) -> dict[str, str]:
    return dict(sorted(request.images.items()))


def _byproducts(scores: tuple[ScoresFile, str] | None) -> list[dict[str, Any]]:
    """The evaluation's file by digest (it is not kept whole), with its scores."""
    if scores is None:
        return []
    file, digest = scores
    return [{"name": "scores.json", "digest": _digest(digest), "annotations": file.to_wire() | {"answers": []}}]


def _digest(digest: str) -> dict[str, str]:
    return {"sha256": digest.removeprefix(PREFIX)}
