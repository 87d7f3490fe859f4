"""Checkpoints: what a ledger was at one size, as a note in C2SP's text forms (tlog-checkpoint, signed-note).

A copy of one, kept where the ledger's owner cannot reach it, shows a cut tail or a rewritten history. Beside the tree
size and root it carries the last block's hash on an extension line (`head <hash>`), which authenticates the old chain
backwards too. Only texts are made and read here: the signature itself needs a library that core does not have.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from oneseek_core.errors import OneSeekError

__all__ = ["Checkpoint", "CheckpointError", "Signature", "VerifierKey", "parse_note", "signed_note"]

_ED25519 = 1  # the signature type's number in a key's identity
_HEAD = "head "
_NAME = re.compile(r"[^\s+]{1,512}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_HASH = re.compile(r"[0-9a-f]{64}")
_SIGNATURE_PREFIX = "— "  # an em dash, as the format wants it


class CheckpointError(OneSeekError, ValueError):
    """A text is no checkpoint, or no key."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The ledger `origin` when it had `size` blocks. Law: `Checkpoint.parse(checkpoint.text()) == checkpoint`."""

    origin: str
    size: int
    root: bytes
    head: str | None = None
    """The last block's hash; None in a checkpoint that somebody else's log made."""

    def text(self) -> str:
        """The bytes that are signed, as text."""
        head = f"{_HEAD}{self.head}\n" if self.head else ""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n{head}"

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Read the text; extension lines other than ours are passed over.

        Raises:
            CheckpointError: it is no checkpoint.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise CheckpointError("a checkpoint has an origin, a size and a root, each on a line")
        origin, size, root, *extensions = lines
        if not _SIZE.fullmatch(size):
            raise CheckpointError(f"{size!r} is no size of a tree")
        heads = [line.removeprefix(_HEAD) for line in extensions if line.startswith(_HEAD)]
        if len(heads) > 1 or (heads and not _HASH.fullmatch(heads[0])):
            raise CheckpointError("the checkpoint's head is no hash")
        return cls(origin, int(size), _base64(root, 32), heads[0] if heads else None)


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """An Ed25519 public key (32 bytes) under a name. Law: `VerifierKey.parse(str(key)) == key`."""

    name: str
    public: bytes

    @property
    def identity(self) -> bytes:
        """Four bytes that tell which of several keys made a signature."""
        return hashlib.sha256(f"{self.name}\n".encode() + bytes([_ED25519]) + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.identity.hex()}+{base64.b64encode(bytes([_ED25519]) + self.public).decode()}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read `<name>+<identity>+<base64>`.

        Raises:
            CheckpointError: it is no key, no Ed25519 key, or its identity is another's.
        """
        name, _, rest = text.partition("+")
        identity, _, encoded = rest.partition("+")
        try:
            raw = _base64(encoded, 33)
        except CheckpointError as error:
            raise CheckpointError(f"{text!r} is not an Ed25519 verifier key") from error
        key = cls(name, raw[1:])
        if not _NAME.fullmatch(name) or raw[0] != _ED25519 or key.identity.hex() != identity:
            raise CheckpointError(f"{text!r} is not an Ed25519 verifier key")
        return key


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who says to have signed (name and key identity), and the signature's bytes."""

    name: str
    identity: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{_SIGNATURE_PREFIX}{self.name} {base64.b64encode(self.identity + self.signature).decode()}"


def signed_note(text: str, *signatures: Signature) -> str:
    """A checkpoint's text with its signatures below; without any it is the text and an empty line."""
    return text + "\n" + "".join(f"{signature}\n" for signature in signatures)


def parse_note(note: str) -> tuple[Checkpoint, str, list[Signature]]:
    """(checkpoint, the text that the signatures are over, the signatures; not verified).

    Raises:
        CheckpointError: it is no note.
    """
    text, separator, tail = note.rpartition("\n\n")
    if not separator or (tail and not tail.endswith("\n")):
        raise CheckpointError("a note is a text, an empty line and signature lines")
    text += "\n"
    signatures = []
    for line in tail.splitlines():
        name, _, encoded = line.removeprefix(_SIGNATURE_PREFIX).partition(" ")
        raw = _base64(encoded)
        if not line.startswith(_SIGNATURE_PREFIX) or not _NAME.fullmatch(name) or len(raw) < 5:
            raise CheckpointError("a signature line has another form than '— name base64'")
        signatures.append(Signature(name, raw[:4], raw[4:]))
    return Checkpoint.parse(text), text, signatures


def _base64(text: str, length: int | None = None) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CheckpointError(f"{text!r} is no base64") from error
    if base64.b64encode(raw).decode() != text or (length is not None and len(raw) != length):
        raise CheckpointError(f"{text!r} is not the base64 of {length} bytes")
    return raw
