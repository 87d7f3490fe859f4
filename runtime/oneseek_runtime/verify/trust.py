"""[I/O] The public keys that signatures must fit. Several of a kind may be trusted, for rotation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from oneseek_core import names
from oneseek_runtime.verify.refusal import RefusedError

__all__ = ["TrustedKeys", "trusted_keys"]

_LARGEST = 64 * 1024  # bytes of a key file


@dataclass(frozen=True, slots=True)
class TrustedKeys:
    """EC P-256 keys as PEM (model.sig, provenance) and Ed25519 keys as 32 bytes (ledger_proof.json)."""

    signing: tuple[bytes, ...] = ()
    ledger: tuple[bytes, ...] = ()


def trusted_keys(folder: str | None) -> TrustedKeys:
    """The keys in a folder's *.pub and *.pem; none where no folder is named.

    Links are followed: the kubelet mounts Secrets and ConfigMaps through them.

    Raises:
        RefusedError: TrustedKeysInvalid; a file that is no public key we use (a private one has no place here).
    """
    if folder is None:
        return TrustedKeys()
    signing, ledger = [], []
    try:
        paths = sorted(path for path in Path(folder).iterdir() if path.suffix in (".pub", ".pem"))
    except OSError as error:
        raise _refused(folder, f"cannot be listed: {error.strerror}") from error
    for path in paths:
        data, key = _load(path)
        if isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP256R1):
            signing.append(data)
        elif isinstance(key, Ed25519PublicKey):
            ledger.append(key.public_bytes_raw())
        else:
            raise _refused(path.name, "is neither EC P-256 nor Ed25519")
    return TrustedKeys(tuple(signing), tuple(ledger))


def _load(path: Path) -> tuple[bytes, object]:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST)
        return data, load_pem_public_key(data)
    except OSError as error:
        raise _refused(path.name, f"cannot be read: {error.strerror}") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(path.name, "is no public key in PEM form") from error


def _refused(what: str, sentence: str) -> RefusedError:
    return RefusedError(names.TRUSTED_KEYS_INVALID, f"trusted keys: {what} {sentence}")
