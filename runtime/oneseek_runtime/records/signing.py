"""[I/O] The key that signs checkpoints: Ed25519, from a file, in the forms that operators and old trainers make."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from oneseek_core.checkpoint import Checkpoint, Signature, VerifierKey, parse_note, signed_note
from oneseek_core.secret import keep
from oneseek_runtime.records.errors import SettingsError

__all__ = ["Signer", "is_signed_by"]

_SEED_BYTES = 32


class Signer:
    """Makes the notes of one ledger; without a key they are unsigned."""

    def __init__(self, origin: str, private: Ed25519PrivateKey | None = None) -> None:
        self.origin = origin
        self._private = private
        self.key = VerifierKey(origin, private.public_key().public_bytes_raw()) if private else None

    @classmethod
    def from_file(cls, origin: str, path: Path | None) -> Signer:
        """Read the key: PEM (PKCS 8), or the raw 32 bytes.

        Raises:
            SettingsError: the file cannot be read or holds no Ed25519 key.
        """
        if path is None:
            return cls(origin)
        try:
            data = path.read_bytes()
            keep(data)
            private = (
                Ed25519PrivateKey.from_private_bytes(data)
                if len(data) == _SEED_BYTES
                else load_pem_private_key(data, password=None)
            )
        except (OSError, ValueError, TypeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is neither PEM without pass phrase nor 32 bytes"
            raise SettingsError(f"the checkpoint key {path} cannot be read: {why}") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise SettingsError(f"the checkpoint key {path} is no Ed25519 key")
        return cls(origin, private)

    def note(self, size: int, root: bytes, head: str) -> str:
        """The checkpoint of the ledger at `size`, signed where there is a key."""
        text = Checkpoint(self.origin, size, root, head).text()
        if self._private is None or self.key is None:
            return signed_note(text)
        signature = self._private.sign(text.encode())
        return signed_note(text, Signature(self.key.name, self.key.identity, signature))


def is_signed_by(note: str, keys: Iterable[VerifierKey]) -> bool:
    """Whether one of the keys signed the note.

    Raises:
        CheckpointError: it is no note.
    """
    _, text, signatures = parse_note(note)
    for key in keys:
        for signature in signatures:
            if (signature.name, signature.identity) == (key.name, key.identity):
                try:
                    Ed25519PublicKey.from_public_bytes(key.public).verify(signature.signature, text.encode())
                except InvalidSignature:
                    continue
                return True
    return False
