"""The package registries as this machine's own clients name them, and whether they answer.

No address stands here: pip, apt, Go and npm know theirs. One whose client is not installed or reaches it in a way of
its own (a proxy in the client's settings, a folder) is not asked; the client's own step tells of it.
"""

import os
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

_ANSWER_WITHIN = 1.2  # seconds: a lost first packet is sent again after one
_CLIENT_WITHIN = 1.0
_APT = Path("/etc/apt")
SETTINGS = {
    "Python": "PIP_INDEX_URL or pip.conf",
    "Debian": "/etc/apt/sources.list.d",
    "Go": "GOPROXY",
    "npm": "npm_config_registry or .npmrc",
}


def silent(wanted: Iterable[str], *, within: float) -> dict[str, str]:
    """Of the wanted registries those that do not answer, each with a half sentence: `at HOST:PORT … (why)`.

    All are asked side by side. Of one whose client has not said its address in time nothing is known.
    """
    found: dict[str, str] = {}
    deadline = time.monotonic() + within
    threads = [threading.Thread(target=_look, args=(name, found), daemon=True) for name in sorted(wanted)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {name: reason for name, reason in sorted(dict(found).items()) if reason}


def _look(name: str, found: dict[str, str]) -> None:
    """Leave what is known of one registry in `found`; "" once it answers."""
    ends = sorted({end for url in _CLIENTS[name]() if (end := endpoint(url))})
    if not ends:
        return
    found[name] = f"at {ends[0][0]}:{ends[0][1]} does not answer (time-out)"  # until something better is known
    with ThreadPoolExecutor(len(ends)) as pool:
        reasons = list(pool.map(_knock, ends))
        found[name] = reasons[0] if all(reasons) else ""


def endpoint(url: str) -> tuple[str, int] | None:
    """Where a request for this URL goes first: the proxy that the environment names for it, else its own host."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and not urllib.request.proxy_bypass(parts.hostname):
        parts = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    return (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _knock(end: tuple[str, int]) -> str:
    host, port = end
    try:
        socket.create_connection(end, timeout=_ANSWER_WITHIN).close()
    except OSError as error:
        return f"at {host}:{port} does not answer ({error.strerror or 'time-out'})"
    return ""


def _python() -> list[str]:
    if chosen := os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL"):
        return [chosen]
    try:  # within this process: a pip of its own takes a second on a busy machine
        from pip._internal.configuration import Configuration  # noqa: PLC0415
        from pip._internal.models.index import PyPI  # noqa: PLC0415
    except ImportError:
        return []
    settings = Configuration(isolated=False)
    settings.load()
    values = dict(settings.items())
    if any(key.endswith(".proxy") for key in values):
        return []
    found = [value for key, value in values.items() if key in {"install.index-url", "global.index-url"}]
    return [str(found[-1] if found else PyPI.simple_url)]


def _debian() -> list[str]:
    settings = _lines([_APT / "apt.conf", *sorted((_APT / "apt.conf.d").glob("*"))])
    if any("proxy" in line.lower() for line in settings):
        return []
    places = [_APT / "sources.list", *sorted((_APT / "sources.list.d").glob("*"))]
    lines = [line for line in _lines(places) if re.match(r"deb\s|uris:", line, re.IGNORECASE)]
    urls = [url for line in lines for url in re.findall(r"https?://[^\s\]]+", line)]
    return [
        url for url in urls if "debian" in urlsplit(url).path
    ] or urls  # a mirror's path; not other people's packages


def _lines(places: Iterable[Path]) -> list[str]:
    lines: list[str] = []
    for place in places:
        try:
            lines += [line.strip() for line in place.read_text(errors="replace").splitlines()]
        except OSError:
            continue
    return [line for line in lines if line and not line.startswith(("#", "//", ";"))]


def _go() -> list[str]:
    go = shutil.which("go") or shutil.which("/usr/local/go/bin/go")
    proxies = os.environ.get("GOPROXY") or (_said(go, "env", "GOPROXY") if go else "")
    return re.split("[,|]", proxies)[:1]


def _npm() -> list[str]:
    names = {name.lower(): value for name, value in os.environ.items()}
    npm = shutil.which("npm")
    return [names.get("npm_config_registry") or (_said(npm, "config", "get", "registry") if npm else "")]


def _said(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=_CLIENT_WITHIN)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


_CLIENTS: Mapping[str, Callable[[], list[str]]] = {"Python": _python, "Debian": _debian, "Go": _go, "npm": _npm}
