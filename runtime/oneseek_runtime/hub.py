"""[I/O] Fetching from a Hugging Face hub or a mirror of it, with every wait bounded and every refusal told apart.

A listing first (it alone is retried: 3 attempts of at most 10 s, so an unreachable hub is known within 40 s), then
each wanted file at the commit that the listing named: a branch that moves meanwhile does not mix two commits.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError: their HTTP client's, httpx or httpx2
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
    XetDownloadError,
)
from huggingface_hub.utils.tqdm import disable_progress_bars

from oneseek_core import names, secret
from oneseek_core.errors import OneSeekError
from oneseek_core.network import failure

__all__ = ["Hub", "HubError", "Snapshot"]

_TIMEOUT = 10.0  # seconds: connecting, or waiting for the next bytes of an answer
_WAITS = (2.0, 4.0)  # seconds before the second and third attempt
_PUBLIC = "https://huggingface.co"

Kind = Literal["model", "dataset"]


class HubError(OneSeekError):
    """The hub does not give what was asked for.

    `missing`: it says that there is no such thing. `final`: asking again cannot help, a change by a person can.
    """

    def __init__(self, message: str, *, missing: bool = False, final: bool = False) -> None:
        super().__init__(message)
        self.missing = missing
        self.final = final or missing


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one commit: the paths of its files."""

    kind: Kind
    repo: str
    commit: str
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub and the token to use; without one no token is sent, not even one that lies in a home folder."""

    endpoint: str
    token: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Hub:
        """The hub that `HF_ENDPOINT` names (default: the public one), with `HF_TOKEN` if set.

        Raises:
            SecretError: what the Secret holds is no token.
        """
        endpoint = (environment.get("HF_ENDPOINT") or _PUBLIC).rstrip("/")
        token = environment.get(names.HUB_TOKEN_ENV)
        return cls(endpoint, secret.word(token, "the hub's token (the key that tokenSecret names)") if token else None)

    def resolve(self, kind: Kind, repo: str, revision: str) -> Snapshot:
        """The commit that `revision` is now, and its files.

        Raises:
            HubError: there is no such repository or revision, access is refused, or the hub cannot be reached.
        """
        waits = iter(_WAITS)
        while True:
            try:
                return self._listing(kind, repo, revision)
            except HubError as error:
                wait = next(waits, None)
                if error.final or wait is None:
                    raise
                time.sleep(wait)

    def download(self, snapshot: Snapshot, file: str, folder: Path) -> Path:
        """Fetch one file of the snapshot to `<folder>/<file>`; the library's notes go to `<folder>/.cache`.

        Raises:
            HubError: as `resolve`; the library itself resumes a broken transfer a few times.
        """
        disable_progress_bars()  # a bar is no line of a log
        try:
            path = hf_hub_download(
                snapshot.repo,
                file,
                repo_type=snapshot.kind,
                revision=snapshot.commit,
                local_dir=folder,
                endpoint=self.endpoint,
                token=self.token or False,
                etag_timeout=_TIMEOUT,
            )
        except _ERRORS as error:
            raise self._explained(error, f"{snapshot.repo} at {snapshot.commit}", file) from error
        return Path(path)

    def _listing(self, kind: Kind, repo: str, revision: str) -> Snapshot:
        api = HfApi(endpoint=self.endpoint, token=self.token or False)
        what = f"{repo} at {revision}"
        try:
            ask = api.model_info if kind == "model" else api.dataset_info
            info = ask(repo, revision=revision, timeout=_TIMEOUT)
        except _ERRORS as error:
            raise self._explained(error, what, None) from error
        except (ValueError, TypeError, KeyError) as error:  # an answer, but no hub's: a login page, a proxy's error
            raise HubError(
                f"{self.endpoint} does not answer like a Hugging Face hub when asked for {what}; check the endpoint",
                final=True,
            ) from error
        if not info.sha:
            raise HubError(f"{self.endpoint} names no commit for {what}; check that it is a full hub", final=True)
        return Snapshot(kind, repo, info.sha, tuple(entry.rfilename for entry in info.siblings or ()))

    def _explained(self, error: Exception, what: str, file: str | None) -> HubError:
        """What went wrong, where, and what to do about it; `what` is `<repo> at <revision>`."""
        name = what.split(" at ", maxsplit=1)[0]
        match error:
            case GatedRepoError():
                return HubError(
                    f"{name} on {self.endpoint} is gated: accept its terms there and give tokenSecret a token"
                    " of that account",
                    final=True,
                )
            case RepositoryNotFoundError():
                return HubError(
                    f"{self.endpoint} knows no {name}, or it is private: check the name, or give tokenSecret a token"
                    " that may read it",
                    missing=True,
                )
            case RevisionNotFoundError():
                return HubError(f"{what} does not exist on {self.endpoint}: check the revision", missing=True)
            case RemoteEntryNotFoundError():
                return HubError(f"{what} on {self.endpoint} holds no file {file}: check its path", missing=True)
        status = _status_of(error)
        if status in (401, 403):
            return HubError(
                f"{self.endpoint} refuses access to {what} (HTTP {status}): check the token in tokenSecret", final=True
            )
        if status == 404:
            wanted = f"{file} of {what}" if file else what
            return HubError(
                f"{self.endpoint} answers HTTP 404 for {wanted}: check the name, and that the endpoint is a hub",
                missing=True,
            )
        detail = f"HTTP {status}" if status else _why(error)
        return HubError(
            f"{self.endpoint} cannot be reached for {what} ({detail}): check that pods may reach it, or set the"
            " chart's huggingFace.endpoint to a mirror"
        )


_ERRORS = (HTTPError, FileMetadataError, LocalEntryNotFoundError, OfflineModeIsEnabled, XetDownloadError)


def _status_of(error: BaseException | None) -> int | None:
    """The HTTP status behind an error; the library hides some behind `LocalEntryNotFoundError`."""
    while error is not None:
        if isinstance(error, HfHubHTTPError):
            return int(error.response.status_code)
        error = error.__cause__
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _why(error: BaseException) -> str:
    """What the system said below the library's errors; not a word of theirs: one quotes the whole token."""
    for each in _chain(error):
        match each:
            case TimeoutError():
                return f"timed out: nothing came for {_TIMEOUT:g} s"
            case socket.gaierror():
                return "its name is not known"
            case ssl.SSLCertVerificationError():
                return "its certificate is not one that pods trust"
            case OSError() if each.errno:
                return failure(each)
    return f"the connection was broken off, {type(error).__name__}"
