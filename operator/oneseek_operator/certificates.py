"""Certificates of the operator's authority and of a model's parts: EC P-256, each for one name. Pure but for fresh keys.

An authority is replaced at two thirds of its life. For a day its successor is only trusted, so that every pod knows it, then
it signs; the older one stays trusted until it expires.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Issued", "bundle", "kept", "renewed_at", "signer", "with_successor"]

_SKEW = timedelta(hours=1)  # by which another machine's clock may be late
_AUTHORITY_LIFE = timedelta(days=5 * 365)
_LEAF_LIFE = timedelta(days=90)
_HEARD_OF = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its key, PEM."""

    certificate: str
    key: str

    @classmethod
    def authority(cls, now: datetime) -> Self:
        """A new authority, which signs certificates of model parts only."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"oneseek-operator {now:%Y-%m-%d}")])
        builder = (
            _begun(name, name, key, now, now + _AUTHORITY_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
        )
        return cls(_pem(builder.sign(key, hashes.SHA256())), _private(key))

    def leaf(self, host: str, now: datetime) -> Issued:
        """A server certificate for one host name, signed by this authority."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = self.parsed
        until = min(now + _LEAF_LIFE, own.not_valid_after_utc)
        builder = (
            _begun(x509.Name([]), own.subject, key, now, until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(_issuer_of(own), critical=False)
        )
        signing = serialization.load_pem_private_key(self.key.encode(), password=None)
        if not isinstance(signing, ec.EllipticCurvePrivateKey):
            raise TypeError("an authority's key is an EC key")
        return Issued(_pem(builder.sign(signing, hashes.SHA256())), _private(key))

    @property
    def parsed(self) -> x509.Certificate:
        """The certificate."""
        return x509.load_pem_x509_certificate(self.certificate.encode())

    @property
    def fingerprint(self) -> str:
        """The first 32 hex digits of the certificate's SHA-256."""
        return self.parsed.fingerprint(hashes.SHA256()).hex()[:32]

    @property
    def since(self) -> datetime:
        """When it was issued."""
        return self.parsed.not_valid_before_utc + _SKEW

    @property
    def until(self) -> datetime:
        """When it expires."""
        return self.parsed.not_valid_after_utc


def renewed_at(since: datetime, until: datetime) -> datetime:
    """When a certificate is replaced: at two thirds of its life."""
    return since + (until - since) * 2 / 3


def kept(authorities: Sequence[Issued], now: datetime) -> tuple[Issued, ...]:
    """The authorities that have not expired."""
    return tuple(one for one in authorities if one.until > now)


def with_successor(authorities: Sequence[Issued], now: datetime) -> tuple[Issued, ...]:
    """The authorities that have not expired, oldest first, with a new one if the newest is due for renewal."""
    there = kept(authorities, now)
    if there and now < renewed_at(there[-1].since, there[-1].until):
        return there
    return (*there, Issued.authority(now))


def signer(authorities: Sequence[Issued], now: datetime) -> Issued:
    """The newest authority that every pod trusts by now; the first if there is none."""
    known = [one for one in authorities if one.since + _HEARD_OF <= now]
    return known[-1] if known else authorities[0]


def bundle(authorities: Sequence[Issued]) -> str:
    """Their certificates, PEM."""
    return "".join(one.certificate for one in authorities)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_of(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    found = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
