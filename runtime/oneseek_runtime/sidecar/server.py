"""[I/O] The sidecar's process: two ports in one event loop, and a graceful end.

At SIGTERM the pod goes unready and every answer closes its connection, but new connections are accepted until the endpoint change
has reached every node and no client is connected, or the drain time is over. Then the listeners close and requests in flight
finish, because the engine (a native sidecar) outlives this process. Unsent records are sent for as long as the settings say, with
the internal port still open.
"""

from __future__ import annotations

import asyncio
import ctypes
import signal
import ssl
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import aiohttp
import uvloop
from starlette.types import ASGIApp

from oneseek_core.serving.swap import WantedVersion
from oneseek_runtime.access import AccessError, Way
from oneseek_runtime.http_server import Server, server_config
from oneseek_runtime.log import say
from oneseek_runtime.sidecar.api.dashboard.bodies import ledger_held
from oneseek_runtime.sidecar.app import create_apps
from oneseek_runtime.sidecar.cluster.client import KubeClient, NoKube
from oneseek_runtime.sidecar.deps import ClusterAccess, Deps
from oneseek_runtime.sidecar.engine.analysis import Analysis
from oneseek_runtime.sidecar.engine.client import OpenAIEngine
from oneseek_runtime.sidecar.engine.external import ExternalModels
from oneseek_runtime.sidecar.engine.hotswap import Swapper, read_wanted, wanted_now
from oneseek_runtime.sidecar.engine.http_exchange import OWN_ENGINE
from oneseek_runtime.sidecar.engine.verifier import VerdictPoller, Verifier
from oneseek_runtime.sidecar.errors import SettingsError
from oneseek_runtime.sidecar.handover.orders import Orders
from oneseek_runtime.sidecar.http.access_log import AccessLog
from oneseek_runtime.sidecar.http.slow_clients import BoundedProtocol, end_overdue
from oneseek_runtime.sidecar.lifecycle import Lifecycle, until_drained
from oneseek_runtime.sidecar.records.recorder import Recorder, recording
from oneseek_runtime.sidecar.settings import SidecarSettings
from oneseek_runtime.sidecar.state_changes import Changes
from oneseek_runtime.sidecar.training.run_events import MicroRunEvents
from oneseek_runtime.sidecar.training.window_notifier import WindowNotifier

__all__ = ["BoundedServer", "run"]

# Idle connections are closed by the client or at shutdown: closing one races with the next request on it, which would
# fail.
_KEEP_ALIVE_SECONDS = 3600
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's numbers
_CONNECTIONS = 100  # to one host
_SOCKET_BYTES = 64 * 1024  # of one message; clients' messages are ignored


def run(environment: Mapping[str, str]) -> None:
    """Serve until SIGTERM. Exits with a message if the settings are invalid."""
    try:
        settings = SidecarSettings.from_environment(environment)
        path, access = settings.serving.wanted_path, settings.access
        wanted = read_wanted(path) if path is not None else None
        way = access.way(settings.serving.tls_name) if access else Way()
        tls = access.server() if access and settings.serving.tls_name else None
    except (SettingsError, AccessError) as error:
        sys.exit(str(error))
    _fix_malloc_thresholds()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, wanted, environment, way=way, tls=tls))


