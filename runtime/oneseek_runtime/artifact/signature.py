"""[I/O] model.sig: the folder's signature in the form of OpenSSF model signing, made and checked by its library.

The library is given known digests, so it reads no file again, and private temporary files, because it takes paths. Beyond its checks,
the signed name must be the DNA, every file must be listed, and each name once.
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from model_signing import hashing, manifest, signing, verifying
from model_signing._hashing.hashing import Digest
from pydantic import ValidationError

from oneseek_core.digest import PREFIX
from oneseek_core.errors import ArtifactError
from oneseek_runtime.artifact.layout import SIGNATURE
from oneseek_runtime.artifact.provenance import PAYLOAD_TYPE, STATEMENT_TYPE, key_id
from oneseek_runtime.artifact.strict_json import strict_object

__all__ = ["Signed", "SigningKeys", "UntrustedSignatureError", "check_signature", "public_pem", "sign"]

PREDICATE_TYPE = "https://model_signing/signature/v1.0"
_SERIALIZATION = {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": [SIGNATURE]}


class UntrustedSignatureError(ArtifactError):
    """The signature is by a key that is not trusted."""


@dataclass(frozen=True, slots=True)
class Signed:
    """The signed content: folder name, and relative path -> `sha256:...` of every file except the signature."""

    name: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Both keys, and the first one's file, because the model-signing library takes a path."""

    signing_file: Path
    signing: EllipticCurvePrivateKey
    ledger: Ed25519PrivateKey


class _Known(hashing.Config):
    """Replaces the library's hashing of a folder by known digests."""

    def __init__(self, signed: Signed) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library's
        kind = manifest.SerializationType.from_args(_SERIALIZATION)
        items = [
            manifest.FileManifestItem(
                path=PurePosixPath(path), digest=Digest("sha256", bytes.fromhex(digest.removeprefix(PREFIX)))
            )
            for path, digest in signed.files.items()
        ]
        self._known = manifest.Manifest(signed.name, items, kind)

    def hash(self, model_path: object, *, files_to_hash: object = None) -> manifest.Manifest:
        del model_path, files_to_hash
        return self._known


def sign(signed: Signed, private_key: Path) -> bytes:
    """The bytes of model.sig, a sigstore bundle; different each time, because the nonce is random."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / SIGNATURE
        config = signing.Config().use_elliptic_key_signer(private_key=private_key)  # type: ignore[no-untyped-call]
        config.set_hashing_config(_Known(signed)).sign(signed.name, path)
        return path.read_bytes()


def public_pem(key: EllipticCurvePrivateKey) -> bytes:
    """The public key in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def check_signature(bundle: bytes, signed: Signed, trusted: Iterable[bytes]) -> str:
    """Checks that the bundle is a signature over exactly `signed` by a trusted key (PEM); returns the key's id.

    Raises UntrustedSignatureError, or ArtifactError if it is damaged, forged or over something else.
    """
    hint, statement = _parts(bundle)
    for pem in trusted:
        key = load_pem_public_key(pem)
        if isinstance(key, EllipticCurvePublicKey) and key_id(key) == hint:
            _check_by_library(bundle, signed, pem)
            _check_statement(statement, signed)
            return hint
    raise UntrustedSignatureError(f"{SIGNATURE} was made with the key {hint[:16]}…, which is not trusted")


def _parts(bundle: bytes) -> tuple[str, Mapping[str, Any]]:
    """The key's id and the signed statement, not verified yet."""
    try:
        value = strict_object(bundle, SIGNATURE)
        hint = value["verificationMaterial"]["publicKey"]["hint"]
        envelope = value["dsseEnvelope"]
        if not isinstance(hint, str) or envelope["payloadType"] != PAYLOAD_TYPE or len(envelope["signatures"]) != 1:
            raise ArtifactError(f"{SIGNATURE} is not in the form of model signing")
        payload = base64.b64decode(envelope["payload"], validate=True)
        return hint, strict_object(payload, f"the statement in {SIGNATURE}")
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{SIGNATURE} is not in the form of model signing") from error


def _check_by_library(bundle: bytes, signed: Signed, pem: bytes) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        signature, public = Path(scratch) / SIGNATURE, Path(scratch) / "key.pub"
        signature.write_bytes(bundle)
        public.write_bytes(pem)
        config = verifying.Config().use_elliptic_key_verifier(public_key=public)  # type: ignore[no-untyped-call]
        try:
            config.set_hashing_config(_Known(signed)).verify(signed.name, signature)
        except InvalidSignature as error:
            raise ArtifactError(f"{SIGNATURE} is forged: the key did not sign this") from error
        except (ValidationError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            raise ArtifactError(f"{SIGNATURE} does not fit the folder's files") from error


def _check_statement(statement: Mapping[str, Any], signed: Signed) -> None:
    """Checks that the signed statement lists exactly the files, under the right name."""
    try:
        kind, subjects, predicate = statement["predicateType"], statement["subject"], statement["predicate"]
        rows = [(row["name"], row["algorithm"], row["digest"]) for row in predicate["resources"]]
        method = predicate["serialization"]["method"]
        subject = [item["name"] for item in subjects]
    except (KeyError, TypeError) as error:
        raise ArtifactError(f"the statement in {SIGNATURE} lacks a part") from error
    wanted = sorted((path, "sha256", digest.removeprefix(PREFIX)) for path, digest in signed.files.items())
    if (kind, statement.get("_type"), method) != (PREDICATE_TYPE, STATEMENT_TYPE, "files") or sorted(rows) != wanted:
        raise ArtifactError(f"the statement in {SIGNATURE} is not over exactly the folder's files")
    if subject != [signed.name]:
        raise ArtifactError(f"{SIGNATURE} is the signature of {', '.join(map(str, subject))[:300]}")
