"""uvicorn as every HTTP server of the pods is set up; the owner of a server decides what signals do."""

from __future__ import annotations

import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

__all__ = ["Server", "server_config"]


class Server(uvicorn.Server):
    """uvicorn without its signal handlers, which would end the process before its owner has finished."""

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Install nothing."""
        yield


def server_config(
    app: ASGIApp, host: str, port: int, *, tls: ssl.SSLContext | None = None, **options: Any
) -> uvicorn.Config:
    """The configuration of one port; `options` are uvicorn's and replace the defaults here.

    `tls` is used as it is, so certificates renewed in it take effect; uvicorn would make a context of its own from files.
    """
    common: dict[str, Any] = {
        "http": "httptools",
        "ws": "none",
        "lifespan": "off",
        "log_config": None,
        "access_log": False,
        "proxy_headers": False,  # a client could write any address into them and escape limits per client
        "server_header": False,
    }
    config = uvicorn.Config(app, host=host, port=port, **{**common, **options})
    if tls is not None:
        config.load()
        config.ssl = tls
    return config
