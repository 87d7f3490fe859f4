"""[I/O] The certify Job's two private keys: EC P-256 for the model's signature, Ed25519 for the old readers' proof."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from oneseek_core import names
from oneseek_core.errors import JobError
from oneseek_core.names import ExitCode
from oneseek_core.secret import keep
from oneseek_runtime.artifact.layout import LEDGER_KEY, SIGNING_KEY
from oneseek_runtime.artifact.signature import SigningKeys

__all__ = ["load_keys"]


def load_keys(folder: str | None) -> SigningKeys | None:
    """The keys in a mounted folder; None where no folder was named: the version is then certified without signature.

    Raises:
        JobError: SigningKeyInvalid; a key is missing, damaged or of another kind. Never certified unsigned instead.
    """
    if folder is None:
        return None
    file = Path(folder) / SIGNING_KEY
    signing, ledger = _load(file), _load(Path(folder) / LEDGER_KEY)
    if not isinstance(signing, EllipticCurvePrivateKey) or not isinstance(signing.curve, SECP256R1):
        raise _refused(SIGNING_KEY, "is no EC P-256 key")
    if not isinstance(ledger, Ed25519PrivateKey):
        raise _refused(LEDGER_KEY, "is no Ed25519 key")
    return SigningKeys(file, signing, ledger)


def _load(path: Path) -> object:
    try:
        data = path.read_bytes()
        keep(data)
        return load_pem_private_key(data, password=None)
    except OSError as error:
        raise _refused(path.name, f"cannot be read ({error.strerror})") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # no PEM; a pass phrase; a kind nobody knows
        raise _refused(path.name, "is no private key in PEM form without pass phrase") from error


def _refused(name: str, sentence: str) -> JobError:
    return JobError(
        names.SIGNING_KEY_INVALID,
        f"{name} in the signing Secret {sentence}; nothing is certified without it",
        ExitCode.BAD_REQUEST,
    )
