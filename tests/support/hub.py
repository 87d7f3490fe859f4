"""A Hugging Face hub, small and on this machine: enough of its HTTP API for the real huggingface_hub client.

Folders are repositories: `<root>/models/<owner>/<name>/` and `<root>/datasets/<owner>/<name>/`. The commit is a hash
of the content. A file `.token` in a repository makes it private: its content is the token that may read it.
Standard library only, so that it also runs in a pod: `python hub.py --root DIR --port N`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

KINDS = ("models", "datasets")


class RefusedError(Exception):
    """An answer that is an error, as the real hub gives it: a status and a code in a header."""

    def __init__(self, status: HTTPStatus, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Repository:
    """One folder as a repository with a single commit on `main`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = {
            path.relative_to(folder).as_posix(): path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.name != ".token"
        }
        hasher = hashlib.sha1(usedforsecurity=False)
        for name, path in self.files.items():
            hasher.update(f"{name}\0{digest(path)}\0".encode())
        self.commit = hasher.hexdigest()

    def check_revision(self, revision: str) -> None:
        if revision not in ("main", self.commit):
            raise RefusedError(HTTPStatus.NOT_FOUND, "RevisionNotFound")

    def file(self, name: str) -> Path:
        if name not in self.files:
            raise RefusedError(HTTPStatus.NOT_FOUND, "EntryNotFound")
        return self.files[name]


def digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


class HubHandler(BaseHTTPRequestHandler):
    """Routes: /api/<kind>/<repo>[/revision/<rev>], /api/<kind>/<repo>/tree/<rev>, [/datasets]/<repo>/resolve/<rev>/<file>."""

    protocol_version = "HTTP/1.1"

    def __init__(self, root: Path, seen: list[str], *args: object) -> None:
        self.root = root
        self.seen = seen
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = urlsplit(self.path).path
        self.seen.append(f"{self.command} {path}")
        parts = [unquote(part) for part in path.strip("/").split("/")]
        try:
            self.route(parts)
        except RefusedError as refused:
            self.send(refused.status, b"", {"X-Error-Code": refused.code, "X-Error-Message": refused.code})

    def route(self, parts: list[str]) -> None:
        if parts == ["healthz"]:
            self.send_json({"status": "ok"})
        elif parts[0] == "api" and len(parts) > 2 and parts[1] in KINDS:
            self.answer_api(parts[1], parts[2:])
        elif "resolve" in parts:
            self.answer_file(parts)
        else:
            raise RefusedError(HTTPStatus.NOT_FOUND, "RepoNotFound")

    def answer_api(self, kind: str, parts: list[str]) -> None:
        at = next((index for index, part in enumerate(parts) if part in ("revision", "tree")), len(parts))
        name = "/".join(parts[:at])
        repository = self.repository(kind, name)
        repository.check_revision(parts[at + 1] if len(parts) > at + 1 else "main")
        if parts[at : at + 1] == ["tree"]:
            entries = [
                {"type": "file", "path": file, "size": path.stat().st_size, "oid": digest(path)[:40]}
                for file, path in repository.files.items()
            ]
            self.send_json(entries)
            return
        self.send_json(
            {
                "id": name,
                "sha": repository.commit,
                "private": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": file} for file in repository.files],
            }
        )

    def answer_file(self, parts: list[str]) -> None:
        kind = "models"
        if parts[0] == "datasets":
            kind, parts = "datasets", parts[1:]
        at = parts.index("resolve")
        repository = self.repository(kind, "/".join(parts[:at]))
        repository.check_revision(parts[at + 1])
        path = repository.file("/".join(parts[at + 2 :]))
        data = path.read_bytes()
        headers = {
            "X-Repo-Commit": repository.commit,
            "ETag": f'"{digest(path)}"',
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        status = HTTPStatus.OK
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first or 0), int(last or len(data) - 1)
            headers["Content-Range"] = f"bytes {begin}-{end}/{len(data)}"
            data, status = data[begin : end + 1], HTTPStatus.PARTIAL_CONTENT
        self.send(status, data, headers)

    def repository(self, kind: str, name: str) -> Repository:
        folder = (self.root / kind / name).resolve()
        if not name or not folder.is_dir() or not folder.is_relative_to((self.root / kind).resolve()):
            # the real hub does not tell strangers whether a name exists
            known = "Authorization" in self.headers
            raise RefusedError(HTTPStatus.NOT_FOUND if known else HTTPStatus.UNAUTHORIZED, "RepoNotFound")
        secret = folder / ".token"
        if secret.exists() and self.headers.get("Authorization") != f"Bearer {secret.read_text().strip()}":
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "RepoNotFound")
        return Repository(folder)

    def send_json(self, value: object) -> None:
        self.send(HTTPStatus.OK, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def send(self, status: HTTPStatus, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Requests are kept in `seen` instead."""


class Server(ThreadingHTTPServer):
    """A hub and the requests it has seen (`<METHOD> <path>`)."""

    daemon_threads = True

    def __init__(self, root: Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self.seen: list[str] = []
        super().__init__((host, port), partial(HubHandler, root, self.seen))

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def running(root: Path) -> Iterator[Server]:
    """A hub in a thread of this process."""
    with Server(root) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description="A small Hugging Face hub over a folder.")
    parser.add_argument("--root", type=Path, required=True, help="folder with models/ and datasets/")
    parser.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104 - a pod's
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    with Server(options.root, options.host, options.port) as server:
        print(f"serving {options.root} on {options.host}:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
