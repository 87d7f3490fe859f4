from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest

from oneseek_core import secret
from oneseek_core.jobs.messages import failure_message

PEM = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqG\nSM49AwEHBG0wawIBAQQgk2l7Yw+x\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "value",
    [pytest.param(b"hf_token", id="bare"), pytest.param(b" hf_token\r\n", id="as-echo-writes-it")],
)
def test_a_token_is_taken_without_what_stands_around_it(value: bytes) -> None:
    assert secret.word(value, "the token") == "hf_token"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\n", id="a-line-end-alone"),
        pytest.param(b"hf_first\nhf_second", id="two-lines"),
        pytest.param(b"hf_first hf_second", id="two-words"),
        pytest.param(b"hf_t\xc3\xa5ken", id="not-ascii"),
        pytest.param(b"hf_\x00token", id="a-control-character"),
        pytest.param(b"x" * 8193, id="long"),
        pytest.param(PEM.encode(), id="a-private-key"),
    ],
)
def test_anything_else_is_refused_and_not_quoted(tmp_path: Path, value: bytes) -> None:
    (tmp_path / "token").write_bytes(value)
    with pytest.raises(secret.SecretError) as raised:
        secret.read_word(tmp_path / "token", "the hub's token")
    assert str(raised.value) == (
        "the hub's token is not one word of printable ASCII: store the token, and nothing else, there"
    )
    assert raised.value.__cause__ is None


def test_a_file_that_is_missing_is_named_by_its_purpose(tmp_path: Path) -> None:
    with pytest.raises(secret.SecretError, match=r"^the key cannot be read \(No such file or directory\)$"):
        secret.read_word(tmp_path / "none", "the key")


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(str, id="as-it-is"),
        pytest.param(lambda text: repr(text.encode()), id="as-python-writes-bytes"),
        pytest.param(repr, id="as-python-writes-it"),
        pytest.param(json.dumps, id="as-json-writes-it"),
        pytest.param(lambda text: quote(text, safe=""), id="in-an-address"),
        pytest.param(lambda text: " ".join(text.split()), id="in-one-line"),
        pytest.param(lambda text: text.splitlines()[1], id="one-line-of-it"),
    ],
)
def test_what_was_read_is_in_no_message(written: object) -> None:
    secret.keep(PEM)
    text = f"Illegal header value {written(PEM)} (of Authorization)"  # type: ignore[operator]
    for message in (secret.redacted(text), failure_message("JobFailed", text)):
        assert "MIGHAgEAMBMG" not in message
        assert "SM49AwEHBG0w" not in message
        assert "Illegal header value" in message


def test_a_message_is_redacted_before_it_is_cut() -> None:
    secret.keep("hf_" + "k" * 40)
    message = failure_message("JobFailed", "x" * 1880 + "hf_" + "k" * 40)
    assert "hf_k" not in message


def test_a_value_taken_from_the_environment_is_there_for_nobody_else() -> None:
    environment = {"HF_TOKEN": "hf_withdrawn", "PATH": "/bin"}
    assert secret.withdraw(environment, "HF_TOKEN") == {"HF_TOKEN": "hf_withdrawn", "PATH": "/bin"}
    assert environment == {"PATH": "/bin"}
    assert secret.redacted("token hf_withdrawn refused") == "token [secret] refused"


def test_only_so_many_values_are_remembered() -> None:
    for number in range(100):
        secret.keep(f"renewed-token-{number:03}")
    assert secret.redacted("renewed-token-099") == secret.MARK
    assert secret.redacted("renewed-token-000") == "renewed-token-000"


def test_a_token_that_is_renewed_pushes_out_no_other() -> None:
    secret.word("a-token-that-is-read-once", "the token of this pod's role")
    for hour in range(200):
        secret.word(f"a-token-of-the-hour-{hour}", "the token of the pod's service account")
    told = secret.redacted("a-token-that-is-read-once, a-token-of-the-hour-199")
    assert told == f"{secret.MARK}, {secret.MARK}"
