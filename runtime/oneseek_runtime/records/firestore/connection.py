"""[I/O] The client of one Firestore database, made by firebase-admin; and what its errors mean, in sentences.

A client that failed is dropped and made anew: a new connection does not sit out the old one's growing pauses, and
credentials that were replaced meanwhile are read again.
"""

from __future__ import annotations

import itertools
import json
import os
import threading
from pathlib import Path
from typing import Any

import firebase_admin
from firebase_admin import credentials, firestore
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import GoogleAuthError

from oneseek_core.secret import keep
from oneseek_runtime.records.errors import (
    AwayError,
    BadRequestError,
    BusyError,
    CredentialsError,
    RecordsError,
    SlowError,
)
from oneseek_runtime.records.settings import FirestoreSettings

__all__ = ["Connection", "is_contention"]

_NAMES = itertools.count()
_EMULATOR_ENV = "FIRESTORE_EMULATOR_HOST"
_NO_TOKEN = "Getting metadata from plugin failed"  # noqa: S105 - how gRPC says that no access token was to be had


class _Anonymous(credentials.Base):  # type: ignore[misc]  # the library has no types
    """What an emulator is told."""

    def get_credential(self) -> Any:
        return AnonymousCredentials()  # type: ignore[no-untyped-call]


class Connection:
    """The way to one database. Any thread may use it."""

    def __init__(self, settings: FirestoreSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._app: firebase_admin.App | None = None
        self._client: Any = None
        self._seen: tuple[int, int, int] | None = None
        self.place = f"the Firestore database {settings.database} of project {settings.project_id}"
        if settings.emulator_host:
            os.environ[_EMULATOR_ENV] = settings.emulator_host  # the one way in which the library is told

    def client(self) -> Any:
        """A client, the same until it is dropped or the credentials change.

        Raises:
            CredentialsError: there are no credentials, or they are no service account's key.
        """
        with self._lock:
            seen = self._stamp()
            if self._client is not None and seen == self._seen:
                return self._client
            self._close()
            options = {"projectId": self._settings.project_id}
            self._app = firebase_admin.initialize_app(self._credential(), options, name=f"records-{next(_NAMES)}")
            try:
                self._client = firestore.client(self._app, self._settings.database)
            except (GoogleAuthError, ValueError) as error:
                raise CredentialsError(
                    f"there are no credentials for {self.place}; name a Secret in spec.records.firestore.credentialsSecret"
                ) from error
            self._seen = seen
            return self._client

    def drop(self) -> None:
        """Begin anew with the next call."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
        if self._app is not None:
            firebase_admin.delete_app(self._app)
        self._client = self._app = None

    def _stamp(self) -> tuple[int, int, int] | None:
        if self._settings.credentials_file is None:
            return None
        try:
            found = Path(self._settings.credentials_file).stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size

    def _credential(self) -> credentials.Base:
        if self._settings.emulator_host:
            return _Anonymous()
        path = self._settings.credentials_file
        if path is None:
            return credentials.ApplicationDefault()
        try:
            _keep_parts(Path(path).read_bytes())
            return credentials.Certificate(path)
        except OSError as error:
            raise CredentialsError(
                f"the credentials for {self.place} cannot be read ({error.strerror}); put a service account's "
                f"key into the Secret of spec.records.firestore.credentialsSecret, under the key {Path(path).name}"
            ) from error
        except ValueError as error:
            raise CredentialsError(
                f"the credentials for {self.place} are no service account's key; the key "
                f"{Path(path).name} of the Secret must hold the JSON file that Google Cloud gave out"
            ) from error

    def translated(self, error: Exception) -> RecordsError:
        """What an error of the client means. Everything that may pass by itself is an AwayError or a BusyError."""
        if isinstance(error, RecordsError):
            return error
        told = type(error).__name__  # and not a word of the library's: credentials may stand in it
        refused = isinstance(error, exceptions.Unauthenticated | exceptions.PermissionDenied | GoogleAuthError)
        if refused or _NO_TOKEN in str(error):
            return CredentialsError(
                f"{self.place} refuses the credentials ({told}); give the service account the role "
                "roles/datastore.user there, or put a valid key into the Secret"
            )
        if isinstance(error, exceptions.DeadlineExceeded):
            return SlowError(
                f"{self.place} did not answer within {self._settings.deadline_seconds:g} s; "
                "what was sent may still arrive, and sending it again records nothing twice"
            )
        if isinstance(error, exceptions.NotFound):
            return AwayError(f"{self.place} does not exist; create it, in Native mode, or correct its name")
        if isinstance(error, exceptions.ResourceExhausted):
            return AwayError(f"{self.place} takes no more for now, a quota is used up")
        if isinstance(error, exceptions.InvalidArgument):
            return BadRequestError(
                f"{self.place} cannot hold this: it takes documents of at most 1 MiB, nested at most 20 deep"
            )
        if is_contention(error):
            return BusyError(f"others write to {self.place} at the same time; send it again")
        return AwayError(f"{self.place} does not answer ({told}); it is asked again by itself")


def is_contention(error: Exception) -> bool:
    """Whether somebody else wrote in between: read again, and try again."""
    return isinstance(error, exceptions.Aborted | exceptions.AlreadyExists | exceptions.FailedPrecondition)


def _keep_parts(data: bytes) -> None:
    """Let the redactor know what is secret in a service account's key; all of it, where it is none."""
    try:
        parts: list[bytes | str] = [
            str(value) for name, value in json.loads(data).items() if name.startswith("private_key")
        ]
    except (ValueError, AttributeError, RecursionError):
        parts = []
    values: list[str | bytes] = [*parts] or [data]
    for part in values:
        keep(part)
