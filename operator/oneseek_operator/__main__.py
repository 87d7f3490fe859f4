"""[I/O] `python -m oneseek_operator`: settings, dependencies, handlers, run."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from typing import Any

import kopf
from pydantic import SecretBytes, ValidationError

from oneseek_core import names, secret
from oneseek_core.errors import places
from oneseek_operator.clients.certificate_authority import Authority
from oneseek_operator.clients.kubernetes import Cluster
from oneseek_operator.clients.operator_key import load_key
from oneseek_operator.clients.pod_http import PodHttpClient
from oneseek_operator.clients.records import Records
from oneseek_operator.clients.sidecar import Sidecars
from oneseek_operator.deps import Deps
from oneseek_operator.handlers import daemons
from oneseek_operator.settings import Settings


async def _configure(settings: kopf.OperatorSettings, memo: Any, **_: object) -> None:
    settings.posting.enabled = False  # we write Events ourselves; Kopf would post one per log line
    settings.persistence.finalizer = f"{names.GROUP}/finalizer"
    settings.watching.server_timeout = 300
    settings.networking.request_timeout = 30
    settings.background.cancellation_polling = 5
    own = Settings.from_environment(os.environ)
    cluster = await Cluster.connect()
    own = own.model_copy(update={"token_key": SecretBytes(await load_key(cluster, own.namespace))})
    authority, memo.http = Authority(cluster, own.namespace), PodHttpClient.connect()
    memo.deps = Deps(
        settings=own,
        cluster=cluster,
        sidecars=Sidecars(memo.http, own, authority.trust),
        records=Records(memo.http, own, authority.trust),
        authority=authority,
    )


async def _close(memo: Any, **_: object) -> None:
    await memo.deps.cluster.close()
    await memo.http.close()


async def _run() -> None:
    settings = Settings.from_environment(os.environ)
    registry = kopf.OperatorRegistry()
    kopf.on.startup(registry=registry)(_configure)
    kopf.on.cleanup(registry=registry)(_close)
    kopf.on.login(registry=registry)(kopf.login_with_service_account)
    daemons.register(registry)
    await kopf.operator(
        registry=registry,
        # Kopf would ask for a user name, which an image need not have; its own type for this is not public.
        identity=socket.gethostname(),  # type: ignore[arg-type]
        clusterwide=not settings.namespaces,
        namespaces=list(settings.namespaces),
        liveness_endpoint="http://0.0.0.0:8080/healthz",
        standalone=True,  # one operator: the chart runs one replica and replaces it, never two at once
    )


def main() -> int:
    """Run until told to stop."""
    secret.redact_output()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)  # probes, once a second
    try:
        Settings.from_environment(os.environ)
    except ValidationError as error:
        print(f"the operator's environment is incomplete (the chart sets it): {places(error)}", file=sys.stderr)
        return 2
    asyncio.run(_run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
