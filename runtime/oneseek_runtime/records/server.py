"""[I/O] The records service's process: take the records over, serve until SIGTERM, give them back.

With a volume nothing listens before the lock is held and the ledger is verified, so that a Service never sends anyone to
a process that may not write. With Firestore it may listen earlier, to say why it cannot yet.
"""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import uvloop

from oneseek_core import names
from oneseek_core.checkpoint import CheckpointError, VerifierKey
from oneseek_runtime.access import Access, AccessError
from oneseek_runtime.http_server import Server, server_config
from oneseek_runtime.log import say
from oneseek_runtime.records.app import create_app
from oneseek_runtime.records.errors import RecordsError, SettingsError
from oneseek_runtime.records.settings import RecordsSettings
from oneseek_runtime.records.signing import Signer
from oneseek_runtime.records.sqlite import SqliteStore
from oneseek_runtime.records.store import Store
from oneseek_runtime.records.windows import Windows, WindowsPort

if TYPE_CHECKING:
    from oneseek_runtime.records.firestore.store import FirestoreStore

__all__ = ["run"]

_KEEP_ALIVE_SECONDS = 3600  # a server that closes an idle connection races with the next request on it
_SWITCH_SECONDS = 0.0005  # the writer comes back from the disk ten times a commit, to a busy event loop
_GRACE_SECONDS = 10  # for requests in flight at the end


def run(environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM. Ends the process with a sentence and code 1 where records cannot or may not be kept."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    signal.signal(signal.SIGTERM, _stop)  # a container's first process would else ignore it while it waits
    try:
        settings = RecordsSettings.from_environment(environment)
        access = Access.of(environment)
        if settings.tls_port is not None and access is None:
            raise SettingsError(f"tlsPort is given, but {names.ACCESS_ENV} is not")
        tls = access.server() if access and settings.tls_port is not None else None
        key_file = settings.checkpoint_key_file
        signer = Signer.from_file(settings.origin, Path(key_file) if key_file else None)
        trusted = [VerifierKey.parse(text) for text in settings.trusted_checkpoint_keys]
        store, windows = _open(settings, signer, trusted)
    except (RecordsError, AccessError, CheckpointError) as error:
        sys.exit(f"{getattr(error, 'reason', 'BadSettings')}: {error}")
    except OSError as error:
        sys.exit(
            f"UnsuitableVolume: {error.filename or 'the volume'}: {error.strerror or 'no lock is to be had on it'}"
        )
    try:
        if signer.key:
            say("signing", verifierKey=str(signer.key))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, store, windows, access=access, tls=tls))
    finally:
        windows.close()
        store.close()
    say("closed")


def _open(
    settings: RecordsSettings, signer: Signer, trusted: Sequence[VerifierKey]
) -> tuple[FirestoreStore | SqliteStore, WindowsPort]:
    if settings.firestore is not None:
        from oneseek_runtime.records.firestore.store import FirestoreStore  # noqa: PLC0415 - not in the slim image
        from oneseek_runtime.records.firestore.windows import FirestoreWindows  # noqa: PLC0415

        kept = FirestoreStore.open(settings.firestore, signer, trusted=trusted)
        return kept, FirestoreWindows(kept)
    folder = Path(str(settings.data_path))
    folder.mkdir(parents=True, exist_ok=True)
    store = SqliteStore.open(folder, signer, trusted=trusted, wait=settings.lock_wait_seconds)
    return store, Windows.open(folder)  # under the lock that the store holds


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


async def _serve(
    settings: RecordsSettings,
    store: Store,
    windows: WindowsPort,
    *,
    access: Access | None,
    tls: ssl.SSLContext | None,
) -> None:
    app = create_app(store, settings.accepted, windows)
    ports = [(port, context) for port, context in ((settings.port, None), (settings.tls_port, tls)) if port is not None]
    servers = [
        Server(
            server_config(
                app,
                settings.host,
                port,
                tls=context,
                timeout_keep_alive=_KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        for port, context in ports
    ]
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    keeping = asyncio.create_task(access.keep()) if access else None
    serving = [asyncio.create_task(server.serve()) for server in servers]
    await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
    stop()
    await asyncio.gather(*serving)
    if keeping is not None:
        keeping.cancel()
