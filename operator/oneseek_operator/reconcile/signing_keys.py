"""[I/O] New signing keys of a model. The private halves are never read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

__all__ = ["Keys"]


@dataclass(frozen=True, slots=True)
class Keys:
    """PEM texts: EC P-256 for signatures of versions, Ed25519 for ledger proofs that old readers check."""

    signing_private: str
    signing_public: str
    ledger_private: str

    @classmethod
    def generate(cls) -> Self:
        """A new pair of each."""
        signing = ec.generate_private_key(ec.SECP256R1())
        public = signing.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return cls(_private_pem(signing), public.decode(), _private_pem(ed25519.Ed25519PrivateKey.generate()))


def _private_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
