from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from oneseek_core.checkpoint import Checkpoint, CheckpointError, Signature, VerifierKey, parse_note, signed_note

ROOT = bytes(range(32))
CHECKPOINT = Checkpoint("oneseek.io/team/demo", 3, ROOT, "a" * 64)
TEXT = f"oneseek.io/team/demo\n3\n{base64.b64encode(ROOT).decode()}\nhead {'a' * 64}\n"

# The example of the signed-note format's reference implementation.
KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
NOTE_SIGNATURE = (
    "PeterNeumann",
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=",
)


def test_the_text_has_the_formats_lines() -> None:
    assert CHECKPOINT.text() == TEXT


@given(size=st.integers(0, 10**17), root=st.binary(min_size=32, max_size=32), head=st.none() | st.just("0" * 64))
def test_a_checkpoint_reads_back(size: int, root: bytes, head: str | None) -> None:
    checkpoint = Checkpoint("example.org/log", size, root, head)
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


def test_a_note_reads_back_with_its_signatures() -> None:
    signatures = [Signature("a", b"1234", b"signature"), Signature("b", b"5678", b"other")]
    assert parse_note(signed_note(TEXT, *signatures)) == (CHECKPOINT, TEXT, signatures)
    assert parse_note(signed_note(TEXT)) == (CHECKPOINT, TEXT, [])


def test_other_logs_extension_lines_are_passed_over() -> None:
    assert Checkpoint.parse(TEXT + "extra thing\n") == CHECKPOINT


def test_keys_and_signatures_are_those_of_the_reference_implementation() -> None:
    key = VerifierKey.parse(KEY)
    assert (str(key), key.identity.hex()) == (KEY, "c74f20a3")
    raw = base64.b64decode(NOTE_SIGNATURE[1])
    assert raw[:4] == key.identity
    Ed25519PublicKey.from_public_bytes(key.public).verify(raw[4:], NOTE_TEXT.encode())
    assert str(Signature("PeterNeumann", raw[:4], raw[4:])) == f"— {NOTE_SIGNATURE[0]} {NOTE_SIGNATURE[1]}"


@pytest.mark.parametrize(
    "note",
    [
        pytest.param("", id="empty"),
        pytest.param(TEXT, id="no empty line"),
        pytest.param(TEXT.replace("3", "03") + "\n", id="leading zero"),
        pytest.param(TEXT.replace("3", "-3") + "\n", id="negative"),
        pytest.param(TEXT.replace("head a", "head b" * 2) + "\n", id="bad head"),
        pytest.param(TEXT + f"head {'b' * 64}\n\n", id="two heads"),
        pytest.param("o\n3\nAAAA\n\n", id="short root"),
        pytest.param("o\n3\nAA!A\n\n", id="no base64"),
        pytest.param("o\n3\n\n", id="no root"),
        pytest.param(TEXT + "\nname AAAAAAAA\n", id="no dash"),
        pytest.param(TEXT + "\n— name AAAA\n", id="signature too short"),
        pytest.param(TEXT + "\n— name AAAAAAAA", id="no last newline"),
    ],
)
def test_anything_else_is_no_note(note: str) -> None:
    with pytest.raises(CheckpointError):
        parse_note(note)


@pytest.mark.parametrize("text", ["", "x", "a+00000000+AAAA", KEY.replace("c74f", "c74e"), KEY.replace("ARpc", "Ahpc")])
def test_anything_else_is_no_key(text: str) -> None:
    with pytest.raises(CheckpointError):
        VerifierKey.parse(text)
