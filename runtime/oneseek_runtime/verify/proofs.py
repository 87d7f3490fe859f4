"""The three signatures in a certified folder: model.sig, the provenance, the old readers' ledger proof."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from oneseek_core import names
from oneseek_core.artifact import ArtifactMetadata
from oneseek_core.digest import PREFIX
from oneseek_core.errors import ArtifactError
from oneseek_runtime.artifact.layout import PROOF, PROVENANCE
from oneseek_runtime.artifact.ledger_proof import immutable_hash, signed_bytes
from oneseek_runtime.artifact.provenance import PAYLOAD_TYPE, PREDICATE_TYPE, STATEMENT_TYPE, key_id, pae
from oneseek_runtime.artifact.signature import Signed, UntrustedSignatureError, check_signature
from oneseek_runtime.artifact.strict_json import strict_object
from oneseek_runtime.verify.refusal import RefusedError, refusing
from oneseek_runtime.verify.trust import TrustedKeys

__all__ = ["check_model_signature", "check_proof", "check_provenance"]

FileTable = Mapping[str, tuple[str, int]]


def check_model_signature(bundle: bytes, signed: Signed, trusted: TrustedKeys) -> str:
    """model.sig must be a trusted key's, over exactly these files and this name; the result is the key's id.

    Raises:
        RefusedError: SignatureInvalid, SignatureUntrusted.
    """
    with refusing(names.SIGNATURE_INVALID):
        try:
            return check_signature(bundle, signed, trusted.signing)
        except UntrustedSignatureError as error:
            raise RefusedError(names.SIGNATURE_UNTRUSTED, str(error)) from error


def check_proof(data: bytes, dna: str, table: FileTable, trusted: TrustedKeys, *, signed: bool) -> None:
    """ledger_proof.json must prove this version, with a hash and a signature that fit.

    Raises:
        RefusedError: LedgerProofInvalid.
    """
    with refusing(names.LEDGER_PROOF_INVALID):
        try:
            _check_proof(strict_object(data, PROOF), dna, table, trusted, signed=signed)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"{PROOF} lacks a part or has a damaged one") from error
        except InvalidSignature as error:
            raise ArtifactError(f"{PROOF} has a signature that its key did not make") from error


def _check_proof(proof: Mapping[str, Any], dna: str, table: FileTable, trusted: TrustedKeys, *, signed: bool) -> None:
    if proof["dna"] != dna:
        raise ArtifactError(f"{PROOF} is that of {proof['dna']}")
    for path, digest in proof["weights"].items():
        if table[path][0] != digest:
            raise ArtifactError(f"{PROOF} proves other bytes of {path}")
    if proof["immutable_hash"] != immutable_hash(proof):
        raise ArtifactError(f"{PROOF} does not hash to its immutable_hash")
    if proof["signature"] is None:
        if signed:
            raise ArtifactError(f"{PROOF} is not signed")
        return
    key = bytes.fromhex(proof["signer_public_key"])
    if trusted.ledger and key not in trusted.ledger:
        raise ArtifactError(f"{PROOF} was signed with a key that is not trusted")
    Ed25519PublicKey.from_public_bytes(key).verify(bytes.fromhex(proof["signature"]), signed_bytes(proof))


def check_provenance(data: bytes, dna: str, table: FileTable, metadata: ArtifactMetadata, trusted: TrustedKeys) -> None:
    """provenance.intoto.json must be a trusted key's statement about this folder's files and its base model.

    Raises:
        RefusedError: ProvenanceInvalid.
    """
    with refusing(names.PROVENANCE_INVALID):
        try:
            _check_statement(_statement(data, trusted), dna, table, metadata)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"{PROVENANCE} lacks a part or has a damaged one") from error
        except InvalidSignature as error:
            raise ArtifactError(f"{PROVENANCE} has a signature that its key did not make") from error


def _statement(data: bytes, trusted: TrustedKeys) -> Mapping[str, Any]:
    envelope = strict_object(data, PROVENANCE)
    (row,) = envelope["signatures"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise ArtifactError(f"{PROVENANCE} holds no in-toto statement")
    for pem in trusted.signing:
        key = load_pem_public_key(pem)
        if isinstance(key, EllipticCurvePublicKey) and key_id(key) == row["keyid"]:
            key.verify(base64.b64decode(row["sig"], validate=True), pae(payload), ECDSA(SHA256()))
            return strict_object(payload, f"the statement in {PROVENANCE}")
    raise ArtifactError(f"{PROVENANCE} was signed with a key that is not trusted")


def _check_statement(value: Mapping[str, Any], dna: str, table: FileTable, metadata: ArtifactMetadata) -> None:
    if (value["_type"], value["predicateType"]) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise ArtifactError(f"{PROVENANCE} is no provenance")
    subjects = {row["name"]: PREFIX + row["digest"]["sha256"] for row in value["subject"]}
    files = {f"{dna}/{path}": digest for path, (digest, _) in table.items() if path != PROVENANCE}
    if subjects != files:
        raise ArtifactError(f"{PROVENANCE} is not about exactly this version's files")
    told = metadata.provenance
    rows = value["predicate"]["buildDefinition"]["resolvedDependencies"]
    bases = [PREFIX + row["digest"]["sha256"] for row in rows if row["name"].startswith("base/")]
    if told is not None and bases != [told.base_model_digest]:
        raise ArtifactError(f"{PROVENANCE} names another base model than the metadata")
