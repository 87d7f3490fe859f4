"""The emulator that the tests fetch for themselves has the bytes that its catalogue names, or is not there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from oneseek_dev import firestore
from oneseek_dev.errors import DevError

PROGRAM = b"a program in Java"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    (tmp_path / "emulator.jar").write_bytes(PROGRAM)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def offered(monkeypatch: pytest.MonkeyPatch, url: str, digest: str) -> None:
    monkeypatch.setattr(firestore, "_details", lambda: {"remoteUrl": url, "expectedChecksumSHA256": digest})
    monkeypatch.setattr(firestore, "install_packages", lambda _: None)


def test_the_bytes_that_the_catalogue_names_are_kept(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    offered(monkeypatch, f"{server}/emulator.jar", hashlib.sha256(PROGRAM).hexdigest())
    firestore.get()
    assert firestore.jar().read_bytes() == PROGRAM
    offered(monkeypatch, f"{server}/gone.jar", "")
    firestore.get()  # it is there: nothing is fetched


@pytest.mark.parametrize(
    ("path", "why"),
    [("emulator.jar", "has the SHA-256"), ("gone.jar", r"gone\.jar cannot be fetched \(HTTP Error 404")],
)
def test_anything_else_is_told_and_nothing_is_left(
    server: str, monkeypatch: pytest.MonkeyPatch, path: str, why: str
) -> None:
    offered(monkeypatch, f"{server}/{path}", "0" * 64)
    with pytest.raises(DevError, match=why):
        firestore.get()
    assert list(firestore.jar().parent.iterdir()) == []