def _fix_malloc_thresholds() -> None:
    """Have glibc return large freed blocks to the system; other allocators are left as they are.

    By default glibc raises its thresholds after a large block was freed: one body of 16 MB would make a process of 60 MB
    one of 90 MB for good. Setting either threshold ends that; 128 KiB are glibc's own values at the start.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for threshold in (_TRIM_THRESHOLD, _MMAP_THRESHOLD):
        mallopt(threshold, 128 * 1024)


async def _serve(
    settings: SidecarSettings,
    wanted: WantedVersion | None,
    environment: Mapping[str, str],
    *,
    way: Way,
    tls: ssl.SSLContext | None,
) -> None:
    loop = asyncio.get_running_loop()
    lifecycle, changes = Lifecycle(), Changes()
    orders = Orders.load(settings.order_path)
    if orders.order is not None:
        lifecycle.drain(loop.time())
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        _session() as session,
        OpenAIEngine(settings.serving.engine_url, replace(OWN_ENGINE, refused=settings.engine_restart)) as engine,
        _cluster(session, settings, environment) as cluster,
        recording(session, settings.records, lambda: ledger_held(cluster.informer.model)) as recorder,
        _training_tasks(settings, cluster, recorder) as (wake, run_events),
    ):
        verifier = Verifier(session, f"http://127.0.0.1:{settings.verify_port}")
        swapper = None
        if wanted is not None:
            file = partial(wanted_now, settings.serving.wanted_path or "")
            swapper = Swapper(settings.serving, engine, verifier, wanted, file=file, flipped=lifecycle.reset_counters)
            swapper.changed = changes.notify
        # The app needs the server's connections and the server its app, so the connections are read later.
        servers: list[BoundedServer] = []
        verdicts = VerdictPoller(verifier, changes.notify)
        log = AccessLog() if settings.access_log else None
        deps = Deps(
            settings,
            engine,
            lifecycle,
            cluster=cluster,
            recorder=recorder,
            open_connections=lambda: len(servers[0].server_state.connections) + lifecycle.forwarded_here,
            access_log=log,
            swapper=swapper,
            orders=orders,
            changes=changes,
            analysis=Analysis(changes.notify),
            verdicts=verdicts,
            external=ExternalModels(session, settings.external),
            wake=wake,
            run_events=run_events,
            way=way,
        )
        apps = create_apps(deps)
        public = _server(apps[0], settings, settings.public_port)
        internal = _server(apps[1], settings, settings.internal_port, tls)
        servers.append(public)
        serving = [asyncio.create_task(public.serve()), asyncio.create_task(internal.serve())]
        stopping = asyncio.create_task(stop.wait())
        working = [asyncio.create_task(verdicts.run())]
        if settings.access is not None:
            working.append(asyncio.create_task(settings.access.keep()))
        if swapper is not None:
            working.append(asyncio.create_task(swapper.run()))
        await asyncio.wait((*serving, *working, stopping), return_when=asyncio.FIRST_COMPLETED)
        lifecycle.terminating = True
        changes.notify()
        say("draining", openConnections=deps.open_connections())
        alone = await until_drained(
            deps.open_connections, minimum=settings.drain_minimum, maximum=settings.drain_maximum, clock=loop.time
        )
        say("stopping", openConnections=deps.open_connections(), drained=str(alone).lower())
        public.should_exit = True
        await serving[0]
        if log is not None:
            log.flush()
        if recorder:
            since = lifecycle.draining_since
            spent = 0.0 if since is None else deps.monotonic() - since
            await recorder.finish(max(0.0, settings.spool_seconds - spent))
        internal.should_exit = True
        await serving[1]
        for task in working:
            if task.done():
                task.result()  # an unexpected error ends the process with its traceback
            task.cancel()
        stopping.cancel()


def _session() -> aiohttp.ClientSession:
    """The connections to all services that the sidecar calls, except engines and other sidecars.

    Limited per host, so that a slow service takes no connection from another; no cookies, no proxies of the environment.
    """
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=_CONNECTIONS)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


@asynccontextmanager
async def _cluster(
    session: aiohttp.ClientSession, settings: SidecarSettings, environment: Mapping[str, str]
) -> AsyncGenerator[ClusterAccess, None]:
    """Access to the API server with a running informer; none outside a pod."""
    serving = settings.serving
    client = KubeClient.in_pod(session, environment, namespace=serving.namespace, model=serving.model)
    if client is None:
        yield ClusterAccess.none()
        return
    access = ClusterAccess.through(client, serving.model)
    keeping = asyncio.create_task(access.informer.run())
    keeping.add_done_callback(_log_error)
    try:
        yield access
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@asynccontextmanager
async def _training_tasks(
    settings: SidecarSettings, cluster: ClusterAccess, recorder: Recorder | None
) -> AsyncGenerator[tuple[Callable[[], None], MicroRunEvents | None], None]:
    """Runs the window notifier and the events of Micro runs; yields its `wake` and the events.

    Neither runs without records.
    """
    if recorder is None or isinstance(cluster.kube, NoKube):
        yield (lambda: None), None
        return
    due = WindowNotifier(cluster.kube, cluster.informer, recorder.records, settings.serving.model, time.monotonic)
    run_events = MicroRunEvents(cluster.informer, recorder.records)
    tasks = [asyncio.create_task(due.run()), asyncio.create_task(run_events.run())]
    for task in tasks:
        task.add_done_callback(_log_error)
    try:
        yield due.wake, run_events
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _log_error(task: asyncio.Task[None]) -> None:
    """Log an unexpected error of a background task; questions are answered all the same."""
    if not task.cancelled() and (error := task.exception()):
        say("a task of the sidecar's ended", error=repr(error))


class BoundedServer(Server):
    """A server that closes connections of clients that exceed a limit."""

    async def on_tick(self, counter: int) -> bool:
        """Check the limits once a second; uvicorn calls this ten times a second."""
        if counter % 10 == 0 and (
            late := end_overdue(list(self.server_state.connections), asyncio.get_running_loop().time())
        ):
            say("overdue", connections=late)
        return await super().on_tick(counter)


def _server(app: ASGIApp, settings: SidecarSettings, port: int, tls: ssl.SSLContext | None = None) -> BoundedServer:
    return BoundedServer(
        server_config(
            app,
            settings.host,
            port,
            tls=tls,
            http=BoundedProtocol,
            ws="websockets-sansio",
            ws_max_size=_SOCKET_BYTES,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
    )
